"""A child process as the one that grades sees it: it is started, listened to, watched and ended."""

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from minivjepa.grading.messages import Message, receive
from minivjepa.grading.processes import Process, belonging, end_all
from minivjepa.grading.sandbox import Limits

WAITING = 16  # messages that wait to be read: a child that sends more has to wait itself
LOOKING = 0.1  # seconds between looks at its memory
ALONE = 0.8  # part of its time that a process computes which does not share its processor
KILLED = (-9, 128 + 9)  # exit codes of a process that SIGKILL ended, and of one that ended like it


class Stop(NamedTuple):
    """Why there is no next message.  again: something else may have been at fault, such as a busy machine."""

    why: str
    again: bool


class Child:
    """One child process in an empty folder of its own, which is removed with it.  user: the number it runs as, where that can be."""

    def __init__(self, job: dict[str, Any], hide: Sequence[str], user: int, limits: Limits):
        self.folder = tempfile.TemporaryDirectory(prefix="minivjepa-", ignore_cleanup_errors=True)
        self.user, self.limits = user, limits
        self.looked, self.busy = (
            time.monotonic(),
            0.0,
        )  # when its processes were last looked at, and their seconds of CPU time
        self.messages: queue.Queue[Message | Stop | None] = queue.Queue(WAITING)
        # nothing of the teacher's environment but what Python needs
        environment = {
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "MPLBACKEND": "Agg",
            "HOME": self.folder.name,
        }
        kept = ("PATH", "PYTHONPATH", "SYSTEMROOT", "LANG")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "minivjepa.grading.child_main"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=self.folder.name,
            env={**environment, **{name: os.environ[name] for name in kept if name in os.environ}},
            start_new_session=sys.platform != "win32",
        )  # fmt: skip
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()
        assert self.process.stdin is not None
        with contextlib.suppress(OSError), self.process.stdin as pipe:
            pipe.write(json.dumps({**job, "hide": list(hide), "user": user, "limits": asdict(limits)}).encode())

    def listen(self) -> None:
        """Pass on messages until there are no more, or one that is none."""
        assert self.process.stdout is not None
        try:
            while (message := receive(self.process.stdout)) is not None:
                self.messages.put(message)
            self.messages.put(None)
        except Exception as error:  # of any kind: it reads what a stranger wrote
            self.messages.put(Stop(f"returned what cannot be read: {error}"[:200], False))

    def next(self, seconds: float) -> Message | Stop:
        """The next message, or why there is none."""
        deadline, busy = time.monotonic() + seconds, self.busy
        while True:
            now = time.monotonic()
            if now - self.looked >= LOOKING:  # by the clock: messages may come without a pause
                found = self.processes()
                self.looked, self.busy = now, sum(one.seconds for one in found)
                if sum(one.memory for one in found) > self.limits.memory_bytes:
                    return Stop(f"used more than {self.limits.memory_bytes / 2**30:.0f} GiB of memory", False)
            try:
                message = self.messages.get(timeout=LOOKING)
            except queue.Empty:
                if now > deadline:  # one that had a processor for itself will not be quicker alone
                    return Stop(f"took longer than {seconds:.0f} s", self.busy - busy < ALONE * seconds)
                continue
            return message or Stop("ended the process that was to call it, or used up its time", self.was_killed())

    def was_killed(self) -> bool:
        """Whether somebody ended the process from outside, as the system does where memory runs out."""
        try:
            return self.process.wait(1) in KILLED
        except subprocess.TimeoutExpired:
            return False

    def processes(self) -> list[Process]:
        """All processes of this child; on Linux only."""
        return belonging(self.user, self.process.pid)

    def end(self) -> None:
        """Kill whatever is left, and remove the folder."""
        self.process.kill()
        end_all(self.user, self.process.pid)
        self.process.wait()
        for _ in range(100):  # so that the listener, which may wait for a place, comes to its end
            with contextlib.suppress(queue.Empty):
                while True:
                    self.messages.get_nowait()
            self.listener.join(0.01)
            if not self.listener.is_alive():
                break
        remove(self.folder)


def remove(folder: tempfile.TemporaryDirectory[str]) -> None:
    """Remove a folder in which somebody may have made folders inside folders, thousands deep."""
    try:
        folder.cleanup()
    except RecursionError:
        subprocess.run(["rm", "-rf", "--", folder.name], stderr=subprocess.DEVNULL, check=False)
