"""Build every product of an assignment's text: python teacher/build.py [NAME ...]

From teacher/NAME/notebook.py and teacher/NAME/exercises.py come the student's notebook (notebooks/homework/NAME.ipynb, and a pristine
copy in the package), the visible cases of its checks (minivjepa_course/homework/NAME.json) and the solutions, executed
(teacher/solutions/NAME.ipynb).  Last, from all exercises, the table of mistakes in docs/homework.md.
"""

import json
import os
import re
import sys
from pathlib import Path

import nbformat
from assignment import MARKER, cases_to_json, hidden_cases, load, read_source, visible_cases
from nbclient import NotebookClient

from minivjepa_course.homework.cases import ExerciseCases, same
from minivjepa_course.homework.notebooks import WRITTEN, is_answer

TEACHER = Path(__file__).parent
ROOT = TEACHER.parent
sys.path.insert(0, str(ROOT / "results"))
from pages import fill  # noqa: E402  (a page's tables are put in the same way here and there)

PAGE = ROOT / "docs" / "homework.md"
SEEDS = range(3)  # of the hidden inputs that the table of mistakes tries
STUB = "# YOUR CODE HERE\nraise NotImplementedError()"  # what nbgrader puts in place of a solution
SOLUTION = re.compile(r"^(?P<indent>[ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION$", re.M | re.S)
HIDDEN = re.compile(r"\n?^[ \t]*### BEGIN HIDDEN TESTS\n.*?^[ \t]*### END HIDDEN TESTS$", re.M | re.S)


def student_version(source: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy without answers and hidden tests, as nbgrader's generate_assignment makes it."""
    notebook = nbformat.from_dict(source)
    for cell in notebook.cells:
        cell.source = HIDDEN.sub("", cell.source)
        cell.source = SOLUTION.sub(lambda m: "\n".join(m["indent"] + line for line in STUB.split("\n")), cell.source)
        if cell.cell_type == "markdown" and is_answer(cell):
            cell.source = WRITTEN
    return notebook


def solution_version(source: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A copy with answers, without hidden tests and markers."""
    notebook = nbformat.from_dict(source)
    for cell in notebook.cells:
        cell.source = MARKER.sub("", HIDDEN.sub("", cell.source)).rstrip("\n")
    return notebook


def cases_text(assignment: str) -> str:
    """The visible cases of all exercises as JSON."""
    held = {exercise.name: cases_to_json(visible_cases(assignment, exercise)) for exercise in load(assignment)}
    return json.dumps(held, separators=(",", ":")) + "\n"


def build(assignment: str) -> None:
    """Write all products of one assignment."""
    (ROOT / "minivjepa_course" / "homework" / f"{assignment}.json").write_text(cases_text(assignment), encoding="utf-8")
    source = read_source(TEACHER / assignment / "notebook.py")
    (ROOT / "notebooks" / "homework").mkdir(exist_ok=True)
    for folder in (ROOT / "notebooks" / "homework", ROOT / "minivjepa_course" / "homework"):
        nbformat.write(student_version(source), folder / f"{assignment}.ipynb")
    solutions = solution_version(source)
    os.environ["OMP_NUM_THREADS"] = "1"
    (TEACHER / "solutions").mkdir(exist_ok=True)
    NotebookClient(solutions, timeout=300, resources={"metadata": {"path": str(TEACHER / "solutions")}}).execute()
    for cell in solutions.cells:
        cell.metadata.pop("execution", None)
    nbformat.write(solutions, TEACHER / "solutions" / f"{assignment}.ipynb")


def assignments() -> list[str]:
    """The names of all assignments that have a text."""
    return sorted(path.parent.name for path in TEACHER.glob("*/notebook.py"))


def catches(exercise: ExerciseCases, message: str) -> bool:
    """Whether a function with this mistake is wrong, or stops, in some case."""
    return any(
        message not in case.mistakes or not same(case.expected, case.mistakes[message]) for case in exercise.cases
    )


def mutation_table() -> str:
    """As Markdown: how many mistakes are known, then each of them and whether visible and hidden cases find it."""
    visible = hidden = exercises = 0
    rows = ["| | exercise | a function with this mistake | visible | hidden |", "| --- | --- | --- | :---: | :---: |"]
    for assignment in assignments():
        for exercise in load(assignment):
            seen = visible_cases(assignment, exercise)
            unseen = [hidden_cases(assignment, exercise, seed) for seed in SEEDS]
            exercises += 1
            for message, _ in exercise.mistakes:
                shown, found = catches(seen, message), sum(catches(drawn, message) for drawn in unseen)
                visible, hidden = visible + shown, hidden + (found == len(SEEDS))
                marks = "✓" if shown else "-", {0: "-", len(SEEDS): "✓"}.get(found, f"{found} of {len(SEEDS)} seeds")
                words = message.replace("|", "\\|")
                rows.append(f"| {assignment} | `{exercise.name}` | {words} | {marks[0]} | {marks[1]} |")
    count = len(rows) - 2
    total = f"{count} mistakes in {exercises} exercises; the visible cases find {visible}, the hidden ones of every seed {hidden}."
    return "\n".join([total, "", *rows])


def main(names: list[str]) -> None:
    """Build the named assignments, or all, and the table of mistakes."""
    for name in names or assignments():
        build(name)
        print(f"{name}: student's notebook, cases and solutions are built", flush=True)
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), {"mistakes": mutation_table()}), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: the table of mistakes is built", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
