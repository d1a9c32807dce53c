"""The processes of a submission: kept apart from all others, watched, and all ended."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from minivjepa.grading.sandbox import as_root_on_linux
from minivjepa.grading.user_ids import is_assigned, process_ids

NEW_PROCESSES = 0x20000000  # flag of unshare(2)
END_WITH_PARENT = 1  # option of prctl(2)
# The sweeper's effective id lets it kill the user's processes; its real id protects it from them.  One call kills them all, even
# those that start others faster than anything could list them: a process that is being killed cannot start one.
SWEEP = """
import os, signal, sys
user = int(sys.argv[1])
os.setgroups([])
os.setresgid(user + 1, user + 1, user + 1)
os.setresuid(user + 1, user, user + 1)
os.kill(-1, signal.SIGKILL)
"""


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
        if child:
            end_like(child)
        libc.prctl(END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


def end_like(child: int) -> None:
    """Wait for this child, and for any orphans that this process inherits; then end as the child did."""
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


class Process(NamedTuple):
    """number: its id; memory: in bytes; seconds: of CPU time."""

    number: int
    memory: int
    seconds: float


def belonging(user: int | None, session: int) -> list[Process]:
    """The processes of a user id, or, without one, of a session.  Empty on systems other than Linux."""
    found = []
    for folder in Path("/proc").glob("[0-9]*") if sys.platform == "linux" else ():
        with contextlib.suppress(OSError, ValueError, IndexError):
            # names of processes hold any byte; the fields after the name begin with the state, see proc(5)
            about = (folder / "stat").read_text(encoding="latin-1").rpartition(")")[2].split()
            if user is None:
                ours = int(about[3]) == session
            else:  # the folder may be root's even if the process is not
                status = (folder / "status").read_text(encoding="latin-1")
                ours = int(status.split("\nUid:")[1].split()[0]) == user
            if ours and about[0] != "Z":
                memory = int(about[21]) * os.sysconf("SC_PAGE_SIZE")
                found.append(Process(int(folder.name), memory, sum(map(int, about[11:13])) / os.sysconf("SC_CLK_TCK")))
    return found


def end_all(user: int | None, session: int) -> None:
    """End all processes of a user id, or, without one, of a session, and wait until they are gone.

    If the id or the sweeper's is in other use by now, only the session's processes are ended.
    """
    if user is not None and (is_assigned(user) or user + 1 in process_ids()):
        user = None
    if user is not None:
        words = [sys.executable, "-I", "-S", "-c", SWEEP, str(user)]
        subprocess.run(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    for _ in range(100):
        left = [process.number for process in belonging(user, session) if process.number != session]
        if not left:
            break
        for number in left:
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.02)
