"""Grading a folder of submissions: answers go into the pristine notebook, functions run in a child, numbers are compared here.

This process never runs a student's code.  Points are all or nothing per exercise: visible and hidden cases must be right.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from minivjepa.grading.exercises import TEACHER, given_code, hidden_task, load, require_teacher, visible_task
from minivjepa.grading.feedback import page
from minivjepa.grading.grade_table import as_bytes, safe, table
from minivjepa.grading.kept_results import edition, record
from minivjepa.grading.mounts import with_answers
from minivjepa.grading.processes import users
from minivjepa.grading.run_submission import Outcome, Ran, limits_in_force, run_submission
from minivjepa.grading.sandbox import Limits
from minivjepa.grading.submissions import Cell, HandedIn, read_cells, read_file, submissions
from minivjepa.homework.cases import Task, diagnose
from minivjepa.homework.checking import shown
from minivjepa.homework.notebooks import WRITTEN, graded, is_answer, is_check, read_source
from minivjepa.training.files import read_json, write_bytes, write_json

LONGEST = 4000  # characters that feedback says of an exercise
RIGHT = "right"  # what is said of an exercise that has all its points; only this process says it
SURPRISE = "could not be graded"  # the status of what grading did not expect


@dataclass(frozen=True)
class Assignment:
    """All that grading needs to know of one assignment and seed."""

    name: str
    given: str
    tasks: tuple[Task, ...]
    points: dict[str, float]
    written: dict[str, float]  # of what is marked by hand


@dataclass(frozen=True)
class Graded:
    """What one submission got.

    status: graded, or why not; messages: exercise -> what its feedback says; again: something else may have been at fault for what it did not
    get, such as a busy machine.
    """

    student: str
    assignment: str
    points: dict[str, float]
    to_mark: float
    status: str
    messages: dict[str, str]
    again: bool = False

    @property
    def total(self) -> float:
        """Points without those that are marked by hand."""
        return sum(self.points.values())

    @property
    def message(self) -> str:
        """The first helpful one, on one line."""
        return next((f"{name}: {text}".split("\n")[0] for name, text in self.messages.items() if text != RIGHT), "")


def prepare(name: str, seed: int) -> Assignment:
    """Compute all expected outputs once.  Raises ValueError for an unknown assignment, or where the teacher's folder is gone."""
    source = read_source(require_teacher() / name / "notebook.py") if (TEACHER / name).is_dir() else None
    exercises = load(name)
    assert source is not None
    cells = graded(source)
    tasks = []
    for exercise in exercises:
        seen, unseen = visible_task(name, exercise), hidden_task(name, exercise, seed)
        tasks.append(Task(seen.name, seen.adapter, seen.blocked, seen.cases + unseen.cases))
    points = {task.name: float(cells[f"check_{task.name}"].metadata.nbgrader["points"]) for task in tasks}
    written = {
        key: float(cell.metadata.nbgrader["points"])
        for key, cell in cells.items()
        if is_answer(cell) and not is_check(cell) and cell.cell_type == "markdown"
    }
    return Assignment(name, given_code(name), tuple(tasks), points, written)


@dataclass(frozen=True)
class Desk:
    """All that grading needs beside a submission.

    known: assignments; hide: folders that submissions must not see; users: a number for each process of theirs; records: the folder of
    results that are kept; graded_by: the edition.
    """

    known: Sequence[Assignment]
    hide: Sequence[str]
    users: Iterator[int]
    limits: Limits
    records: Path
    seed: int
    graded_by: str


def which(ids: Mapping[str, Cell], known: Sequence[Assignment]) -> Assignment | None:
    """The assignment whose answer cells a notebook has, None if it has none of any."""
    best = max(known, key=lambda one: len(set(ids) & set(one.points)))
    return best if set(ids) & set(best.points) else None


def settle(item: HandedIn, desk: Desk, last: bool) -> Graded:
    """The row of one file: from its record, or graded now.  Whatever is wrong with it ends up in its row, and costs nobody else's.

    last: it will not be tried again, so the result is kept whatever it is.
    """
    path, student = item
    try:
        content = read_file(path)
    except (ValueError, OSError) as error:
        return refused(student, "not a notebook", str(error))
    file = record(desk.records, path, content, desk.seed, desk.graded_by)
    result = kept(file)
    if result is None:
        try:
            result = grade_one(content, item, desk)
        except Exception as error:  # of any kind: a submission may cause one that nobody thought of
            return replace(refused(student, SURPRISE, f"{type(error).__name__}: {error}"[:LONGEST]), again=True)
        if last or not result.again:
            write_json(file, asdict(result))
    return result


def refused(student: str, status: str, why: str) -> Graded:
    """The row of a file that has no points, and why it has none."""
    return Graded(student, "", {}, 0.0, status, {"file": why})


def kept(file: Path) -> Graded | None:
    """A result that was recorded, None where there is none that can be read."""
    try:
        return Graded(**read_json(file))
    except (OSError, ValueError, TypeError):
        return None


def grade_one(content: bytes, item: HandedIn, desk: Desk) -> Graded:
    """Grade the content of one file.  Raises ValueError if its functions could not be called."""
    path, student = item
    try:
        theirs = read_cells(content, path.name)
    except ValueError as error:
        return refused(student, "not a notebook", str(error))
    assignment = which(theirs, desk.known)
    if assignment is None:
        names = ", ".join(one.name for one in desk.known)
        why = f"{path.name} has no answer cell of {names}: their grade_ids are gone; start again from the original"
        return refused(student, "no known assignment", why)
    cells = [
        (task.name, theirs[task.name].source)
        for task in assignment.tasks
        if task.name in theirs and theirs[task.name].kind == "code"
    ]
    asked = [task for task in assignment.tasks if task.name in dict(cells)]
    ran = Ran({}, False)
    if asked:
        ran = run_submission(assignment.given, cells, asked, desk.hide, desk.users, desk.limits)
    missing = "its answer cell is not in the notebook"
    messages = {task.name: judge(task, ran.outcomes.get(task.name, missing)) for task in assignment.tasks}
    points = {name: assignment.points[name] if text == RIGHT else 0.0 for name, text in messages.items()}
    done = [key for key in assignment.written if key in theirs and theirs[key].source.strip() not in ("", WRITTEN)]
    to_mark = sum(assignment.written[key] for key in done)
    return Graded(student, assignment.name, points, to_mark, "graded", messages, ran.again)


def judge(task: Task, outcome: Outcome) -> str:
    """What feedback says of an exercise: "right", or what is probably wrong, and in which case."""
    if isinstance(outcome, str):  # the words may be the submission's own
        return outcome if outcome != RIGHT else "claims to be right, and gave no result"
    try:
        found = diagnose(task.cases, outcome)
        if found is None:
            return RIGHT
        message, number = found
        return f"{message}\n{shown(task, number, outcome[number])}"[:LONGEST]
    except Exception as error:  # arrays that no honest function gives, such as text of impossible letters
        return f"returned something that cannot be compared ({type(error).__name__})"


def grade_folder(
    folder: Path,
    out: Path,
    names: Sequence[str],
    seed: int,
    jobs: int,
    say: Callable[[str], None],
    done: Callable[[], None],
) -> list[Graded]:
    """Grade all submissions, several at once, and write the table, the feedback pages and a record of each beside it.

    What ran out of time, or was ended from outside, is graded again at the end, with nothing beside it.
    say: hears of limits that are not in force, before the first submission.  done: called after every submission.
    """
    files, graded_by = submissions(folder), edition(TEACHER)
    known = [prepare(name, seed) for name in names]
    records = out.with_suffix("") / "records"
    records.mkdir(parents=True, exist_ok=True)
    hide = [
        str(path.resolve()) for path in (TEACHER, *with_answers(TEACHER.parent), folder, out.parent, records.parent)
    ]
    desk = Desk(known, hide, users(), Limits(), records, seed, graded_by)
    for name, held in limits_in_force(hide, desk.limits).items():
        if not held:
            say(f"not in force on this machine: {name}; grade in a container that you can throw away")

    def one(item: HandedIn) -> Graded:
        result = settle(item, desk, last=jobs == 1)
        if jobs == 1 or not result.again:
            done()
        return result

    with ThreadPoolExecutor(jobs) as crew:
        results = list(crew.map(one, files))
    for number, item in enumerate(files):
        if results[number].again and jobs > 1:
            results[number] = settle(item, desk, last=True)
            done()
    write_bytes(out, as_bytes(table(results, known)))
    for old in out.with_suffix("").glob("[0-9][0-9][0-9]*-*.html"):  # of an earlier run; numbers may have moved
        old.unlink()
    for number, result in enumerate(results):
        write_bytes(out.with_suffix("") / f"{number:03d}-{safe(result.student)}.html", as_bytes(page(result, known)))
    return results


def processors() -> int:
    """How many submissions to grade at once."""
    return max(1, os.cpu_count() or 1)
