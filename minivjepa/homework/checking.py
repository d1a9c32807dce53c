"""The visible check of an exercise: it raises, and its message teaches."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from minivjepa.homework.calling import ADAPTERS, Blocked, blocking
from minivjepa.homework.cases import Arrays, Task, diagnose, task_from_json

FOLDER = Path(__file__).parent
LONGEST = 24  # values of an array that a message shows


class CheckFailed(AssertionError):
    """An exercise is not right yet; the message says what is likely wrong."""


def assignments() -> list[str]:
    """The names of all assignments."""
    return sorted(path.stem for path in FOLDER.glob("hw*.json"))


def load_task(assignment: str, exercise: str) -> Task:
    """The visible cases of an exercise.  Raises ValueError for an unknown name."""
    if assignment not in assignments():
        raise ValueError(f"unknown assignment {assignment!r}; choose from {', '.join(assignments())}")
    held = json.loads((FOLDER / f"{assignment}.json").read_text(encoding="utf-8"))
    if exercise not in held:
        raise ValueError(f"{assignment} has no exercise {exercise!r}; choose from {', '.join(held)}")
    return task_from_json(exercise, held[exercise])


def check(assignment: str, exercise: str, function: Callable[..., Any]) -> None:
    """Try a student's function on the visible cases.  Raises CheckFailed with what is likely wrong."""
    task = load_task(assignment, exercise)
    verdict(task, function)
    print(f"{exercise}: right in all {len(task.cases)} visible cases")


def verdict(task: Task, function: Callable[..., Any]) -> None:
    """Raise CheckFailed unless the function is right in every case of the task."""
    results: list[Arrays] = []
    for case in task.cases:
        try:
            with blocking(task.blocked):
                results.append(ADAPTERS[task.adapter](function, case.inputs))
        except NotImplementedError:
            raise CheckFailed(f"{task.name} is not written yet") from None
        except Blocked as error:
            raise CheckFailed(f"{task.name}: {error}") from None
        except Exception as error:
            raise CheckFailed(
                f"{task.name} stopped with {type(error).__name__}: {error}\n  called with {in_words(case.inputs)}"
            ) from error
    found = diagnose(task.cases, results)
    if found:
        message, number = found
        draw(task.cases[number].expected, results[number])
        raise CheckFailed(f"{task.name}: {message}\n{shown(task, number, results[number])}")


def in_words(inputs: dict[str, Any]) -> str:
    """Inputs on one line: numbers as they are, tensors by shape, small ones with values."""
    parts = []
    for name, value in inputs.items():
        if isinstance(value, Tensor):
            text = str(value.tolist()) if value.numel() <= LONGEST else ""
            parts.append(f"{name} = tensor {list(value.shape)} {text}".rstrip())
        else:
            text = " ".join(repr(value).split())
            parts.append(f"{name} = {text}" if len(text) < 200 else f"{name} = ...")
    return ", ".join(parts)


def shown(task: Task, number: int, got: Arrays) -> str:
    """A case, what was expected and what came, in a few lines."""
    case = task.cases[number]
    lines = [f"  case {number + 1} of {len(task.cases)}, called with {in_words(case.inputs)}"]
    for name in case.expected:
        if name not in got or not np.array_equal(case.expected[name], got[name]):
            lines.append(f"  expected {name}: {brief(case.expected[name])}")
            lines.append(f"  got      {name}: {brief(got[name]) if name in got else 'nothing'}")
    return "\n".join(lines[:7])


def brief(array: np.ndarray) -> str:
    """An array as text: its values if they are few, else its shape and first values."""
    rounded = array.round(4) if array.dtype.kind == "f" else array
    if array.size <= LONGEST:
        return str(rounded.tolist())
    return f"shape {list(array.shape)}, first values {rounded.ravel()[:8].tolist()} ..."


def draw(expected: Arrays, got: Arrays) -> None:
    """Show a result that is a picture of its own (two axes, both longer than 1) beside the expected one, in a notebook."""
    right, mine = expected.get("result"), got.get("result")
    if (
        right is None
        or mine is None
        or right.ndim != 2
        or mine.shape != right.shape
        or min(right.shape) < 2
        or not in_notebook()
    ):
        return
    from minivjepa.course.figures.side_by_side import side_by_side
    from minivjepa.course.lesson import show

    show(side_by_side(right, mine))


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return type(get_ipython()).__name__ == "ZMQInteractiveShell"
