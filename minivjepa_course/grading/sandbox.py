"""Limits for untrusted code: a child process sets them on itself before that code runs.

On Linux as root: an unprivileged user, no network, little to read but the system and Python, nothing to write but small temporary
folders, and limits on processes, CPU time and file sizes.  Elsewhere, as much of that as the system allows; `probe` tells what.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minivjepa_course.grading.mounts import NEW_MOUNTS, SCRATCH, own_view

NEW_IPC, NEW_PROCESSES, NEW_NETWORK = 0x08000000, 0x20000000, 0x40000000  # flags of unshare(2)
END_WITH_PARENT, NO_NEW_PRIVILEGES = 1, 38  # options of prctl(2)
FIRST_TO_GO = "1000"  # oom_score_adj: when memory runs out, the system kills a submission, not the grading

# what each child process may use
CPU_SECONDS = 60
FILE_BYTES = 2**20
FOLDER_BYTES = 2**24  # of all files in its folder, and as much again in each folder for temporary files
FILES = 1000  # in each of them
PROCESSES = 64
MEMORY_BYTES = 2 * 2**30  # watched by the parent, over all processes of the child


def as_root_on_linux() -> bool:
    """Whether the strongest limits can be tried."""
    return sys.platform == "linux" and os.geteuid() == 0


def enter_own_namespace() -> None:
    """Go on in a new process namespace, where root on Linux can make one; nothing in it can outlive this process.

    Two processes stay out of a submission's reach: this one, which its parent knows, and the first of the namespace.  The kernel ends
    a namespace with its first process, and that one ends with either of its neighbors.
    """
    if not as_root_on_linux():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_PROCESSES) != 0:
        return
    for _ in range(2):
        child = os.fork()
        while child:  # wait for it, and for any orphans that this process inherits; then end as it did
            ended, status = os.wait()
            if ended == child:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)
        libc.prctl(END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


def confine(hide: Sequence[str], user: int) -> None:
    """Limit this process for good.  hide: folders that must be empty; user: the id to run as, on Linux as root.

    Raises OSError if this process cannot give up root: no submission may run then.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO)
    if as_root_on_linux():
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(NEW_MOUNTS | NEW_NETWORK | NEW_IPC) == 0:
            pages = FOLDER_BYTES // os.sysconf("SC_PAGE_SIZE")
            with contextlib.suppress(OSError):  # shared memory without a file, in this IPC namespace
                Path("/proc/sys/kernel/shmall").write_text(str(pages))
            own_view(libc, {Path(path) for path in hide}, FOLDER_BYTES, FILES)
    set_limits()
    if as_root_on_linux():
        os.chown(".", user, user)
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        if os.getresuid() != (user, user, user):
            raise OSError(f"is still root, expected to be user {user}")
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        raise OSError("cannot set no_new_privs")


def set_limits() -> None:
    """CPU time, file size, processes, core files."""
    if sys.platform == "win32":
        return
    import resource

    wanted = {resource.RLIMIT_CPU: CPU_SECONDS, resource.RLIMIT_FSIZE: FILE_BYTES, resource.RLIMIT_CORE: 0}
    if as_root_on_linux():  # it counts all processes of a user, so only for a user with no others
        wanted[resource.RLIMIT_NPROC] = PROCESSES
    for kind, value in wanted.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (value, value))


def probe(secrets: Sequence[str], port: int, parent: int) -> dict[str, bool]:
    """Inside a confined child: which limits are in force.

    secrets: files that must not be readable; port: a TCP port that listens on this machine; parent: the id of the user who grades.
    """
    linux = sys.platform == "linux"
    own_user = sys.platform != "win32" and os.geteuid() not in (0, parent)
    return {
        "answers, their history and submissions cannot be read": not any(opens(open, file, "rb") for file in secrets),
        "no network": not opens(socket.create_connection, ("127.0.0.1", port), 2),
        "files that it writes are few and do not stay": linux and writes_little(),
        "processes that it leaves end with it, and it sees no others": linux and sees_no_others(),
        "an unprivileged user": own_user,
        "CPU time": limited("RLIMIT_CPU"),
        "file size": limited("RLIMIT_FSIZE"),
        "number of processes": own_user and limited("RLIMIT_NPROC"),  # it counts all processes of a user
    }


def opens(how: Callable[..., Any], *what: Any) -> bool:
    """Whether a file or a connection can be opened here: how(*what)."""
    try:
        how(*what).close()
    except OSError:
        return False
    return True


def limited(kind: str) -> bool:
    """Whether this process has a limit of this kind."""
    if sys.platform == "win32":
        return False
    import resource

    return resource.getrlimit(getattr(resource, kind))[0] != resource.RLIM_INFINITY


def writes_little() -> bool:
    """Whether this process can write only into small temporary folders."""
    most, own = FOLDER_BYTES, [Path.cwd(), *(Path(path) for path in SCRATCH if Path(path).is_dir())]
    small = all(0 < (about := os.statvfs(path)).f_blocks * about.f_frsize <= most for path in own)
    return small and bool(os.statvfs("/").f_flag & os.ST_RDONLY)


def sees_no_others() -> bool:
    """Whether this is the second process of a new namespace, see `enter_own_namespace`, and cannot see those outside."""
    seen = {path.name for path in Path("/proc").glob("[0-9]*")}
    return os.getpid() == 2 and seen <= {"1", "2"}
