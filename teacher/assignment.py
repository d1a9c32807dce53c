"""What a teacher writes for an assignment, and how its cases are computed.

teacher/NAME/notebook.py is the text in py:percent form.  A code cell `# %% grade_id="f" kind="answer"` defines the function f, with the
right answer between BEGIN SOLUTION and END SOLUTION; `kind="check" points=3` tests it; a markdown cell `kind="written" points=6`
is marked by hand, or, if teacher/NAME/project.py lists it, by the weights beside the notebook; a cell `folded=true` starts folded.  teacher/NAME/exercises.py has one Exercise for every function that the text asks for.  Lessons' exercises are in
teacher/lessonNN/exercises.py; notebooks/build.py computes their cases.
"""

import functools
import os
import re
import runpy
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from nbformat import NotebookNode

from minivjepa_course.grading.graded import Assignment
from minivjepa_course.homework.calling import ADAPTERS
from minivjepa_course.homework.cases import Arrays, Case, ExerciseCases, Inputs, encode
from minivjepa_course.homework.checking import require_right
from minivjepa_course.homework.notebooks import cells_by_id, given_cells, is_answer

TEACHER = Path(__file__).parent
if str(TEACHER) not in sys.path:
    sys.path.append(str(TEACHER))  # exercises.py imports this file by its name
MARKER = re.compile(r"^[ \t]*### (BEGIN|END) (SOLUTION|HIDDEN TESTS)\n?", re.M)
FLAGS = {  # of nbgrader, for each kind of cell
    "answer": {"grade": False, "solution": True, "locked": False},
    "check": {"grade": True, "solution": False, "locked": True},
    "written": {"grade": True, "solution": True, "locked": False},
}


@dataclass(frozen=True)
class Exercise:
    """One function that students write.

    name: of the function, and the grade_id of its answer cell.  blocked: full names in the package that would answer it.
    visible: inputs that students see; in homework, each with the rule of the text that it shows.  hidden: draws inputs that they do not
    see from a random generator, (rule, inputs) each, and varies whatever the text leaves free.  mistakes: (message, code) of common wrong
    answers.  styles: code of right answers that look different.  adapter: a name in calling.ADAPTERS.  equivalent: mutants (mutants.py)
    that no input can tell from the answer -> why.
    """

    name: str
    blocked: tuple[str, ...]
    visible: tuple[Inputs, ...] | dict[str, Inputs]
    hidden: Callable[[np.random.Generator], list[tuple[str, Inputs]]]
    mistakes: tuple[tuple[str, str], ...]
    styles: tuple[str, ...]
    adapter: str = "call"
    equivalent: dict[str, str] = field(default_factory=dict)


def load(assignment: str) -> list[Exercise]:
    """The exercises of an assignment.  Raises ValueError for an unknown assignment."""
    file = TEACHER / assignment / "exercises.py"
    if not file.exists():
        known = sorted(path.parent.name for path in TEACHER.glob("*/exercises.py"))
        raise ValueError(f"unknown assignment {assignment!r}; choose from {', '.join(known)}")
    return list(runpy.run_path(str(file))["EXERCISES"])


def read_source(path: Path) -> NotebookNode:
    """The teacher's text as a notebook: answers, hidden tests and markers inside, cells with nbgrader's metadata."""
    try:
        import jupytext  # teachers have it; students do not need it
    except ImportError:
        raise ValueError(
            "reading a teacher's text needs jupytext, which is not installed; run: pip install 'minivjepa[test]'"
        ) from None

    notebook = jupytext.read(path, fmt="py:percent")
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = NotebookNode(kernelspec=kernel, language_info={"name": "python"})
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{path.parent.name}-{number:03d}"
        about: dict[str, Any] = {"jupyter": {"source_hidden": True}} if "folded" in cell.metadata else {}
        if "kind" in cell.metadata:
            about = {"nbgrader": nbgrader_metadata(cell)}
        cell.metadata = NotebookNode(about)
    return notebook


def nbgrader_metadata(cell: NotebookNode) -> dict[str, Any]:
    """What nbgrader needs to know of a cell.  Raises ValueError for an unknown kind."""
    kind, grade_id = str(cell.metadata["kind"]), str(cell.metadata.get("grade_id"))
    if kind not in FLAGS:
        raise ValueError(f"cell {grade_id!r} is of kind {kind!r}; choose from {', '.join(FLAGS)}")
    points = {"points": float(cell.metadata["points"])} if FLAGS[kind]["grade"] else {}
    about = {"task": False, "grade_id": grade_id, "schema_version": 3}
    return {**FLAGS[kind], **about, **points, "cell_type": cell.cell_type}


@functools.cache
def given_code(assignment: str) -> str:
    """The code cells of an assignment that students do not write and that check nothing: imports and helpers."""
    return "\n\n".join(given_cells(read_source(TEACHER / assignment / "notebook.py")))


@functools.cache
def reference_code(assignment: str) -> dict[str, str]:
    """Exercise -> code of the right answer, from the text of the assignment."""
    cells = cells_by_id(read_source(TEACHER / assignment / "notebook.py"))
    answers = {name: cell for name, cell in cells.items() if cell.cell_type == "code" and is_answer(cell)}
    return {name: MARKER.sub("", cell.source).rstrip("\n") for name, cell in answers.items()}


def function_of(given: str, code: str, name: str) -> Callable[..., Any]:
    """Define a function as a student's notebook would."""
    space: dict[str, Any] = {"__name__": "homework"}
    exec(compile(given, "given cells", "exec"), space)
    exec(compile(code, name, "exec"), space)
    return space[name]


def result_or_none(exercise: Exercise, function: Callable[..., Any], inputs: Inputs) -> Arrays | None:
    """The result of a function for one input; None if it crashes."""
    try:
        return ADAPTERS[exercise.adapter](function, inputs)
    except Exception:
        return None


def compute_cases(assignment: str, exercise: Exercise, inputs: list[tuple[str, Inputs]]) -> ExerciseCases:
    """The cases of homework."""
    return cases_of(exercise, given_code(assignment), reference_code(assignment)[exercise.name], inputs)


def cases_of(exercise: Exercise, given: str, reference: str, inputs: list[tuple[str, Inputs]]) -> ExerciseCases:
    """(rule, inputs) with the right outputs, and the output of each known mistake that does not crash.

    given: code that runs before answers.  reference: code of the right answer.
    """
    right = function_of(given, reference, exercise.name)
    wrong = {message: function_of(given, code, exercise.name) for message, code in exercise.mistakes}
    cases = []
    for rule, values in inputs:
        expected = ADAPTERS[exercise.adapter](right, values)
        mistakes = {message: result_or_none(exercise, function, values) for message, function in wrong.items()}
        known = {message: got for message, got in mistakes.items() if got is not None}
        cases.append(Case(values, expected, known, rule))
    return ExerciseCases(exercise.name, exercise.adapter, exercise.blocked, tuple(cases))


def cases_to_json(exercise: ExerciseCases) -> dict[str, Any]:
    """An exercise's cases as plain JSON values."""
    cases = [encode(vars(case)) for case in exercise.cases]
    return {"adapter": exercise.adapter, "blocked": list(exercise.blocked), "cases": cases}


def shown(exercise: Exercise) -> list[tuple[str, Inputs]]:
    """The visible inputs, each with its rule; "" in a lesson."""
    given = exercise.visible
    return list(given.items()) if isinstance(given, dict) else [("", values) for values in given]


def visible_cases(assignment: str, exercise: Exercise) -> ExerciseCases:
    """The cases that students see."""
    return compute_cases(assignment, exercise, shown(exercise))


def hidden_cases(assignment: str, exercise: Exercise, seed: int) -> ExerciseCases:
    """The cases of a seed that students do not see."""
    drawn = exercise.hidden(np.random.default_rng(seed))
    return compute_cases(assignment, exercise, [one if isinstance(one, tuple) else ("", one) for one in drawn])


def prepare(name: str, seed: int) -> Assignment:
    """Compute all expected outputs once.  Raises ValueError for an unknown assignment."""
    exercises = []
    for exercise in load(name):
        visible, hidden = visible_cases(name, exercise), hidden_cases(name, exercise, seed)
        exercises.append(replace(visible, cases=visible.cases + hidden.cases))
    source = read_source(TEACHER / name / "notebook.py")
    cells = cells_by_id(source)
    worth = {key: cell.metadata.nbgrader["points"] for key, cell in cells.items() if cell.metadata.nbgrader["grade"]}
    points = {exercise.name: worth[f"check_{exercise.name}"] for exercise in exercises}
    projects = {key: functools.partial(judge, seed) for key, judge in projects_of(name).items()}
    points |= {key: worth[key] for key in projects}
    written = {key: value for key, value in worth.items() if is_answer(cells[key]) and key not in projects}
    return Assignment(name, tuple(given_cells(source)), tuple(exercises), points, written, projects)


def projects_of(name: str) -> dict[str, Callable[..., Any]]:
    """grade_id of a written cell -> what judges a file of weights, from teacher/NAME/project.py, if there is one."""
    file = TEACHER / name / "project.py"
    return dict(runpy.run_path(str(file))["PROJECTS"]) if file.exists() else {}


def check_hidden(assignment: str, exercise: str, function: Callable[..., Any]) -> None:
    """Raise CheckFailed unless a function is right in the hidden cases of the seed in MINIVJEPA_SEED (0 if it is not set)."""
    [found] = [one for one in load(assignment) if one.name == exercise]
    require_right(hidden_cases(assignment, found, int(os.environ.get("MINIVJEPA_SEED", "0"))), function)
