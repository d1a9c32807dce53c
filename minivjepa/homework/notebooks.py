"""Assignments as notebooks: from the teacher's text to the student's notebook and the solutions, and back by grade_id.

The text is py:percent.  A code cell `# %% grade_id="f" kind="answer"` defines the function f, with the right answer between
BEGIN SOLUTION and END SOLUTION; `kind="check" points=3` tests it; a markdown cell `kind="written" points=6` is marked by hand.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

STUB = "# YOUR CODE HERE\nraise NotImplementedError()"  # what nbgrader puts in place of a solution, and so do we
WRITTEN = "YOUR ANSWER HERE"
SOLUTION = re.compile(r"^(?P<indent>[ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION$", re.M | re.S)
HIDDEN = re.compile(r"\n?^[ \t]*### BEGIN HIDDEN TESTS\n.*?^[ \t]*### END HIDDEN TESTS$", re.M | re.S)
MARKER = re.compile(r"^[ \t]*### (BEGIN|END) (SOLUTION|HIDDEN TESTS)\n?", re.M)


def read_source(path: Path) -> NotebookNode:
    """The teacher's text as a notebook: answers, hidden tests and markers inside, cells with nbgrader's metadata."""
    try:
        import jupytext  # teachers have it, students do not need it
    except ImportError:
        raise ValueError(
            "reading a teacher's text needs jupytext, which is not installed; run: pip install 'minivjepa[test]'"
        ) from None

    notebook = jupytext.read(path, fmt="py:percent")
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3", "language": "python", "name": "python3"},
        language_info={"name": "python"},
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{path.parent.name}-{number:03d}"
        kind, name, points = (cell.metadata.get(key) for key in ("kind", "grade_id", "points"))
        cell.metadata = (
            NotebookNode() if kind is None else NotebookNode(nbgrader=metadata(cell, str(kind), str(name), points))
        )
    return notebook


def metadata(cell: NotebookNode, kind: str, name: str, points: Any) -> dict[str, Any]:
    """What nbgrader needs to know of a cell.  Raises ValueError for an unknown kind."""
    flags = {"answer": (False, True, False), "check": (True, False, True), "written": (True, True, False)}
    if kind not in flags:
        raise ValueError(f"cell {name!r} is of kind {kind!r}; choose from {', '.join(flags)}")
    grade, solution, locked = flags[kind]
    found = {
        "grade": grade,
        "solution": solution,
        "locked": locked,
        "task": False,
        "grade_id": name,
        "schema_version": 3,
    }
    return found | ({"points": float(points), "cell_type": cell.cell_type} if grade else {"cell_type": cell.cell_type})


def graded(notebook: NotebookNode) -> dict[str, NotebookNode]:
    """grade_id -> cell, of every cell that carries nbgrader's metadata; of two with one id the first counts."""
    found: dict[str, NotebookNode] = {}
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader", {})
        if isinstance(about, dict) and isinstance(about.get("grade_id"), str):
            found.setdefault(about["grade_id"], cell)
    return found


def is_answer(cell: NotebookNode) -> bool:
    """Whether students write this cell."""
    about = cell.metadata.get("nbgrader", {})
    return bool(about.get("solution"))


def is_check(cell: NotebookNode) -> bool:
    """Whether this cell is worth points by itself."""
    about = cell.metadata.get("nbgrader", {})
    return bool(about.get("grade")) and not about.get("solution")


def student_version(source: NotebookNode) -> NotebookNode:
    """A copy without answers and hidden tests, as nbgrader's generate_assignment makes it."""
    notebook = nbformat.from_dict(source)
    for cell in notebook.cells:
        cell.source = HIDDEN.sub("", cell.source)
        cell.source = SOLUTION.sub(lambda m: "\n".join(m["indent"] + line for line in STUB.split("\n")), cell.source)
        if cell.cell_type == "markdown" and is_answer(cell):
            cell.source = WRITTEN
    return notebook


def solution_version(source: NotebookNode) -> NotebookNode:
    """A copy with the answers and without markers; hidden tests are left out."""
    notebook = nbformat.from_dict(source)
    for cell in notebook.cells:
        cell.source = MARKER.sub("", HIDDEN.sub("", cell.source)).rstrip("\n")
    return notebook


def answer_code(notebook: NotebookNode, given: bool) -> dict[str, str]:
    """grade_id -> code of the answer cells; or, under "", the code of all cells that are given and no checks."""
    if given:
        cells: Iterable[NotebookNode] = (
            c for c in notebook.cells if c.cell_type == "code" and "nbgrader" not in c.metadata
        )
        return {"": "\n\n".join(cell.source for cell in cells)}
    clean = graded(solution_version(notebook))
    return {name: cell.source for name, cell in clean.items() if cell.cell_type == "code" and is_answer(cell)}


def with_answers(pristine: NotebookNode, submitted: NotebookNode) -> NotebookNode:
    """The pristine notebook with a submission's answer cells, matched by grade_id; all else of the submission is left out."""
    notebook = nbformat.from_dict(pristine)
    theirs = graded(submitted)
    for name, cell in graded(notebook).items():
        if is_answer(cell) and name in theirs and theirs[name].cell_type == cell.cell_type:
            cell.source = theirs[name].source
    return notebook


def read_notebook(path: Path) -> NotebookNode:
    """A notebook that somebody handed in.  Raises ValueError if it is none, saying why."""
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name} cannot be read ({error})") from None
    except Exception as error:  # nbformat raises many types for a file that is no notebook
        raise ValueError(
            f"{path.name} is not a notebook that Jupyter can open ({type(error).__name__}); save it again in Jupyter"
        ) from None
    return notebook
