"""What `minivjepa check` does: a student's program and the checks of its exercises, run by nbval, one message per exercise."""

import importlib.util
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import nbformat

from minivjepa_course.homework.calling import NO_FUNCTION, error_in_words
from minivjepa_course.homework.checking import FOLDER, CheckFailed, assignments, check
from minivjepa_course.homework.notebooks import assignment_of, cells_by_id, given_cells, is_check, read_cells
from minivjepa_course.homework.program import MOST_ENDS, SECONDS, TOTAL, Program, plain_python, program_of, remarks, run

CELL_SECONDS = 120  # of a cell of the notebook that is made: a step, or all visible cases of an exercise
ENDED = "ended Python, or took too long"
START = """from minivjepa_course.homework.program import new_space, run
from minivjepa_course.homework.selfcheck import ask, run_step
space = new_space()"""
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
COLORS = re.compile(r"(\x1b|#x1B)\[[0-9;]*m")  # as they are, and as XML writes them


class Checked(NamedTuple):
    """messages: exercise -> why it is wrong, empty if it is right in all visible cases; notes: on cells that cost nothing."""

    messages: dict[str, str]
    notes: list[str]


def check_file(path: Path) -> Checked:
    """What is right in a notebook, and what is not.

    Raises ValueError if the file is not homework, or if nbval is not installed.
    """
    if importlib.util.find_spec("nbval") is None:
        raise ValueError("checking a notebook needs nbval, which is missing; run: pip install 'minivjepa[notebooks]'")
    cells = read_cells(path.read_bytes(), path.name)
    pristine = {name: nbformat.read(FOLDER / f"{name}.ipynb", as_version=4) for name in assignments()}
    known = {name: cells_by_id(notebook) for name, notebook in pristine.items()}
    assignment = assignment_of({cell.grade_id for cell in cells}, known)
    if assignment is None:
        ids = f"no grade_id of {', '.join(pristine)}"
        raise ValueError(f"{path} is not homework of this course: {ids}; start again from the original")
    exercises = [name.removeprefix("check_") for name, cell in known[assignment].items() if is_check(cell)]
    program = program_of(cells, given_cells(pristine[assignment]), exercises)
    wrong, stopped, seconds = run_program(program, assignment, exercises, path)
    done = {number: how for number, step in enumerate(program.steps) if (how := plain_python(step.source)[1])}
    wrong, notes = remarks(program, wrong, stopped, done)
    if seconds > TOTAL / 2:
        words = f"all cells and calls took {seconds:.0f} s, and grading gives them {TOTAL:.0f} s, hidden cases included"
        notes.append(f"{words}: what isn't called by then is wrong, so make it faster")
    return Checked({name: wrong.get(name, "") for name in exercises}, notes)


def run_program(
    program: Program, assignment: str, exercises: list[str], path: Path
) -> tuple[dict[str, str], dict[int, str], float]:
    """Run a program and the checks of its exercises: exercise -> why it is wrong, number of a step -> why it stopped, seconds in grading.

    What ends Python, or takes too long, is left out, and the rest runs again, as in grading.
    """
    wrong: dict[str, str] = {}
    ended: dict[int, str] = {}
    for _ in range(len(exercises) + MOST_ENDS):
        steps = {number: step for number, step in enumerate(program.steps) if number not in ended}
        left = [name for name in exercises if name not in wrong]
        given = [START, f"run(space, 'given cells', {program.given!r})"]
        code = [f"run_step(space, {step.place}, {step.source!r})" for step in steps.values()]
        asked = [f"ask(space, {assignment!r}, {name!r})" for name in left]
        tests = run_nbval([*given, *code, *asked, "pass"], path)
        keys = [None, None, *steps, *left]
        skipped = next((place for place, test in enumerate(tests) if test.find("skipped") is not None), None)
        if skipped is None:
            found = {key: message for key, test in zip(keys, tests) if (message := message_of(test))}
            wrong |= {
                name: found[name].removeprefix(f"{name}: ").removeprefix(f"{name} ") for name in left if name in found
            }
            took = {key: float(test.get("time") or 0) for key, test in zip(keys, tests)}
            seconds = in_grading([took.get(number, math.inf) for number in range(len(program.steps))])
            stopped = ended | {number: found[number] for number in steps if number in found}
            return wrong, stopped, seconds + sum(took[name] for name in left)
        interrupted = [place for place, test in enumerate(tests) if "KeyboardInterrupt" in message_of(test)]
        culprit = keys[min([*interrupted, skipped - 1])]  # nbval interrupts a cell that takes too long
        if culprit is None:
            raise ValueError(f"nbval could not run {path}: the given cells did not finish")
        if isinstance(culprit, int):
            ended[culprit] = ENDED
            culprit = program.steps[culprit].exercise
        if culprit:
            wrong.setdefault(culprit, ENDED)
    return {name: wrong.get(name, f"was not called: too many cells {ENDED}") for name in exercises}, ended, 0.0


def in_grading(steps: Sequence[float]) -> float:
    """The seconds that these steps cost in grading, where all that ran before one that takes too long runs again."""
    once, total = 0.0, 0.0
    for took in steps:
        if took > SECONDS:
            total += once
        else:
            once += took
    return total + once


def run_step(space: dict[str, Any], place: int, source: str) -> None:
    """In the notebook that is made: run a cell of a submission."""
    begun = time.monotonic()
    try:
        run(space, f"cell {place}", plain_python(source)[0])
    except BaseException as error:
        raise CheckFailed(f"stopped with {error_in_words(error)}") from None
    if (took := time.monotonic() - begun) > SECONDS:
        raise CheckFailed(f"took {took:.0f} s: grading leaves out a cell that takes longer than {SECONDS:.0f} s")


def ask(space: dict[str, Any], assignment: str, exercise: str) -> None:
    """In the notebook that is made: check a function of a submission."""
    if not callable(space.get(exercise)):
        raise CheckFailed(NO_FUNCTION.format(exercise))
    check(assignment, exercise, space[exercise])


def run_nbval(code: list[str], path: Path) -> list[ElementTree.Element]:
    """nbval's result for every cell of a notebook of these.  Raises ValueError if nbval cannot run.  path: of the student's file."""
    cells = [nbformat.v4.new_code_cell(text, execution_count=1) for text in code]  # as in a notebook that ran
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    with tempfile.TemporaryDirectory() as folder:
        file, report = Path(folder) / "homework.ipynb", Path(folder) / "report.xml"
        nbformat.write(notebook, file)
        options = ["--nbval-lax", "--nbval-current-env", f"--nbval-cell-timeout={CELL_SECONDS}"]
        options += ["-p", "no:cacheprovider", f"--rootdir={folder}", f"--junitxml={report}"]
        words = [sys.executable, "-m", "pytest", "-p", "minivjepa_course.homework.kernels", *options, str(file)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment)
        if not report.exists():
            raise ValueError(f"nbval could not run {path}: {(done.stderr or done.stdout)[-300:]}")
        tests = list(ElementTree.parse(report).getroot().iter("testcase"))
    if errors := [error for test in tests for error in test.iter("error")]:  # not of an answer: no kernel, say
        raise ValueError(f"nbval could not run {path}: {errors[0].get('message')}")
    return tests


def message_of(test: ElementTree.Element) -> str:
    """What went wrong in a cell: the words of its check, or another error's last line; empty if it passed."""
    if (failure := test.find("failure")) is None:
        return ""
    clean = COLORS.sub("", f"{failure.get('message') or ''}\n{failure.text or ''}")
    found = re.search(r"CheckFailed: (.*?)(?:\n\s*\n|\Z)", clean, re.S)
    if found:
        return found[1].strip()
    lines = [line.strip() for line in clean.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"\w+(Error|Exception|Interrupt)\b", line)]
    return (errors or lines or ["failed"])[-1]
