"""Limits for code that nobody trusts: set by a child process on itself before that code runs.

On Linux as root: an unprivileged user, an own network without a way out, own mounts in which the teacher's folder is empty
and only small folders in memory can be written, and limits on processes, CPU time, file sizes and memory.  Otherwise as much
of that as the system allows; `probe` tells which.
"""

import contextlib
import ctypes
import os
import socket
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NEW_MOUNTS, NEW_IPC, NEW_NETWORK = 0x00020000, 0x08000000, 0x40000000  # flags of unshare(2)
BIND, RECURSIVE, PRIVATE = 0x1000, 0x4000, 0x40000  # flags of mount(2)
SETATTR, ALL_BELOW, READ_ONLY = (
    442,
    0x8000,
    1,
)  # of mount_setattr(2): its number, a flag, an attribute; Linux 5.12 and later
SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")  # where programs expect to write
NOBODY = 60_000  # the first of the users that children run as; each place at work has its own
NO_NEW_PRIVILEGES = 38  # option of prctl(2)


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


def confine(hide: Sequence[str], place: int, limits: Limits) -> None:
    """Limit this process for good.  hide: folders to be empty; place: number of this child among those at work."""
    if as_root_on_linux():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(NEW_MOUNTS | NEW_NETWORK | NEW_IPC) == 0:
            own_mounts(libc, {Path(path) for path in hide}, limits)
    set_limits(limits)
    if as_root_on_linux():
        with contextlib.suppress(OSError):
            os.chown(".", NOBODY + place, NOBODY + place)
            os.setgroups([])
            os.setgid(NOBODY + place)
            os.setuid(NOBODY + place)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)


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


def own_mounts(libc: ctypes.CDLL, hide: set[Path], limits: Limits) -> None:
    """In this process's own mounts, which end with it: empty the folders of hide, and let nothing be written that stays.

    The working folder and those for temporary files become small ones in memory; all else is read-only where the kernel can
    do that.  A folder above Python that only its owner may enter is covered too, so that an unprivileged user can import.
    """
    work = Path.cwd()
    needed = {sys.prefix, sys.base_prefix, *sys.path, str(Path(__file__).parents[1])} - {""}
    keep = [path for path in {Path(path).resolve() for path in needed} | {work} if path.is_dir()]
    closed = {parent for path in keep for parent in path.parents if not parent.stat().st_mode & 0o001}
    scratch = {path.resolve() for path in (work, work.parent, *map(Path, SCRATCH))}
    os.umask(0o022)  # folders made here are for an unprivileged user
    mount(libc, "none", "/", None, PRIVATE | RECURSIVE)
    libc.syscall(SETATTR, -1, b"/", ALL_BELOW, struct.pack("4Q", READ_ONLY, 0, 0, 0), ctypes.c_size_t(32))
    small = f"size={limits.folder_bytes},nr_inodes={limits.files},mode=1777"
    for folder in sorted(scratch | hide | closed, key=lambda path: len(path.parts)):  # a folder before those inside it
        if folder.is_dir():
            cover(libc, folder, keep, small if folder in scratch else "mode=755")
    os.chdir(work)


def cover(libc: ctypes.CDLL, folder: Path, keep: list[Path], options: str) -> None:
    """Put an empty folder in memory over this one, with the folders of keep that lie inside it as they are."""
    inside = [path for path in keep if folder in path.parents]
    handles = [os.open(path, os.O_PATH) for path in inside]
    mount(libc, "covered", str(folder), "tmpfs", 0, options.encode())
    for path, handle in zip(inside, handles):
        path.mkdir(parents=True, exist_ok=True)
        mount(libc, f"/proc/self/fd/{handle}", str(path), None, BIND | RECURSIVE)
        os.close(handle)


def mount(libc: ctypes.CDLL, source: str, target: str, kind: str | None, flags: int, data: bytes | None = None) -> None:
    """mount(2).  Raises OSError if it fails: half a view is worse than none."""
    if libc.mount(source.encode(), target.encode(), kind.encode() if kind else None, flags, data) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot mount {target}: {os.strerror(error)}")


def probe(hidden_file: str, port: int, parent: int) -> dict[str, bool]:
    """Inside a confined child: which limits are in force.

    hidden_file: one that must not be readable; port: one that listens here; parent: the user who grades.
    """
    held: dict[str, bool] = {}
    try:
        Path(hidden_file).read_bytes()
        held["hidden checks cannot be read"] = False
    except OSError:
        held["hidden checks cannot be read"] = True
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
        held["no network"] = False
    except OSError:
        held["no network"] = True
    held["files that it writes are few and do not stay"] = sys.platform == "linux" and nothing_stays()
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


def nothing_stays() -> bool:
    """Whether this process can write into small folders of its own alone."""
    most, own = Limits().folder_bytes, [Path.cwd(), *(Path(path) for path in SCRATCH if Path(path).is_dir())]
    small = all(0 < (about := os.statvfs(path)).f_blocks * about.f_frsize <= most for path in own)
    return small and bool(os.statvfs("/").f_flag & os.ST_RDONLY)
