"""Grading a folder of submissions: answers go into the pristine notebook, functions run in a child, numbers are compared here.

This process never runs a student's code.  Points are all or nothing per exercise: visible and hidden cases must be right.
"""

import csv
import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue

from nbformat import NotebookNode

from minivjepa.homework.cases import Task, diagnose
from minivjepa.homework.checking import shown
from minivjepa.homework.exercises import TEACHER, given_code, hidden_task, load, require_teacher, visible_task
from minivjepa.homework.notebooks import WRITTEN, graded, is_answer, is_check, read_notebook, read_source
from minivjepa.homework.records import edition, record
from minivjepa.homework.running import Outcome, limits_in_force, run_submission
from minivjepa.homework.sandbox import Limits
from minivjepa.runs import read_json, write_bytes, write_json

LARGEST_FILE = 20 * 2**20  # bytes of a submission
LONGEST = 4000  # characters that feedback says of an exercise
SUFFIX = ".ipynb"
RIGHT = "right"  # what is said of an exercise that has all its points; only this process says it


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
    """What one submission got.  status: graded, or why not; messages: exercise -> what its feedback says."""

    student: str
    assignment: str
    points: dict[str, float]
    to_mark: float
    status: str
    messages: dict[str, str]

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


def which(notebook: NotebookNode, known: Sequence[Assignment]) -> Assignment | None:
    """The assignment whose answer cells a notebook has, None if it has none of any."""
    ids = set(graded(notebook))
    best = max(known, key=lambda one: len(ids & set(one.points)))
    return best if ids & set(best.points) else None


def grade_one(
    path: Path, student: str, known: Sequence[Assignment], hide: Sequence[str], place: int, limits: Limits
) -> Graded:
    """Grade one file.  Whatever is wrong with it ends up in its row."""
    nothing = Graded(student, "", {}, 0.0, "", {})
    try:
        if path.is_symlink():  # it could point to the solutions
            raise ValueError(f"{path.name} is a link to another file: hand in the notebook itself")
        if path.stat().st_size > LARGEST_FILE:
            raise ValueError(
                f"{path.name} is larger than {LARGEST_FILE // 2**20} MB: clear its outputs and hand it in again"
            )
        notebook = read_notebook(path)
    except ValueError as error:
        return Graded(**{**asdict(nothing), "status": "not a notebook", "messages": {"file": str(error)}})
    assignment = which(notebook, known)
    if assignment is None:
        why = f"{path.name} has no answer cell of {', '.join(one.name for one in known)}: their grade_ids are gone; start again from the original"
        return Graded(**{**asdict(nothing), "status": "no known assignment", "messages": {"file": why}})
    theirs = graded(notebook)
    cells = [
        (task.name, str(theirs[task.name].source))
        for task in assignment.tasks
        if task.name in theirs and theirs[task.name].cell_type == "code"
    ]
    asked = [task for task in assignment.tasks if task.name in dict(cells)]
    outcomes = run_submission(assignment.given, cells, asked, hide, place, limits) if asked else {}
    missing = "its answer cell is not in the notebook"
    messages = {task.name: judge(task, outcomes.get(task.name, missing)) for task in assignment.tasks}
    points = {name: assignment.points[name] if text == RIGHT else 0.0 for name, text in messages.items()}
    done = [key for key in assignment.written if key in theirs and theirs[key].source.strip() not in ("", WRITTEN)]
    to_mark = sum(assignment.written[key] for key in done)
    return Graded(student, assignment.name, points, to_mark, "graded", messages)


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


def submissions(folder: Path) -> list[tuple[Path, str]]:
    """(file, student) of everything handed in: FOLDER/STUDENT/file, or FOLDER/STUDENT.ipynb.  Raises ValueError if there is nothing."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the one that holds the submissions")
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not files:
        raise ValueError(f"{folder} holds no files; expected STUDENT{SUFFIX} or STUDENT/hw1{SUFFIX}")
    return [(path, path.relative_to(folder).parts[0].removesuffix(SUFFIX)) for path in files]


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

    say: hears of limits that are not in force, before the first submission.  done: called after every submission.
    """
    files, graded_by = submissions(folder), edition(TEACHER)
    known = [prepare(name, seed) for name in names]
    records = out.with_suffix("") / "records"
    records.mkdir(parents=True, exist_ok=True)
    hide = [
        str(path.resolve())
        for path in (TEACHER, folder, out.parent, out.with_suffix(""))
        if path.is_dir() and not Path(__file__).resolve().is_relative_to(path.resolve())
    ]
    limits = Limits()
    for name, held in limits_in_force(hide, limits).items():
        if not held:
            say(f"not in force on this machine: {name}; grade in a container that you can throw away")
    places: Queue[int] = Queue()
    for place in range(jobs):
        places.put(place)

    def one(item: tuple[Path, str]) -> Graded:
        path, student = item
        file = record(records, path, seed, graded_by)
        if file.exists():
            result = Graded(**read_json(file))
        else:
            place = places.get()
            try:
                result = grade_one(path, student, known, hide, place, limits)
            finally:
                places.put(place)
            write_json(file, asdict(result))
        done()
        return result

    with ThreadPoolExecutor(jobs) as crew:
        results = list(crew.map(one, files))
    write_bytes(out, as_bytes(table(results, known)))
    from minivjepa.homework.feedback import page

    for old in out.with_suffix("").glob("[0-9][0-9][0-9]*-*.html"):  # of an earlier run; numbers may have moved
        old.unlink()
    for number, result in enumerate(results):
        write_bytes(out.with_suffix("") / f"{number:03d}-{safe(result.student)}.html", as_bytes(page(result, known)))
    return results


def as_bytes(text: str) -> bytes:
    """UTF-8; what a stranger's text has in it and UTF-8 has not is written as an escape."""
    return text.encode(errors="backslashreplace")


def table(results: Sequence[Graded], known: Sequence[Assignment]) -> str:
    """The grades as CSV.  A cell that a spreadsheet would take for a formula gets a quote before it."""
    exercises = [name for one in known for name in one.points]
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n")
    writer.writerow(["student", "assignment", *exercises, "automatic_total", "to_mark", "status", "message"])
    for row in results:
        cells = [f"{row.points[name]:g}" if name in row.points else "" for name in exercises]
        words = [row.student, row.assignment, *cells, f"{row.total:g}", f"{row.to_mark:g}", row.status, row.message]
        writer.writerow([f"'{word}" if word[:1] in ("=", "+", "-", "@", "\t", "\r") else word for word in words])
    return held.getvalue()


def safe(name: str) -> str:
    """A student's name as part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)[:60]


def processors() -> int:
    """How many submissions to grade at once."""
    return max(1, os.cpu_count() or 1)
