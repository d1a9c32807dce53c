"""The processes of children: each child has a user id of its own, whose processes are watched, and all ended.

An id is given only if it is free, because every process with it is killed after use.
"""

import contextlib
import itertools
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from minivjepa_course.grading.sandbox import as_root_on_linux

# Each child gets an even id; the odd one after it is for the process that kills what the child left.
# The first range is above the ids of accounts, network directories (up to 2,000,200,000) and containers (up to 1,879,048,191), and
# below 2^31, see systemd.io/UIDS-GIDS.  Containers often have only the first 65,536 ids; systemd leaves the second range unused.
RANGES = (range(2_100_000_000, 2_100_020_000, 2), range(60_578, 61_184, 2))
SUBORDINATE = (Path("/etc/subuid"), Path("/etc/subgid"))  # ids that users may give to their containers
RECENT = 100  # ids that are not given again: their children may not have taken them yet, so no process shows them
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


def is_mapped(ids: range) -> bool:
    """Whether these ids exist in this container."""
    for file in ("/proc/self/uid_map", "/proc/self/gid_map"):
        lines = [[int(word) for word in line.split()] for line in Path(file).read_text().splitlines()]
        if not any(first <= ids[0] and ids[-1] + 1 < first + count for first, _, count in lines):
            return False
    return True


def is_assigned(user: int) -> bool:
    """Whether this id or the next belongs to a user, a group or a user's containers."""
    import grp  # not on Windows
    import pwd

    for number in (user, user + 1):
        for look_up in (pwd.getpwuid, grp.getgrgid):
            with contextlib.suppress(KeyError):
                look_up(number)
                return True
        for file in SUBORDINATE:
            text = file.read_text(errors="replace") if file.is_file() else ""
            for first, count in re.findall(r":(\d+):(\d+)\s*$", text, re.M):
                if int(first) <= number < int(first) + int(count):
                    return True
    return False


def process_ids() -> set[int]:
    """The real, effective, saved and file-system ids, of user and group, of all processes."""
    found: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            text = (folder / "status").read_text(encoding="latin-1")  # names hold any byte
            for line in re.findall(r"^[UG]id:(.*)$", text, re.M):
                found.update(map(int, line.split()))
    return found


def is_free(user: int) -> bool:
    """Whether no account and no process has this id or the next."""
    return not is_assigned(user) and not {user, user + 1} & process_ids()


def user_ids() -> Iterator[int]:
    """Ids that are free when they are given, each different from the last ones.  Threads may share them.

    `next` raises ValueError if too few are free.  Without root on Linux they mean nothing: children run as this user.
    """
    if not as_root_on_linux():
        return itertools.repeat(-1)
    ids = next((ids for ids in RANGES if is_mapped(ids)), range(0))
    start = random.SystemRandom().randrange(len(ids) or 1)  # another grading may run on this machine
    candidates = itertools.islice(itertools.cycle(ids), start, None)
    recent: deque[int] = deque(maxlen=RECENT)
    lock = threading.Lock()

    def free() -> int:
        with lock:
            for user in itertools.islice(candidates, len(ids)):
                if user not in recent and is_free(user):
                    recent.append(user)
                    return user
        ranges = " or ".join(f"{ids[0]:,} to {ids[-1] + 1:,}" for ids in RANGES)
        raise ValueError(f"too few free user ids: submissions need {2 * RECENT} from {ranges}; grade in a container")

    return iter(free, None)


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
