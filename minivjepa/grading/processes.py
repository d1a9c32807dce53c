"""The processes of a submission: apart from all others, counted, and ended to the last."""

import contextlib
import ctypes
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from minivjepa.grading.sandbox import as_root_on_linux

NEW_PROCESSES = 0x20000000  # flag of unshare(2)
END_WITH_PARENT = 1  # option of prctl(2)
USERS = range(60_000, 65_532, 2)  # that children run as; the number after each is for the process that ends the others
# as its effective user it may end that user's processes, and as its real user it is none of them; one call ends them all, also those
# that start others faster than one could look: a process that is being ended cannot start one
SWEEP = """
import os, signal, sys
user = int(sys.argv[1])
os.setgroups([])
os.setresgid(user + 1, user + 1, user + 1)
os.setresuid(user + 1, user, user + 1)
os.kill(-1, signal.SIGKILL)
"""


def alone() -> None:
    """Go on in a process namespace of its own, where root on Linux can make one; nothing in it can outlive this process.

    Two processes stay outside of what a submission can reach: this one, which its parent knows, and the first of the namespace.
    The system ends all others of a namespace with the first, which ends with either of its neighbours.
    """
    if not as_root_on_linux():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NEW_PROCESSES) != 0:
        return
    first = os.fork()
    if first:
        end_like(first)
    libc.prctl(END_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    second = os.fork()
    if second:
        end_like(second)


def end_like(child: int) -> None:
    """Wait for this child, and for any that were left to this process; then end as it did."""
    while True:
        ended, status = os.wait()
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def users() -> Iterator[int]:
    """Numbers of users that children run as: each another one than those before it."""
    return itertools.islice(itertools.cycle(USERS), random.SystemRandom().randrange(len(USERS)), None)


class Process(NamedTuple):
    """number: its id; memory: in bytes; seconds: of CPU time."""

    number: int
    memory: int
    seconds: float


def belonging(user: int, session: int) -> list[Process]:
    """The processes of a submission: of its user where it has one, else of its session; on Linux only."""
    found = []
    for folder in Path("/proc").glob("[0-9]*") if sys.platform == "linux" else ():
        with contextlib.suppress(OSError, ValueError, IndexError):
            about = (folder / "stat").read_text().rpartition(")")[2].split()  # from its state on, see proc(5)
            if as_root_on_linux():  # its folder may be root's, but not what stands in it
                ours = int((folder / "status").read_text().split("\nUid:")[1].split()[0]) == user
            else:
                ours = int(about[3]) == session
            if ours and about[0] != "Z":
                memory = int(about[21]) * os.sysconf("SC_PAGE_SIZE")
                found.append(Process(int(folder.name), memory, sum(map(int, about[11:13])) / os.sysconf("SC_CLK_TCK")))
    return found


def end_all(user: int, session: int) -> None:
    """End all processes of a submission, as an ordinary user only the session's, and wait until they are gone."""
    if as_root_on_linux():
        words = [sys.executable, "-I", "-S", "-c", SWEEP, str(user)]
        subprocess.run(words, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    for _ in range(100):
        left = [one.number for one in belonging(user, session) if one.number != session]
        if not left:
            break
        for number in left:
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)
        time.sleep(0.02)
