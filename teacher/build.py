"""Build every product of an assignment's text: python teacher/build.py [NAME ...]

From teacher/NAME/notebook.py and teacher/NAME/exercises.py come the student's notebook (notebooks/homework/NAME.ipynb, and a pristine
copy in the package), the visible cases of its checks (minivjepa/homework/NAME.json) and the solutions, executed
(teacher/solutions/NAME.ipynb).
"""

import json
import os
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from minivjepa.homework.cases import task_to_json
from minivjepa.homework.exercises import load, visible_task
from minivjepa.homework.notebooks import read_source, solution_version, student_version

TEACHER = Path(__file__).parent
ROOT = TEACHER.parent


def cases_text(assignment: str) -> str:
    """The visible cases of all exercises as JSON."""
    held = {exercise.name: task_to_json(visible_task(assignment, exercise)) for exercise in load(assignment)}
    return json.dumps(held, separators=(",", ":")) + "\n"


def build(assignment: str) -> None:
    """Write all products of one assignment."""
    (ROOT / "minivjepa" / "homework" / f"{assignment}.json").write_text(cases_text(assignment), encoding="utf-8")
    source = read_source(TEACHER / assignment / "notebook.py")
    (ROOT / "notebooks" / "homework").mkdir(exist_ok=True)
    for folder in (ROOT / "notebooks" / "homework", ROOT / "minivjepa" / "homework"):
        nbformat.write(student_version(source), folder / f"{assignment}.ipynb")
    solutions = solution_version(source)
    os.environ["OMP_NUM_THREADS"] = "1"
    (TEACHER / "solutions").mkdir(exist_ok=True)
    NotebookClient(solutions, timeout=300, resources={"metadata": {"path": str(TEACHER / "solutions")}}).execute()
    for cell in solutions.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(solutions, TEACHER / "solutions" / f"{assignment}.ipynb")


def main(names: list[str]) -> None:
    """Build the named assignments, or all."""
    for name in names or sorted(path.parent.name for path in TEACHER.glob("*/notebook.py")):
        build(name)
        print(f"{name}: student's notebook, cases and solutions are built", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
