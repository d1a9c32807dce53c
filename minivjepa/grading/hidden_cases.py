"""The hidden cases of an exercise, for the tests that nbgrader runs; needs the teacher's folder."""

import os
from collections.abc import Callable
from typing import Any

from minivjepa.grading.exercises import hidden_cases, load
from minivjepa.homework.checking import require_right


def check_hidden(assignment: str, exercise: str, function: Callable[..., Any]) -> None:
    """Try a function on the hidden cases of the seed in MINIVJEPA_SEED (0 if it is not set).

    Raises CheckFailed, or ValueError without the teacher's folder.
    """
    [found] = [one for one in load(assignment) if one.name == exercise]
    require_right(hidden_cases(assignment, found, int(os.environ.get("MINIVJEPA_SEED", "0"))), function)
