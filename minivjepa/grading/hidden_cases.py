"""The hidden cases of an exercise: for graders, needs the teacher's folder."""

import os
from collections.abc import Callable
from typing import Any

from minivjepa.grading.exercises import hidden_task, load
from minivjepa.homework.checking import verdict

SEED = "MINIVJEPA_SEED"  # environment variable; of the hidden inputs, 0 where it is not set


def check_hidden(assignment: str, exercise: str, function: Callable[..., Any]) -> None:
    """Try a function on hidden cases, as a line of nbgrader's tests does.  Raises CheckFailed, or ValueError without the folder."""
    [found] = [one for one in load(assignment) if one.name == exercise]
    verdict(hidden_task(assignment, found, int(os.environ.get(SEED, "0"))), function)
