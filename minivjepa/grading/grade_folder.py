"""Grading a folder of submissions: each runs as a program in a child process, and what its functions return is compared here.

This process never runs a student's code.  Points are all or nothing per exercise: visible and hidden cases must be right.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock

from minivjepa.grading.feedback import page, table
from minivjepa.grading.graded import RIGHT, Assignment, Graded, edition, kept, result_file
from minivjepa.grading.hidden_cases import TEACHER, teachers_code
from minivjepa.grading.mounts import answer_folders
from minivjepa.grading.processes import user_ids
from minivjepa.grading.run_submission import CallResults, Failed, limits_in_force, run_submission
from minivjepa.grading.submissions import HandedIn, read_file, submissions
from minivjepa.homework.cases import ExerciseCases, diagnose
from minivjepa.homework.checking import case_in_words
from minivjepa.homework.notebooks import WRITTEN, Cell, assignment_of, read_cells
from minivjepa.homework.program import program_of, remarks
from minivjepa.training.files import write_json, write_text

LONGEST = 4000  # characters of feedback for an exercise
READING = Lock()  # one file at a time: a hostile one takes a gigabyte
SURPRISE = "could not be graded"  # the status after an error that grading did not expect


@dataclass(frozen=True)
class Desk:
    """What grading needs besides a submission.

    hide: folders that submissions must not see; users: an id for each child process; records: the folder of kept results;
    graded_by: the edition.
    """

    known: Sequence[Assignment]
    hide: Sequence[str]
    users: Iterator[int]
    records: Path
    graded_by: str


def graded_or_kept(item: HandedIn, desk: Desk, last: bool) -> Graded:
    """The result of one file: kept from an earlier run, or graded now.  Any error costs this file only.

    last: the file will not be tried again, so its result is kept whatever it is.
    """
    path, student = item
    try:
        content = read_file(path)
        with READING:
            cells = read_cells(content, path.name)
    except (ValueError, OSError) as error:
        return without_points(student, "not a notebook", str(error))
    file = result_file(desk.records, path, content, desk.graded_by)
    result = kept(file)
    if result is None:
        try:
            result = grade_one(cells, item, desk)
        except Exception as error:  # of any type: a submission may cause an error that grading did not foresee
            why = f"{type(error).__name__}: {error}"[:LONGEST]
            return replace(without_points(student, SURPRISE, why), again=True)
        if last or not result.again:
            write_json(file, asdict(result))
    return result


def without_points(student: str, status: str, why: str) -> Graded:
    """The result of a file that was not graded."""
    return Graded(student, "", {}, 0.0, status, {"file": why})


def grade_one(cells: list[Cell], item: HandedIn, desk: Desk) -> Graded:
    """Grade the cells of one file.  Raises ValueError if its functions could not be called."""
    path, student = item
    known = {assignment.name: assignment for assignment in desk.known}
    name = assignment_of({cell.grade_id for cell in cells}, {name: grade_ids(one) for name, one in known.items()})
    if name is None:
        why = f"{path.name} has no answer cell of {', '.join(known)}: their grade_ids are gone; start again from the original"
        return without_points(student, "no known assignment", why)
    assignment = known[name]
    program = program_of(cells, assignment.given, assignment.points)
    outcome = run_submission(program.given, program.steps, assignment.exercises, desk.hide, desk.users)
    told = {one.name: feedback_on(one, outcome.results[one.name]) for one in assignment.exercises}
    wrong = {exercise: text for exercise, text in told.items() if text != RIGHT}
    wrong, notes = remarks(program, wrong, outcome.stopped, outcome.done)
    points = {exercise: assignment.points[exercise] if text == RIGHT else 0.0 for exercise, text in told.items()}
    by_hand = {cell.grade_id for cell in cells if cell.source.strip() not in ("", WRITTEN)}
    to_mark = sum(worth for grade_id, worth in assignment.written.items() if grade_id in by_hand)
    return Graded(student, name, points, to_mark, "graded", {**told, **wrong}, outcome.again, notes)


def grade_ids(assignment: Assignment) -> list[str]:
    """Of an assignment's cells: answers, their checks, and what is marked by hand."""
    return [*assignment.points, *(f"check_{name}" for name in assignment.points), *assignment.written]


def feedback_on(exercise: ExerciseCases, results: CallResults) -> str:
    """The feedback on an exercise: "right", or the likely mistake and the case that shows it."""
    if isinstance(results, Failed):
        shown = "" if results.case is None else f"\n{case_in_words(exercise, results.case)}"
        return f"{results.why}{shown}"[:LONGEST]
    try:
        found = diagnose(exercise.cases, results)
        if found is None:
            return RIGHT
        message, number = found
        return f"{message}\n{case_in_words(exercise, number, results[number])}"[:LONGEST]
    except Exception as error:  # forged arrays, such as text of impossible characters
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
    """Grade all submissions, `jobs` at once; write the table `out`, and beside it the feedback pages and the kept results.

    Submissions that ran out of time, or whose process was killed from outside, are graded again at the end, one by one.
    say: gets a line for each limit that is not in force, before the first submission.  done: called after every submission.
    """
    files, graded_by = submissions(folder), edition(TEACHER, seed)
    prepare: Callable[[str, int], Assignment] = teachers_code()["prepare"]
    known = [prepare(name, seed) for name in names]
    pages = out.with_suffix("")
    records = pages / "records"
    secret = (TEACHER, *answer_folders(TEACHER.parent), folder, out.parent, pages)
    hide = [str(path.resolve()) for path in secret]
    desk = Desk(known, hide, user_ids(), records, graded_by)
    for name, held in limits_in_force(hide).items():
        if not held:
            say(f"not in force on this machine: {name}; grade in a container that you can throw away")
    records.mkdir(parents=True, exist_ok=True)  # not earlier: nothing is left behind if children cannot start

    def first_try(item: HandedIn) -> Graded:
        result = graded_or_kept(item, desk, last=jobs == 1)
        if jobs == 1 or not result.again:
            done()
        return result

    with ThreadPoolExecutor(jobs) as crew:
        results = list(crew.map(first_try, files))
    for number, item in enumerate(files):
        if results[number].again and jobs > 1:
            results[number] = graded_or_kept(item, desk, last=True)
            done()
    write_text(out, table(results, known))
    for old in pages.glob("[0-9][0-9][0-9]*-*.html"):  # of an earlier run; numbers may have changed
        old.unlink()
    for number, result in enumerate(results):
        name = re.sub(r"[^\w-]", "_", result.student)[:60]
        write_text(pages / f"{number:03d}-{name}.html", page(result, known))
    return results
