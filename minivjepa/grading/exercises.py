"""What a teacher writes for an exercise, and how cases are computed from it.

teacher/NAME/notebook.py is the text of an assignment, with answers and markers as nbgrader knows them;
teacher/NAME/exercises.py has one Exercise for every function that it asks for.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from minivjepa.homework.calling import ADAPTERS
from minivjepa.homework.cases import Arrays, Case, Inputs, Task
from minivjepa.homework.notebooks import answer_code, read_source

TEACHER = Path(__file__).parents[2] / "teacher"


@dataclass(frozen=True)
class Exercise:
    """One function that students write.

    name: of the function, and the grade_id of its answer cell.  blocked: full names of the package that would answer it.
    visible: inputs that students see.  hidden: from a random generator, inputs that they do not see, with another
    specification than the package's own.  mistakes: (message, code) of functions that are wrong in a way people are wrong.
    styles: code of functions that are right and look different.  adapter: a name in calling.ADAPTERS.
    """

    name: str
    blocked: tuple[str, ...]
    visible: tuple[Inputs, ...]
    hidden: Callable[[np.random.Generator], list[Inputs]]
    mistakes: tuple[tuple[str, str], ...]
    styles: tuple[str, ...]
    adapter: str = "call"


def require_teacher() -> Path:
    """The teacher's folder.  Raises ValueError where it was removed."""
    if not TEACHER.is_dir():
        raise ValueError(
            f"{TEACHER} is not there: answers and hidden checks belong to teachers and were removed from this copy"
        )
    return TEACHER


def load(assignment: str) -> list[Exercise]:
    """The exercises of an assignment.  Raises ValueError for one that does not exist."""
    file = require_teacher() / assignment / "exercises.py"
    if not file.exists():
        known = sorted(path.parent.name for path in TEACHER.glob("*/exercises.py"))
        raise ValueError(f"unknown assignment {assignment!r}; choose from {', '.join(known)}")
    spec = importlib.util.spec_from_file_location(f"teacher_{assignment}", file)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.EXERCISES)


def given_code(assignment: str) -> str:
    """The cells of an assignment that are given, not asked: imports and helpers."""
    return answer_code(read_source(require_teacher() / assignment / "notebook.py"), given=True)[""]


def reference_code(assignment: str) -> dict[str, str]:
    """Exercise -> the right answer's code, from the text of the assignment."""
    return answer_code(read_source(require_teacher() / assignment / "notebook.py"), given=False)


def function_of(given: str, code: str, name: str) -> Callable[..., Any]:
    """Define a function as a student's notebook would."""
    space: dict[str, Any] = {"__name__": "homework"}
    exec(compile(given, "given cells", "exec"), space)
    exec(compile(code, name, "exec"), space)
    return space[name]


def outcome(exercise: Exercise, function: Callable[..., Any], inputs: Inputs) -> Arrays:
    """What a function gives on one input; a crash is an outcome too."""
    try:
        return ADAPTERS[exercise.adapter](function, inputs)
    except Exception as error:
        return {"stopped with": np.array(type(error).__name__)}


def make_task(assignment: str, exercise: Exercise, inputs: list[Inputs]) -> Task:
    """Inputs with the right outputs, and with what each known mistake would give."""
    given, reference = given_code(assignment), reference_code(assignment)[exercise.name]
    right = function_of(given, reference, exercise.name)
    wrong = {message: function_of(given, code, exercise.name) for message, code in exercise.mistakes}
    cases = []
    for values in inputs:
        expected = ADAPTERS[exercise.adapter](right, values)
        mistakes = {message: outcome(exercise, function, values) for message, function in wrong.items()}
        cases.append(
            Case(values, expected, {m: arrays for m, arrays in mistakes.items() if "stopped with" not in arrays})
        )
    return Task(exercise.name, exercise.adapter, exercise.blocked, tuple(cases))


def visible_task(assignment: str, exercise: Exercise) -> Task:
    """The cases that students see."""
    return make_task(assignment, exercise, list(exercise.visible))


def hidden_task(assignment: str, exercise: Exercise, seed: int) -> Task:
    """The cases of a seed that students do not see."""
    return make_task(assignment, exercise, exercise.hidden(np.random.default_rng(seed)))
