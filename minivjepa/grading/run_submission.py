"""A submission's functions are called in a child process; when it breaks a limit, another child takes over the rest."""

import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from minivjepa.grading.child_process import Child, Stop
from minivjepa.grading.messages import ROOM, read_arrays
from minivjepa.grading.processes import user_ids
from minivjepa.grading.sandbox import SECONDS
from minivjepa.homework.cases import CHANGED, Arrays, Case, ExerciseCases, encode

STARTING = 60.0  # seconds that a child may take to load torch
GIVEN = 60.0  # seconds for the given cells, which are the teacher's
TOTAL = 90.0  # seconds for all cells and calls of a submission
NOT_STARTED = (
    "the process that calls submissions did not start: {}. Is Python in a folder that other users may not enter, or is the machine "
    "busy? Finished results are kept: mend this, then run the command again with --resume"
)
NOT_GIVEN = "the given cells of the assignment did not finish: {}; run them in your text of it"
PROBE = "from minivjepa.grading.sandbox import probe"  # a submission that tries the limits
CallResults = list[Arrays] | str  # of an exercise: the results of its cases, or why there are none


def run_submission(
    given: str,
    cells: Sequence[tuple[str, str]],
    exercises: Sequence[ExerciseCases],
    hide: Sequence[str],
    users: Iterator[int],
) -> tuple[dict[str, CallResults], bool]:
    """Call the functions of all exercises.  What ends a child costs only the exercise or cell that it was running.

    hide: folders that children must not see; users: a user id for each child.  Returns the results of every exercise,
    and whether one was lost through no fault of the submission, such as a busy machine.  Raises ValueError if a child
    does not reach the first answer.
    """
    results: dict[str, CallResults] = {}
    seconds, again = TOTAL, False
    cells, left = list(cells), list(exercises)
    while left and seconds > 0:
        asked = [
            {"name": exercise.name, "adapter": exercise.adapter, "blocked": list(exercise.blocked),
             "inputs": [encode(case.inputs) for case in exercise.cases]}
            for exercise in left
        ]  # fmt: skip
        child = Child({"given": given, "cells": cells, "exercises": asked, "hide": hide}, next(users))
        try:
            wait_until_ready(child)
            begun = time.monotonic()
            end = follow(child, [name for name, _ in cells], left, results, begun + seconds)
            seconds -= time.monotonic() - begun
        finally:
            child.end()
        if end is None:
            break
        culprit, stop = end
        results[culprit], again = stop.why, again or stop.again
        cells = [cell for cell in cells if cell[0] != culprit]
        left = [exercise for exercise in left if exercise.name not in results]
    for exercise in exercises:
        results.setdefault(exercise.name, f"was not called: the submission used up its {TOTAL:.0f} s")
    return results, again


def wait_until_ready(child: Child) -> None:
    """Wait until the child is confined and has run the given cells.  Raises ValueError if it does not get there."""
    message = child.next(STARTING)
    if isinstance(message, Stop):
        raise ValueError(NOT_STARTED.format(message.why))
    if message.about.get("event") != "ready":
        child.user = None  # it did not take its id and has run nothing: processes with that id are not its own
        raise ValueError(NOT_STARTED.format(message.about.get("why")))
    message = child.next(GIVEN)
    if isinstance(message, Stop):
        raise ValueError(NOT_GIVEN.format(message.why))


def follow(
    child: Child,
    cells: Sequence[str],
    exercises: Sequence[ExerciseCases],
    results: dict[str, CallResults],
    deadline: float,
) -> tuple[str, Stop] | None:
    """Listen to one child and add complete results; None when it finishes, else what it was running, and what ended it."""
    cases = {exercise.name: len(exercise.cases) for exercise in exercises}
    so_far: dict[str, list[Arrays]] = {name: [] for name in cases}
    stopped: dict[str, str] = {}
    running, room = exercises[0].name, ROOM
    while True:
        left = deadline - time.monotonic()
        if left <= 0:  # messages may never end
            return running, Stop(f"used up the submission's {TOTAL:.0f} s", True)
        message = child.next(min(SECONDS, left))
        if isinstance(message, Stop):
            return running, message
        event, name = message.about.get("event"), message.about.get("exercise")
        if event == "end":
            for name in cases:  # what is not complete is not right
                results.setdefault(name, stopped.get(name, "did not answer"))
            return None
        if not isinstance(name, str) or (name not in cases and name not in cells):
            continue  # not an exercise of this assignment
        if event in ("cell", "call"):
            running = name
        elif event == "stopped":
            stopped.setdefault(name, str(message.about.get("why"))[:400])
            if name in cases and message.about.get("case") is not None:
                results.setdefault(name, stopped[name])
        elif event == "result" and name in cases and name not in results:
            try:
                so_far[name].append(read_arrays(message.arrays, room))
            except ValueError as error:
                results[name] = str(error)
            room -= len(message.arrays)
            if len(so_far[name]) == cases[name]:
                results.setdefault(name, so_far[name])


def limits_in_force(hide: Sequence[str]) -> dict[str, bool]:
    """What `confine` achieves on this machine, tried in a child with one file of each folder that is to be hidden."""
    secrets = [str(file) for folder in hide for file in first_file(Path(folder))]
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        parent = -1 if sys.platform == "win32" else os.geteuid()
        inputs = {"secrets": secrets, "port": listener.getsockname()[1], "parent": parent}
        asked = ExerciseCases("probe", "call", (), (Case(inputs, {}),))
        found = run_submission("", [("probe", PROBE)], [asked], hide, user_ids())[0]["probe"]
    if isinstance(found, str):
        raise ValueError(NOT_STARTED.format(found))
    held = {name.removeprefix("result."): bool(value) for name, value in found[0].items() if name != CHANGED}
    return {**held, "memory": sys.platform == "linux"}


def first_file(folder: Path) -> list[Path]:
    """One file of a folder or of a folder in it, if there is any."""
    return [path for pattern in ("*", "*/*") for path in sorted(folder.glob(pattern)) if path.is_file()][:1]
