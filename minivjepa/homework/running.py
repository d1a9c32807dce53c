"""The parent's side: start a child, listen to it, end it when it goes too far, and go on with what is left."""

import contextlib
import io
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from minivjepa.homework.cases import Arrays, Task, encode
from minivjepa.homework.child import HEADER
from minivjepa.homework.exercises import TEACHER
from minivjepa.homework.sandbox import NOBODY, Limits, as_root_on_linux

LARGEST = 2**21  # bytes of a message
WAITING = 64  # messages that wait to be read: a child that sends more has to wait itself
STARTING = 60.0  # seconds that a child may take to load torch
LOOKING = 0.1  # seconds between looks at its memory
TOTAL = 90.0  # seconds for a whole submission
PLACES = 5000  # users that children may run as: others for every grading that is at work, or one would end another's
NOT_STARTED = (
    "the process that calls submissions did not start: {}. Is Python in a folder that other users may not enter, or is the machine "
    "busy with something else? What is graded is kept: when that is mended, run the command again with --resume"
)
Outcome = list[Arrays] | str  # of an exercise: the results of its cases, or why there are none


class Child:
    """One child process in an empty folder of its own, which is removed with it."""

    def __init__(self, job: dict[str, Any], hide: Sequence[str], place: int, limits: Limits):
        self.folder = tempfile.TemporaryDirectory(prefix="minivjepa-", ignore_cleanup_errors=True)
        self.place, self.limits = (os.getpid() * 64 + place) % PLACES, limits
        self.messages: queue.Queue[tuple[dict[str, Any], bytes] | None] = queue.Queue(WAITING)
        # nothing of the teacher's environment but what Python needs
        environment = {
            "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "MPLBACKEND": "Agg",
            "HOME": self.folder.name,
        }
        kept = ("PATH", "PYTHONPATH", "SYSTEMROOT", "LANG")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "minivjepa.homework.child"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=self.folder.name,
            env={**environment, **{name: os.environ[name] for name in kept if name in os.environ}},
            start_new_session=sys.platform != "win32",
        )  # fmt: skip
        threading.Thread(target=self.listen, daemon=True).start()
        assert self.process.stdin is not None
        with contextlib.suppress(OSError), self.process.stdin as pipe:
            pipe.write(json.dumps({**job, "hide": list(hide), "place": self.place, "limits": asdict(limits)}).encode())

    def listen(self) -> None:
        """Pass on messages until there are no more, or one that is none."""
        pipe = self.process.stdout
        assert pipe is not None
        with contextlib.suppress(Exception):
            while len(head := pipe.read(HEADER.size)) == HEADER.size:
                text, arrays = HEADER.unpack(head)
                if text + arrays > LARGEST:
                    break
                about = json.loads(pipe.read(text))
                if not isinstance(about, dict):
                    break
                self.messages.put((about, pipe.read(arrays)))
        self.messages.put(None)

    def next(self, seconds: float) -> tuple[dict[str, Any], bytes] | str:
        """The next message; or in words why there is none."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                message = self.messages.get(timeout=LOOKING)
            except queue.Empty:
                used = sum(memory for _, memory in self.processes())
                if used > self.limits.memory_bytes:
                    return f"used more than {self.limits.memory_bytes / 2**30:.0f} GiB of memory"
                continue
            return message or "ended the process that was to call it, or used up its time"
        return f"took longer than {seconds:.0f} s"

    def processes(self) -> list[tuple[int, int]]:
        """(id, bytes of memory) of all processes of this child; on Linux only."""
        found = []
        for folder in Path("/proc").glob("[0-9]*") if sys.platform == "linux" else ():
            with contextlib.suppress(OSError, ValueError, IndexError):
                session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
                status = dict(
                    line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
                )
                user = int(status["Uid"].split()[0])
                if session == self.process.pid or (as_root_on_linux() and user == NOBODY + self.place):
                    found.append((int(folder.name), 1024 * int(status.get("VmRSS", "0 kB").split()[0])))
        return found

    def end(self) -> None:
        """Kill whatever is left, and remove the folder."""
        self.process.kill()
        for _ in range(50):  # a fork bomb makes new ones while old ones are being killed
            left = [number for number, _ in self.processes() if number != self.process.pid]
            for number in left:
                with contextlib.suppress(OSError):
                    os.kill(number, signal.SIGKILL)
            if not left:
                break
            time.sleep(0.02)
        self.process.wait()
        with contextlib.suppress(queue.Empty):  # so that the listener, which may wait for a place, comes to its end
            while True:
                self.messages.get_nowait()
        self.folder.cleanup()


def read_arrays(data: bytes) -> Arrays:
    """Arrays of an npz file from a stranger: not compressed, not pickled, not too large.  Raises ValueError otherwise."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as held:
            if any(part.compress_type != zipfile.ZIP_STORED or part.file_size > LARGEST for part in held.infolist()):
                raise ValueError("compressed or too large")
        with np.load(io.BytesIO(data), allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
    except Exception as error:
        raise ValueError(f"returned something that cannot be read ({type(error).__name__})") from None
    if any(array.dtype.kind not in "biufU" for array in arrays.values()):
        raise ValueError("returned something that is neither numbers nor text")
    return arrays


def run_submission(
    given: str, cells: Sequence[tuple[str, str]], tasks: Sequence[Task], hide: Sequence[str], place: int, limits: Limits
) -> dict[str, Outcome]:
    """Every exercise's outcome.  What ends a child costs only the exercise, or the cell, that it was busy with."""
    outcomes: dict[str, Outcome] = {}
    deadline = time.monotonic() + TOTAL
    cells, left = list(cells), list(tasks)
    while left and time.monotonic() < deadline:
        inputs = [
            {"name": task.name, "adapter": task.adapter, "blocked": list(task.blocked),
             "inputs": [{name: encode(value) for name, value in case.inputs.items()} for case in task.cases]}
            for task in left
        ]  # fmt: skip
        child = Child({"given": given, "cells": cells, "tasks": inputs}, hide, place, limits)
        try:
            culprit, why = follow(child, left, outcomes, deadline)
        finally:
            child.end()
        if culprit is None:
            break
        outcomes[culprit] = why
        cells = [cell for cell in cells if cell[0] != culprit]
        left = [task for task in left if task.name not in outcomes]
    for task in tasks:
        outcomes.setdefault(task.name, f"was not called: the submission used up its {TOTAL:.0f} s")
    return outcomes


def follow(
    child: Child, tasks: Sequence[Task], outcomes: dict[str, Outcome], deadline: float
) -> tuple[str | None, str]:
    """Listen to one child and note what is complete; (None, "") at the end, else (exercise that ended it, why)."""
    busy = ""
    results: dict[str, list[Arrays]] = {task.name: [] for task in tasks}
    stopped: dict[str, str] = {}
    cases = {task.name: len(task.cases) for task in tasks}
    started = False
    while True:
        left = max(0.1, deadline - time.monotonic())
        message = child.next(min(child.limits.seconds, left) if started else STARTING)
        if isinstance(message, str):
            if not started:
                raise ValueError(NOT_STARTED.format(message))
            return busy or tasks[0].name, message
        about, data = message
        event, name = about.get("event"), str(about.get("exercise"))
        started = True
        if event != "end" and time.monotonic() > deadline:  # messages may come without an end
            return busy or tasks[0].name, f"used up the submission's {TOTAL:.0f} s"
        if event == "end":
            for task in tasks:  # whatever was not reported to the end is not right
                outcomes.setdefault(task.name, stopped.get(task.name, "did not answer"))
            return None, ""
        if event in ("cell", "call"):
            busy = name
        elif event == "stopped":
            stopped.setdefault(name, str(about.get("why"))[:400])
            if name in cases and about.get("case") is not None:
                outcomes.setdefault(name, stopped[name])
        elif event == "result" and name in results and name not in outcomes:
            try:
                results[name].append(read_arrays(data))
            except ValueError as error:
                outcomes[name] = str(error)
            if len(results[name]) == cases[name]:
                outcomes.setdefault(name, results[name])


def limits_in_force(hide: Sequence[str], limits: Limits) -> dict[str, bool]:
    """What `confine` really achieves on this machine, tried in a child."""
    secret = next(iter(sorted(TEACHER.rglob("*.py"))))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        user = -1 if sys.platform == "win32" else os.geteuid()
        job = {"probe": [str(secret), listener.getsockname()[1], user]}
        child = Child(job, hide, 0, limits)
        try:
            message = child.next(STARTING)
        finally:
            child.end()
    if isinstance(message, str):
        raise ValueError(NOT_STARTED.format(message))
    return {**message[0]["held"], "memory": sys.platform == "linux"}
