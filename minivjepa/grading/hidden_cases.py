"""The hidden cases of an exercise, for the tests that nbgrader runs; needs the teacher's folder."""

import os
from collections.abc import Callable
from typing import Any

from minivjepa.grading.exercises import hidden_cases, load
from minivjepa.homework.checking import require_right

SEED = "MINIVJEPA_SEED"  # environment variable: seed of the hidden inputs, 0 by default


def check_hidden(assignment: str, exercise: str, function: Callable[..., Any]) -> None:
    """Try a function on hidden cases.  Raises CheckFailed, or ValueError without the teacher's folder."""
    [found] = [one for one in load(assignment) if one.name == exercise]
    require_right(hidden_cases(assignment, found, int(os.environ.get(SEED, "0"))), function)
