"""Limits for code that nobody trusts: set by a child process on itself before that code runs.

On Linux as root: an unprivileged user, an own network without a way out, a view of files in which there is little but Python and
nothing stays that is written, and limits on processes, CPU time, file sizes and memory.  Otherwise as much of that as the
system allows; `probe` tells which.
"""

import contextlib
import ctypes
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from minivjepa.grading.mounts import NEW_MOUNTS, SCRATCH, own_view

NEW_IPC, NEW_NETWORK = 0x08000000, 0x40000000  # flags of unshare(2)
NO_NEW_PRIVILEGES = 38  # option of prctl(2)
FIRST_TO_GO = "1000"  # of oom_score_adj: where memory runs out, the system ends a submission and not the grading


@dataclass(frozen=True)
class Limits:
    """What a submission may use, per child process."""

    seconds: float = 10.0  # of one call or cell, by the clock
    cpu_seconds: int = 60
    file_bytes: int = 2**20
    folder_bytes: int = 2**24  # of all files in its folder, and as much again in each folder for temporary files
    files: int = 1000  # in each of them
    processes: int = 64
    memory_bytes: int = 2 * 2**30  # watched by the parent, over all processes of the child


def as_root_on_linux() -> bool:
    """Whether the strongest limits can be tried."""
    return sys.platform == "linux" and os.geteuid() == 0


def confine(hide: Sequence[str], user: int, limits: Limits) -> None:
    """Limit this process for good.  hide: folders to be empty; user: the number to run as, where this is root.

    Raises OSError where root cannot be given up: nothing of a submission may run then.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)
    if as_root_on_linux():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(NEW_MOUNTS | NEW_NETWORK | NEW_IPC) == 0:
            pages = limits.folder_bytes // os.sysconf("SC_PAGE_SIZE")
            with contextlib.suppress(OSError):  # of shared memory that is no file; for this IPC namespace alone
                Path("/proc/sys/kernel/shmall").write_text(str(pages))
            own_view(libc, {Path(path) for path in hide}, limits.folder_bytes, limits.files)
    set_limits(limits)
    if as_root_on_linux():
        os.chown(".", user, user)
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        if os.getresuid() != (user, user, user):
            raise OSError(f"is still root, expected to be user {user}")
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        raise OSError("cannot promise to gain no privileges")


def set_limits(limits: Limits) -> None:
    """CPU time, file size, processes, core files."""
    if sys.platform == "win32":
        return
    import resource

    wanted = {
        resource.RLIMIT_CPU: limits.cpu_seconds,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_CORE: 0,
    }
    if as_root_on_linux():  # the number is of a user's processes: only where that user is nobody else's
        wanted[resource.RLIMIT_NPROC] = limits.processes
    for kind, value in wanted.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def probe(secrets: Sequence[str], port: int, parent: int) -> dict[str, bool]:
    """Inside a confined child: which limits are in force.

    secrets: files that must not be readable; port: one that listens here; parent: the user who grades.
    """
    held = {"answers, their history and submissions cannot be read": not any(map(readable, secrets))}
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        held["no network"] = False
    except OSError:
        held["no network"] = True
    held["files that it writes are few and do not stay"] = sys.platform == "linux" and nothing_stays()
    held["processes that it leaves end with it, and it sees no others"] = sys.platform == "linux" and unseen()
    held["an unprivileged user"] = sys.platform != "win32" and os.geteuid() not in (0, parent)
    if sys.platform == "win32":
        return held | {"CPU time": False, "file size": False, "number of processes": False}
    import resource

    for name, kind in (("CPU time", resource.RLIMIT_CPU), ("file size", resource.RLIMIT_FSIZE)):
        held[name] = resource.getrlimit(kind)[0] != resource.RLIM_INFINITY
    held["number of processes"] = (
        held["an unprivileged user"] and resource.getrlimit(resource.RLIMIT_NPROC)[0] != resource.RLIM_INFINITY
    )
    return held


def readable(file: str) -> bool:
    """Whether a file can be opened here."""
    try:
        Path(file).open("rb").close()
    except OSError:
        return False
    return True


def nothing_stays() -> bool:
    """Whether this process can write into small folders of its own alone."""
    most, own = Limits().folder_bytes, [Path.cwd(), *(Path(path) for path in SCRATCH if Path(path).is_dir())]
    small = all(0 < (about := os.statvfs(path)).f_blocks * about.f_frsize <= most for path in own)
    return small and bool(os.statvfs("/").f_flag & os.ST_RDONLY)


def unseen() -> bool:
    """Whether this is the second process of a namespace of its own, see `alone`, and cannot see those outside."""
    seen = {path.name for path in Path("/proc").glob("[0-9]*")}
    return os.getpid() == 2 and seen <= {"1", "2"}
