"""User ids for child processes, on Linux as root: free ones, because every process with such an id is killed after use."""

import contextlib
import itertools
import random
import re
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from minivjepa.grading.sandbox import as_root_on_linux

# Each child gets an even id; the odd one after it is for the process that kills what the child left.
# The first range is above the ids of accounts, network directories (up to 2,000,200,000) and containers (up to 1,879,048,191), and
# below 2^31, see systemd.io/UIDS-GIDS.  Containers often have only the first 65,536 ids; systemd leaves the second range unused.
RANGES = (range(2_100_000_000, 2_100_020_000, 2), range(60_578, 61_184, 2))
SUBORDINATE = (Path("/etc/subuid"), Path("/etc/subgid"))  # ids that users may give to their containers
RECENT = 100  # ids that are not given again: their children may not have taken them yet, so no process shows them


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
    for file in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # it has ended
            for line in re.findall(r"^[UG]id:(.*)$", file.read_text(encoding="latin-1"), re.M):  # names hold any byte
                found.update(map(int, line.split()))
    return found


def is_free(user: int) -> bool:
    """Whether no account and no process has this id or the next."""
    return not is_assigned(user) and not {user, user + 1} & process_ids()


class FreeIds:
    """Ids that are free when they are given, each different from the last ones.  Threads may share it.

    Raises ValueError if too few are free.
    """

    def __init__(self) -> None:
        self.ids = next((ids for ids in RANGES if is_mapped(ids)), range(0))
        start = random.SystemRandom().randrange(len(self.ids) or 1)  # another grading may run on this machine
        self.candidates = itertools.islice(itertools.cycle(self.ids), start, None)
        self.recent: deque[int] = deque(maxlen=RECENT)
        self.lock = threading.Lock()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self.lock:
            for user in itertools.islice(self.candidates, len(self.ids)):
                if user not in self.recent and is_free(user):
                    self.recent.append(user)
                    return user
        ranges = " or ".join(f"{ids[0]:,} to {ids[-1] + 1:,}" for ids in RANGES)
        raise ValueError(f"too few free user ids: submissions need {2 * RECENT} from {ranges}; grade in a container")


def user_ids() -> Iterator[int]:
    """An id for each child process.  Without root on Linux children run as this user, and the number means nothing."""
    return FreeIds() if as_root_on_linux() else itertools.repeat(-1)
