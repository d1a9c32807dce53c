"""The visible check of an exercise: where a function is wrong it raises, and the message teaches."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from minivjepa_course.homework.calling import ADAPTERS, NOT_WRITTEN, Blocked, blocking, error_in_words, is_unwritten
from minivjepa_course.homework.cases import (
    Arrays,
    ExerciseCases,
    alike,
    cases_from_json,
    diagnose,
    equal_values,
    fits,
    kind,
)
from minivjepa_course.homework.program import SECONDS

FOLDER = Path(__file__).parent
LESSONS = FOLDER.parent / "lessons"
LONGEST = 24  # values of an array that a message shows in full
SHOWN = 8  # of a larger one
MOST_INPUT = 600  # characters of an input


class CheckFailed(AssertionError):
    """An exercise is not right yet; the message says what is likely wrong."""


class YourTurn(CheckFailed):
    """An exercise of a lesson is not right yet.  Jupyter shows the message without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def assignments() -> list[str]:
    """The names of all assignments."""
    return sorted(path.stem for path in FOLDER.glob("hw*.json"))


def load_cases(assignment: str, exercise: str) -> ExerciseCases:
    """The visible cases of an exercise.  Raises ValueError for an unknown name."""
    return cases_from_json(exercise, stored_exercise(assignment, exercise))


def stored_exercise(assignment: str, exercise: str) -> dict[str, Any]:
    """What is stored of an exercise.  assignment: of homework, or lessonNN.  Raises ValueError for an unknown name."""
    files = {path.stem: path for folder in (FOLDER, LESSONS) for path in sorted(folder.glob("*.json"))}
    if assignment not in files:
        raise ValueError(f"unknown assignment {assignment!r}; choose from {', '.join(files)}")
    held = json.loads(files[assignment].read_text(encoding="utf-8"))
    if exercise not in held:
        raise ValueError(f"{assignment} has no exercise {exercise!r}; choose from {', '.join(held)}")
    return dict(held[exercise])


def check(assignment: str, exercise: str, function: Callable[..., Any]) -> None:
    """Try a student's function on the visible cases.  Raises CheckFailed with what is likely wrong."""
    visible = load_cases(assignment, exercise)
    slowest = require_right(visible, function)
    if slowest > SECONDS:
        raise CheckFailed(f"{exercise}: a call took {slowest:.0f} s, and grading stops a call after {SECONDS:.0f} s")
    print(f"{exercise}: right in all {len(visible.cases)} visible cases")


def is_right(assignment: str, exercise: str, function: Callable[..., Any]) -> bool:
    """Whether a student's function is right in all visible cases; if not, say that its picture waits."""
    visible = load_cases(assignment, exercise)
    try:
        with blocking(visible.blocked):
            results = [ADAPTERS[visible.adapter](function, case.inputs) for case in visible.cases]
        right = diagnose(visible.cases, results) is None
    except Exception:  # the check above says which, and why
        right = False
    if not right:
        print(f"A picture comes here as soon as {exercise} is right.")
    return right


def attempt(lesson: str, function: Callable[..., Any]) -> None:
    """The last line of an exercise in lesson NN: say that the function is right, or raise YourTurn with what is likely wrong."""
    try:
        require_right(load_cases(f"lesson{lesson}", function.__name__), function)
    except CheckFailed as error:
        raise YourTurn(str(error)) from None
    print(f"{function.__name__}: right")


def solution(lesson: str, exercise: str) -> None:
    """Print the solution of an exercise in lesson NN."""
    print(stored_exercise(f"lesson{lesson}", exercise)["solution"])


def require_right(exercise: ExerciseCases, function: Callable[..., Any]) -> float:
    """Raise CheckFailed unless the function is right in every case.  The seconds of the slowest call."""
    results: list[Arrays] = []
    slowest = 0.0
    for number, case in enumerate(exercise.cases):
        begun = time.monotonic()
        try:
            with blocking(exercise.blocked):
                results.append(ADAPTERS[exercise.adapter](function, case.inputs))
        except Blocked as error:
            raise CheckFailed(f"{exercise.name}: {error}") from None
        except (Exception, SystemExit) as error:
            if is_unwritten(error):
                raise CheckFailed(f"{exercise.name} is {NOT_WRITTEN}") from None
            why = f"stopped with {error_in_words(error)}\n{case_in_words(exercise, number)}"
            raise CheckFailed(f"{exercise.name} {why}") from error
        slowest = max(slowest, time.monotonic() - begun)
    found = diagnose(exercise.cases, results)
    if found:
        message, number = found
        draw_side_by_side(exercise.cases[number].expected, results[number])
        raise CheckFailed(f"{exercise.name}: {message}\n{case_in_words(exercise, number, results[number])}")
    return slowest


def input_in_words(value: Any) -> str:
    """An input: numbers and text as they are, a tensor with its shape, and what is long with its first values."""
    if isinstance(value, Tensor):
        return f"tensor {list(value.shape)} {values_in_words(value.numpy())}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {input_in_words(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list | tuple):
        more = f", ... {len(value)} in all" if len(value) > LONGEST else ""
        inside = ", ".join(map(input_in_words, value[:LONGEST])) + more
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    return " ".join(repr(value).split())


def case_in_words(exercise: ExerciseCases, number: int, got: Arrays | None = None) -> str:
    """A case in a few lines: its inputs and, where there is a result, what was expected and the student's."""
    case = exercise.cases[number]
    lines = [f"  the rule: {case.rule}"] if case.rule else []
    inputs = ", ".join(f"{name} = {input_in_words(value)[:MOST_INPUT]}" for name, value in case.inputs.items())
    lines.append(f"  case {number + 1} of {len(exercise.cases)}, called with {inputs or 'nothing'}")
    for name, expected in case.expected.items():
        if got is None or (name in got and alike(expected, got[name])):
            continue
        mine, first = got.get(name), 0
        if mine is not None and fits(expected, mine):
            first = int(np.argmax(~equal_values(expected, mine)))
        lines.append(f"  expected {name}: {array_in_words(expected, first)}")
        lines.append(f"  got      {name}: {'nothing of this name' if mine is None else array_in_words(mine, first)}")
    return "\n".join(lines[:8])


def array_in_words(array: np.ndarray, first: int = 0) -> str:
    """An array as text: its values if they are few, else its shape and the values around the first that differs."""
    if array.size <= LONGEST:
        return values_in_words(array)
    start = max(0, min(first - 3, array.size - SHOWN))
    place = f"values from {[int(i) for i in np.unravel_index(start, array.shape)]} on" if start else "first values"
    return f"shape {list(array.shape)}, {place} {values_in_words(array.ravel()[start : start + SHOWN])} ..."


def values_in_words(array: np.ndarray) -> str:
    """The values of an array, of a large one the first."""
    more = " ..." if array.size > LONGEST else ""
    few = array.ravel()[:SHOWN] if more else array
    return f"{(few.astype(float).round(4) if few.dtype.kind == 'f' else few).tolist()}{more}"


def draw_side_by_side(expected: Arrays, got: Arrays) -> None:
    """In a notebook, draw a result with two axes longer than 1 beside the expected one, and where they differ."""
    right, mine = expected.get("result"), got.get("result")
    if right is None or mine is None or not fits(right, mine):  # the message says so
        return
    if right.ndim != 2 or min(right.shape) < 2 or kind(right) == "text":
        return
    ipython = sys.modules.get("IPython")  # a kernel has imported it
    if ipython is None or type(ipython.get_ipython()).__name__ != "ZMQInteractiveShell":
        return
    from minivjepa.figures import Picture, strip
    from minivjepa_course.lesson import show

    different = ~equal_values(right, mine)
    right, mine = right.astype(float), mine.astype(float)
    limits = float(np.nanmin([right, mine])), float(np.nanmax([right, mine]))
    figure, axes = strip([[right, mine, different]], ["expected", "yours", "where they differ"], 2.8, 3, limits=limits)
    axes[2].images[0].set_clim(0, 1)
    (rows, columns), count = right.shape, int(different.sum())
    alt = f"Three panels of {rows} by {columns} values: expected, yours, and where they differ, in {count} places."
    show(
        Picture(
            figure,
            alt,
            f"What was expected, what you got, and in yellow where they differ: {count} of {right.size} values.",
        )
    )
