"""A submission's functions are called in a child; one that goes too far is ended, and another goes on with what is left."""

import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from minivjepa.grading.child_process import Child, Stop
from minivjepa.grading.messages import Message, read_arrays
from minivjepa.grading.processes import users
from minivjepa.grading.sandbox import Limits
from minivjepa.homework.cases import Arrays, Task, encode

STARTING = 60.0  # seconds that a child may take to load torch
GIVEN = 60.0  # seconds for the given cells, which are the teacher's
TOTAL = 90.0  # seconds for all cells and calls of a submission
ROOM = 2**24  # bytes of all results of a submission
NOT_STARTED = (
    "the process that calls submissions did not start: {}. Is Python in a folder that other users may not enter, or is the machine "
    "busy with something else? What is graded is kept: when that is mended, run the command again with --resume"
)
NOT_GIVEN = "the given cells of the assignment did not come to their end: {}; run them in your text of it"
Outcome = list[Arrays] | str  # of an exercise: the results of its cases, or why there are none


class Ran(NamedTuple):
    """Every exercise's outcome.  again: something else may have been at fault for one of them, such as a busy machine."""

    outcomes: dict[str, Outcome]
    again: bool


class End(NamedTuple):
    """What ended a child: the exercise, or the cell, that it was busy with, and why."""

    culprit: str
    why: str
    again: bool


def run_submission(
    given: str,
    cells: Sequence[tuple[str, str]],
    tasks: Sequence[Task],
    hide: Sequence[str],
    user: Iterator[int],
    limits: Limits,
) -> Ran:
    """Call what was asked for.  What ends a child costs only the exercise, or the cell, that it was busy with.

    hide: folders that children must not see; user: numbers of users, one for each child.  Raises ValueError if a child does not come to
    the first answer.
    """
    outcomes: dict[str, Outcome] = {}
    seconds, again = TOTAL, False
    cells, left = list(cells), list(tasks)
    while left and seconds > 0:
        inputs = [
            {"name": task.name, "adapter": task.adapter, "blocked": list(task.blocked),
             "inputs": [{name: encode(value) for name, value in case.inputs.items()} for case in task.cases]}
            for task in left
        ]  # fmt: skip
        child = Child({"given": given, "cells": cells, "tasks": inputs}, hide, next(user), limits)
        try:
            begin(child)
            begun = time.monotonic()
            end = follow(child, [name for name, _ in cells], left, outcomes, begun + seconds)
            seconds -= time.monotonic() - begun
        finally:
            child.end()
        if end is None:
            break
        outcomes[end.culprit], again = end.why, again or end.again
        cells = [cell for cell in cells if cell[0] != end.culprit]
        left = [task for task in left if task.name not in outcomes]
    for task in tasks:
        outcomes.setdefault(task.name, f"was not called: the submission used up its {TOTAL:.0f} s")
    return Ran(outcomes, again)


def begin(child: Child) -> None:
    """Wait until the child is confined and has run the given cells.  Raises ValueError if it does not come that far."""
    for event, seconds, words in (("ready", STARTING, NOT_STARTED), ("begins", GIVEN, NOT_GIVEN)):
        message = child.next(seconds)
        if isinstance(message, Stop):
            raise ValueError(words.format(message.why))
        if message.about.get("event") != event:
            raise ValueError(words.format(message.about.get("why", "it says something else")))


def follow(
    child: Child, cells: Sequence[str], tasks: Sequence[Task], outcomes: dict[str, Outcome], deadline: float
) -> End | None:
    """Listen to one child and note what is complete; None at its end, else what ended it."""
    cases = {task.name: len(task.cases) for task in tasks}
    results: dict[str, list[Arrays]] = {task.name: [] for task in tasks}
    stopped: dict[str, str] = {}
    busy, room = tasks[0].name, ROOM
    while True:
        left = deadline - time.monotonic()
        if left <= 0:  # messages may come without an end
            return End(busy, f"used up the submission's {TOTAL:.0f} s", True)
        message = child.next(min(child.limits.seconds, left))
        if isinstance(message, Stop):
            return End(busy, *message)
        event, name = message.about.get("event"), message.about.get("exercise")
        if event == "end":
            for task in tasks:  # whatever was not reported to the end is not right
                outcomes.setdefault(task.name, stopped.get(task.name, "did not answer"))
            return None
        if not isinstance(name, str) or (name not in cases and name not in cells):
            continue  # nobody asked for it
        if event in ("cell", "call"):
            busy = name
        elif event == "stopped":
            stopped.setdefault(name, str(message.about.get("why"))[:400])
            if name in cases and message.about.get("case") is not None:
                outcomes.setdefault(name, stopped[name])
        elif event == "result" and name in cases and name not in outcomes:
            room -= len(message.arrays)
            note(message, results[name], name, outcomes, room)
            if len(results[name]) == cases[name]:
                outcomes.setdefault(name, results[name])


def note(message: Message, results: list[Arrays], name: str, outcomes: dict[str, Outcome], room: int) -> None:
    """Keep one result, or say why not.  room: bytes that are left for results after this one."""
    try:
        if room < 0:
            raise ValueError(f"returned more than {ROOM // 2**20} MiB in all")
        results.append(read_arrays(message.arrays))
    except ValueError as error:
        outcomes[name] = str(error)


def limits_in_force(hide: Sequence[str], limits: Limits) -> dict[str, bool]:
    """What `confine` really achieves on this machine, tried in a child: with a file of each folder that is to be hidden."""
    secrets = [str(file) for folder in hide for file in a_file(Path(folder))]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        parent = -1 if sys.platform == "win32" else os.geteuid()
        job = {"probe": [secrets, listener.getsockname()[1], parent]}
        child = Child(job, hide, next(users()), limits)
        try:
            message = child.next(STARTING)
        finally:
            child.end()
    if isinstance(message, Stop) or "held" not in message.about:
        why = message.why if isinstance(message, Stop) else message.about.get("why")
        raise ValueError(NOT_STARTED.format(why))
    return {**message.about["held"], "memory": sys.platform == "linux"}


def a_file(folder: Path) -> list[Path]:
    """One file of a folder, or of a folder in it."""
    return [path for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern)) if path.is_file()][:1]
