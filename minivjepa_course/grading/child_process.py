"""A child process, as the process that grades sees it: started, listened to, watched and ended."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, NamedTuple

from minivjepa_course.grading.messages import Message, receive
from minivjepa_course.grading.processes import belonging, end_all
from minivjepa_course.grading.sandbox import MEMORY_BYTES, as_root_on_linux

WAITING = 16  # messages in the queue; a child that sends more has to wait
LOOKING = 0.1  # seconds between looks at memory
UNDISTURBED = 0.8  # share of its time for which a process with a processor to itself computes
KILLED = (-9, 128 + 9)  # exit codes of a process that SIGKILL ended, and of one that ended like it
KEPT = ("PATH", "PYTHONPATH", "SYSTEMROOT", "LANG")  # what Python needs of the teacher's environment


class Stop(NamedTuple):
    """Why there is no next message.  again: it may be no fault of the submission, such as a busy machine."""

    why: str
    again: bool


class Child:
    """One child process in a new empty folder, which is removed with it.  user: the id it runs as, on Linux as root."""

    def __init__(self, job: dict[str, Any], user: int):
        self.folder = tempfile.TemporaryDirectory(prefix="minivjepa-", ignore_cleanup_errors=True)
        self.user = user if as_root_on_linux() else None
        self.looked, self.busy = time.monotonic(), 0.0  # the last look at its processes, and their CPU time in seconds
        self.start_clock()
        self.messages: queue.Queue[Message | Stop] = queue.Queue(WAITING)
        self.ended: Stop | None = None  # why this process ended it, if it did
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "Agg"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "minivjepa_course.grading.child_main"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=self.folder.name,
            env={**environment, "HOME": self.folder.name}, start_new_session=sys.platform != "win32",
        )  # fmt: skip
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()
        assert self.process.stdin is not None
        with contextlib.suppress(OSError), self.process.stdin as pipe:
            pipe.write(json.dumps({**job, "user": user}).encode())

    def listen(self) -> None:
        """Queue the child's messages until the last, or until one that cannot be read; then why there are no more."""
        assert self.process.stdout is not None
        stop = Stop("ended the process that was to call it, or used up its time", False)
        try:
            while (message := receive(self.process.stdout)) is not None:
                self.messages.put(message)
            with contextlib.suppress(subprocess.TimeoutExpired):  # when memory runs out, the system kills it
                stop = stop._replace(again=self.process.wait(1) in KILLED)
        except Exception as error:  # of any type: a submission can write to the pipe
            stop = Stop(f"returned what cannot be read: {error}"[:200], False)
        self.messages.put(stop)

    def start_clock(self) -> None:
        """From here on count the seconds of `next`: the child begins with something new."""
        self.begun, self.busy_then, self.late = time.monotonic(), self.busy, 0

    def next(self, seconds: float) -> Message | Stop:
        """The next message, or why there is none: after so many seconds by the clock, however many messages come."""
        while True:
            now = time.monotonic()
            if now - self.looked >= LOOKING:  # by the clock: messages may come without a pause
                found = belonging(self.user, self.process.pid)
                self.looked, self.busy = now, sum(process.seconds for process in found)
                if sum(process.memory for process in found) > MEMORY_BYTES:
                    self.ended = Stop(f"used more than {MEMORY_BYTES / 2**30:.0f} GiB of memory", False)
                    self.process.kill()
                    end_all(self.user, self.process.pid)
            is_late = now - self.begun > seconds
            if self.late < WAITING:  # what it had answered by then counts
                with contextlib.suppress(queue.Empty):
                    message = self.messages.get(timeout=LOOKING)
                    self.late += is_late
                    return (self.ended or message) if isinstance(message, Stop) else message
            if is_late:  # if it had a processor to itself, it would not be faster on an idle machine
                return Stop(f"took longer than {seconds:.0f} s", self.busy - self.busy_then < UNDISTURBED * seconds)

    def end(self) -> None:
        """Kill the child and all it started, and remove the folder."""
        self.process.kill()
        end_all(self.user, self.process.pid)
        self.process.wait()
        deadline = time.monotonic() + 1
        while self.listener.is_alive() and time.monotonic() < deadline:  # it may wait for a place in the queue
            with contextlib.suppress(queue.Empty):
                self.messages.get(timeout=0.01)
        remove_tree(self.folder)


def remove_tree(folder: tempfile.TemporaryDirectory[str]) -> None:
    """Remove a folder, even one with folders inside folders, thousands deep."""
    try:
        folder.cleanup()
    except RecursionError:
        subprocess.run(["rm", "-rf", "--", folder.name], stderr=subprocess.DEVNULL, check=False)
