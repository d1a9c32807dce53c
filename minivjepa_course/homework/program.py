"""A submission as a program: what `minivjepa check` and `minivjepa grade` both run, cell by cell, in a space of its own.

First the assignment's own given cells, then all code cells of the submission in their order.  Left out are checks, given cells that are
unchanged, and IPython's syntax.  Then the functions that the exercises ask for are called.
"""

import ast
import builtins
import linecache
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from minivjepa_course.homework.calling import NO_FUNCTION
from minivjepa_course.homework.notebooks import Cell

SECONDS = 10.0  # of one cell or call, by the clock, in grading; `check` says what took longer
TOTAL = 90.0  # of all cells and calls of a submission in grading; a step that is left out does not count
MOST_ENDS = 5  # cells, besides one for each exercise, that may end Python or take too long; the rest runs without them
MOST_NOTES = 20
CALLS_CHECK = re.compile(r"\s*check\([^\n]*\)\s*")  # the text of a check, wherever it was copied to
CELL_MAGIC = re.compile(r"\s*%%\s*(\w*)")
BODY_RUNS = ("time", "timeit", "capture", "prun")  # cell magics around plain Python
IPYTHON = re.compile(r"([ \t]*)(?:[\w.,\[\]'\" \t]+=[ \t]*)?(?:[%!?].*|[\w.*\[\]'\"]+\?\??)[ \t;]*$")
TIMED = re.compile(
    r"([ \t]*(?:[\w., \t]+=[ \t]*)?)%(?:time|prun)[ \t]+(?!-)(\S.*)"
)  # IPython runs what follows, and keeps its names
DONE = {  # to a cell with IPython's syntax
    "body": "begins with %%: that line was left out, the others ran",
    "left out": "begins with %% and was left out",
    "lines": "has lines for IPython or a shell (%, !, ?): they were left out, the others ran",
}


class Step(NamedTuple):
    """One cell to run.  place: in the notebook, from 1; exercise: whose answer it is, empty for a cell of the student's own."""

    place: int
    exercise: str
    source: str


class Program(NamedTuple):
    """given: the code that runs first; lost: exercise -> why no cell answers it."""

    given: str
    steps: list[Step]
    lost: dict[str, str]


def program_of(cells: Sequence[Cell], given: Sequence[str], exercises: Collection[str]) -> Program:
    """The program of a submission's cells.  given: the assignment's given cells."""
    unchanged = {tidy(source) for source in given}
    lost = dict.fromkeys(exercises, "its answer cell is not in the notebook")
    steps = []
    for place, (grade_id, kind, source) in enumerate(cells, 1):
        if grade_id in lost:
            lost[grade_id] = f"its answer cell is {'empty' if kind == 'code' else f'of kind {kind}, not code'}"
        is_check = grade_id.removeprefix("check_") in exercises and grade_id not in exercises
        if kind != "code" or not source.strip() or is_check or CALLS_CHECK.fullmatch(source):
            continue
        exercise = grade_id if grade_id in exercises else ""
        if exercise or tidy(source) not in unchanged:
            steps.append(Step(place, exercise, source.replace("\r\n", "\n")))
    for step in steps:
        lost.pop(step.exercise, None)
    return Program("\n\n".join(given), steps, lost)


def tidy(source: str) -> str:
    """Code without the spaces and ends of lines that editors change."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def plain_python(source: str) -> tuple[str, str]:
    """Code without IPython's syntax, line for line, and a key of DONE, "" if nothing was left out; code that Python can read comes back as it is."""
    lines, done = source.split("\n"), ""
    while (wrong := line_of_syntax_error("\n".join(lines))) is not None:
        first = next((number for number, line in enumerate(lines) if line.strip()), 0)
        magic = CELL_MAGIC.match(lines[first])
        found = None if magic else IPYTHON.match(lines[wrong]) if wrong < len(lines) else None
        if magic and magic[1] not in BODY_RUNS:
            return "", "left out"
        if magic:
            lines[first], done = "", "body"
        elif found and (timed := TIMED.match(lines[wrong])):
            lines[wrong] = timed[1] + timed[2]
        elif found:
            while lines[wrong].endswith("\\") and wrong + 1 < len(lines):  # a shell's line that goes on
                lines[wrong] = ""
                wrong += 1
            lines[wrong], done = f"{found[1]}pass", "lines"
        else:
            break
    return "\n".join(lines), done


def line_of_syntax_error(code: str) -> int | None:
    """Which line, from 0, Python cannot read; None if it can read all, or if that is not a matter of a line."""
    try:
        ast.parse(code)
    except SyntaxError as error:
        return max(0, (error.lineno or 1) - 1)
    except (ValueError, RecursionError, MemoryError):
        pass
    return None


def new_space() -> dict[str, Any]:
    """Where a program runs: with a `display` that shows nothing, and without IPython, also in a notebook."""
    known = {name: value for name, value in vars(builtins).items() if name != "get_ipython"}
    return {"__name__": "__main__", "__builtins__": known, "display": lambda *things, **how: None}


def run(space: dict[str, Any], name: str, code: str) -> None:
    """Run code.  name: of its cell; under it, Python finds the lines for messages."""
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    exec(compile(code, name, "exec", dont_inherit=True), space)


def remarks(
    program: Program, wrong: Mapping[str, str], stopped: Mapping[int, str], done: Mapping[int, str]
) -> tuple[dict[str, str], list[str]]:
    """The messages of exercises with what happened in their cells, and notes on everything else that happened.

    wrong: exercise -> its message, if it is wrong; stopped: number of a step -> why it stopped; done: -> a key of DONE.
    """
    notes = [f"cell {program.steps[number].place} {DONE[what]}" for number, what in sorted(done.items())]
    messages = dict(wrong)
    places: dict[str, list[str]] = {}
    for number, (place, exercise, _) in enumerate(program.steps):
        places.setdefault(exercise, []).append(str(place))
        why = stopped.get(number)
        if why and exercise not in messages:
            notes.append(f"the others ran, but cell {place} {why}")
        elif why and messages[exercise] == NO_FUNCTION.format(exercise):
            messages[exercise] = why
        elif why and why not in messages[exercise]:
            messages[exercise] += f"\n  its cell {place} {why}"
    for exercise in messages:
        if messages[exercise] == NO_FUNCTION.format(exercise):
            messages[exercise] = program.lost.get(exercise, messages[exercise])
        if len(own := places.get(exercise, [])) > 1:
            messages[exercise] += (
                f"\n  cells {', '.join(own)} are its answer: they ran in this order, the last definition counts"
            )
    more = [f"and {len(notes) - MOST_NOTES} more cells like these"] if len(notes) > MOST_NOTES else []
    return messages, notes[:MOST_NOTES] + more
