"""Grading a folder of submissions: each runs as a program in a child process, and what its functions return is compared here.

This process never runs a student's code.  Points are all or nothing per exercise, visible and hidden cases must be right, unless marks are
given by rule.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Lock

from minivjepa.training.files import locked, write_bytes, write_json, write_text
from minivjepa_course.grading.feedback import page, plain
from minivjepa_course.grading.gradebook import write_gradebooks
from minivjepa_course.grading.graded import RIGHT, Assignment, Graded, Row, by_rule, edition, kept, result_file
from minivjepa_course.grading.hidden_cases import TEACHER, teachers_code
from minivjepa_course.grading.mounts import answer_folders
from minivjepa_course.grading.processes import user_ids
from minivjepa_course.grading.run_submission import CallResults, Failed, limits_in_force, run_submission
from minivjepa_course.grading.submissions import HandedIn, read_file
from minivjepa_course.grading.summary import summary
from minivjepa_course.grading.table import points_by_hand, table
from minivjepa_course.homework.cases import Arrays, ExerciseCases, diagnose, same
from minivjepa_course.homework.checking import case_in_words
from minivjepa_course.homework.notebooks import WRITTEN, Cell, assignment_of, read_cells
from minivjepa_course.homework.program import program_of, remarks

LONGEST = 4000  # characters of feedback for an exercise
READING = Lock()  # one file at a time: a hostile one takes a gigabyte
SURPRISE = "could not be graded"  # the status after an error that grading did not expect
NOTHING = "nothing handed in"
SETTINGS = "settings.json"  # beside the pages: what --resume goes on with
BY_RULE = "by-rule"


@dataclass(frozen=True)
class Task:
    """What the teacher asks for.

    secret: folders that hold submissions; anew: files that are graded even if a result of them is kept; gradebook: the platform for which
    points and feedback are written as well; empty for none.
    """

    out: Path
    seed: int
    jobs: int
    secret: tuple[Path, ...]
    marks: str = "all-or-nothing"
    anew: frozenset[str] = frozenset()
    gradebook: str = ""


@dataclass(frozen=True)
class Desk:
    """What grading needs besides a submission.

    hide: folders that submissions must not see; users: an id for each child process; records: the folder of kept results;
    graded_by: the edition; anew: files whose kept results do not count.
    """

    known: Sequence[Assignment]
    hide: Sequence[str]
    users: Iterator[int]
    records: Path
    graded_by: str
    anew: frozenset[str] = frozenset()


def graded_or_kept(item: HandedIn, desk: Desk, last: bool) -> Graded:
    """The result of one file: kept from an earlier run, or graded now.  Any error costs this file only.

    last: the file will not be tried again, so its result is kept whatever it is.
    """
    if item.instead:
        return without_points(item.student, NOTHING, item.instead)
    try:
        content = read_file(item.path)
        weights = read_file(item.weights) if item.weights else None
        with READING:
            cells = read_cells(content, item.path.name)
    except (ValueError, OSError) as error:
        return without_points(item.student, "not a notebook", str(error))
    file = result_file(desk.records, item.file, content + (weights or b""), desk.graded_by)
    result = None if item.file in desk.anew else kept(file)
    if result is None:
        try:
            result = grade_one(cells, item, desk, weights)
        except Exception as error:  # of any type: a submission may cause an error that grading did not foresee
            why = f"{type(error).__name__}: {error}"[:LONGEST]
            return replace(without_points(item.student, SURPRISE, why), again=True)
        if last or not result.again:
            write_json(file, asdict(result))
    return result


def without_points(student: str, status: str, why: str) -> Graded:
    """The result of a file that was not graded."""
    return Graded(student, "", {}, 0.0, status, {"file": why})


def grade_one(cells: list[Cell], item: HandedIn, desk: Desk, weights: bytes | None) -> Graded:
    """Grade the cells of one file, and the content of the file of weights beside it.  Raises ValueError if its functions could not be called."""
    known = {assignment.name: assignment for assignment in desk.known}
    name = assignment_of({cell.grade_id for cell in cells}, {name: grade_ids(one) for name, one in known.items()})
    if name is None:
        why = f"{item.path.name} has no answer cell of {', '.join(known)}: their grade_ids are gone; start again from the original"
        return without_points(item.student, "no known assignment", why)
    assignment = known[name]
    program = program_of(cells, assignment.given, [one.name for one in assignment.exercises])
    outcome = run_submission(program.given, program.steps, assignment.exercises, desk.hide, desk.users)
    told = {one.name: feedback_on(one, outcome.results[one.name]) for one in assignment.exercises}
    wrong = {exercise: text for exercise, text in told.items() if text != RIGHT}
    wrong, notes = remarks(program, wrong, outcome.stopped, outcome.done)
    points = {exercise: assignment.points[exercise] if text == RIGHT else 0.0 for exercise, text in told.items()}
    rules = {one.name: rules_of(one, outcome.answered.get(one.name, {})) for one in assignment.exercises}
    again = outcome.again
    for project, judge in assignment.projects.items():
        told[project], rules[project], busy = judge(weights, desk.hide, desk.users)
        points[project] = assignment.points[project] * sum(rules[project].values()) / len(rules[project])
        again |= busy
        notes += [f"{project}: these points are for the file {item.weights.name}"] if item.weights else []
    by_hand = {cell.grade_id for cell in cells if cell.source.strip() not in ("", WRITTEN)}
    to_mark = sum(worth for grade_id, worth in assignment.written.items() if grade_id in by_hand)
    return Graded(item.student, name, points, to_mark, "graded", {**told, **wrong}, again, notes, rules)


def grade_ids(assignment: Assignment) -> list[str]:
    """Of an assignment's cells: answers, their checks, and what is marked by hand."""
    return [*assignment.points, *(f"check_{name}" for name in assignment.points), *assignment.written]


def rules_of(exercise: ExerciseCases, answers: Mapping[int, Arrays]) -> dict[str, bool]:
    """Rule -> whether all its cases are right.  answers: number of a case -> its result, if there is one."""
    found: dict[str, bool] = {}
    for number, case in enumerate(exercise.cases):
        try:
            right = number in answers and same(case.expected, answers[number])
        except Exception:  # forged arrays
            right = False
        found[case.rule] = right and found.get(case.rule, True)
    return found


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
    task: Task, files: Sequence[HandedIn], names: Sequence[str], say: Callable[[str], None], done: Callable[[], None]
) -> list[Row]:
    """Grade all files, `task.jobs` at once; write the table, and beside it pages, a summary and the kept results.

    Files that ran out of time, or whose process was killed from outside, are graded again at the end, one by one.
    names: of the assignments; say: gets a line for each limit that is not in force, before the first file; done: called after every file.
    """
    points_by_hand(task.out, files)  # first: a table that cannot be read stops everything
    prepare: Callable[[str, int], Assignment] = teachers_code()["prepare"]
    known = [prepare(name, task.seed) for name in names]
    pages = task.out.with_suffix("")
    records = pages / "records"
    secret = (TEACHER, *answer_folders(TEACHER.parent), *task.secret, task.out.parent, pages)
    hide = [str(path.resolve()) for path in secret]
    desk = Desk(known, hide, user_ids(), records, edition(TEACHER, task.seed), task.anew)
    for name, held in limits_in_force(hide).items():
        if not held:
            say(f"not in force on this machine: {name}; grade in a container that you can throw away")
    with locked(pages):  # not earlier: nothing is left behind if children cannot start
        records.mkdir(exist_ok=True)
        write_json(pages / SETTINGS, {"seed": task.seed, "marks": task.marks})
        results = results_of(files, desk, task.jobs, done)
        if task.marks == BY_RULE:
            worth = {name: points for assignment in known for name, points in assignment.points.items()}
            results = [by_rule(result, worth) for result in results]
        by_hand = points_by_hand(task.out, files)  # also what was typed in the meantime
        rows = [Row(item, result, by_hand.get(item.file)) for item, result in zip(files, results)]
        write_bytes(task.out, table(rows, known).encode("utf-8-sig", "backslashreplace"))
        write_pages(pages, rows, known)
        if task.gradebook:
            write_gradebooks(pages, task.gradebook, rows, known)
    for row in rows:
        if row.by_hand is not None and row.by_hand > row.result.to_mark:
            most = f"{row.by_hand:g} points, of {row.result.to_mark:g} that can be given by hand"
            say(plain(f"check the table: {row.item.file} has {most}"))
    return rows


def results_of(files: Sequence[HandedIn], desk: Desk, jobs: int, done: Callable[[], None]) -> list[Graded]:
    """The result of every file, `jobs` at once; what ran out of time is graded again at the end, one by one."""

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
    return results


def write_pages(folder: Path, rows: Sequence[Row], known: Sequence[Assignment]) -> None:
    """The page of each file, and the summary of the class."""
    for old in folder.glob("[0-9][0-9][0-9]*-*.html"):  # of an earlier run; numbers may have changed
        old.unlink()
    for number, row in enumerate(rows):
        name = re.sub(r"[^\w-]", "_", row.item.student)[:60]
        write_text(folder / f"{number:03d}-{name}.html", page(row, known))
    write_text(folder / "summary.html", summary(rows, known))
