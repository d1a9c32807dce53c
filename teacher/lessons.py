"""The cases of a lesson's exercises, computed from its text and from teacher/lessonNN/exercises.py."""

import json
from collections.abc import Sequence
from pathlib import Path

from assignment import MARKER, TEACHER, cases_of, cases_to_json, load, shown
from nbformat import NotebookNode

GIVEN = "import math\n\nimport torch\nfrom einops import rearrange\n"  # what an answer may use without importing it
ATTEMPT = "\nattempt("  # the call below an answer, which checks it


def answers(cells: Sequence[NotebookNode]) -> dict[str, str]:
    """Exercise -> code of its solution, in the order of the lesson."""
    written = [(cell.metadata["exercise"], cell.source) for cell in cells if "exercise" in cell.metadata]
    return {name: MARKER.sub("", source).split(ATTEMPT)[0].strip() + "\n" for name, source in written}


def cases_text(lesson: Path, cells: Sequence[NotebookNode]) -> str:
    """The cases and solutions of all exercises of a lesson as JSON; "" if it has none."""
    solutions = answers(cells)
    if not solutions:
        return ""
    held = {}
    given = GIVEN
    for exercise in load(f"lesson{lesson.stem[:2]}"):
        code = solutions.pop(exercise.name)
        held[exercise.name] = {
            **cases_to_json(cases_of(exercise, given, code, shown(exercise))),
            "solution": code,
        }
        given += code  # a later answer may call it
    if solutions:
        raise ValueError(f"{lesson.stem} asks for {', '.join(solutions)}; write its cases in {TEACHER.name}/")
    return json.dumps(held, separators=(",", ":")) + "\n"
