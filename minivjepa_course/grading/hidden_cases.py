"""Assignments with their hidden cases.  Code in the teacher's folder computes them; students' copies lack that folder."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEACHER = Path(__file__).parents[2] / "teacher"


def teachers_code() -> dict[str, Any]:
    """The functions of teacher/assignment.py.  Raises ValueError if the folder was removed."""
    if not TEACHER.is_dir():
        raise ValueError(f"{TEACHER} is missing: answers and hidden checks belong to teachers and are not in this copy")
    return runpy.run_path(str(TEACHER / "assignment.py"))


def check_hidden(assignment: str, exercise: str, function: Callable[..., Any]) -> None:
    """For the tests that nbgrader runs: raise CheckFailed unless a function is right in the hidden cases of MINIVJEPA_SEED."""
    teachers_code()["check_hidden"](assignment, exercise, function)
