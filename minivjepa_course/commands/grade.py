"""`minivjepa grade`: a folder of submissions in, a table and pages of feedback out."""

import difflib
import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro
from tqdm import tqdm

from minivjepa.commands.options import parse
from minivjepa.training.config import SEEDS
from minivjepa.training.files import read_json
from minivjepa_course.grading.feedback import plain
from minivjepa_course.grading.grade_folder import SETTINGS, SURPRISE, Task, grade_folder
from minivjepa_course.grading.submissions import HandedIn, left_out, single_folder, submissions
from minivjepa_course.grading.unpacking import opened
from minivjepa_course.homework.checking import assignments

KNOWN_SEED = (
    "seed 0 is known to everybody, so its hidden inputs are too: choose another --seed, and keep it to yourself"
)
MOST_NAMED = 5  # files that are left out


@dataclass(frozen=True)
class GradeOptions:
    """Grade homework.  Writes the table --out, and beside it a folder with a page of feedback for every submission.

    Needs the teacher's folder.  Submissions are other people's programs: they run with as few rights as this machine allows,
    and a line before the first one names each limit that is not in force.  See teacher/README.md.
    """

    folder: tyro.conf.Positional[Path]
    """Folder of submissions: STUDENT.ipynb, or STUDENT/hw1.ipynb; or an export of Moodle, Canvas or Blackboard, also as a zip."""
    out: Path  # CSV file to write.
    seed: int | None = None
    """Draws the hidden inputs (None: 0, which everybody knows); choose your own, and keep it to yourself.  --resume remembers it."""
    jobs: int | None = None  # Submissions graded at once; as many as processors by default.
    resume: bool = False
    """Go on with a table: finished results are kept, unless the submission or the exercises have changed; points by hand are always."""
    only: str | None = None  # With --resume: grade this student again, by name or id, whatever was kept.
    marks: Literal["all-or-nothing", "by-rule"] | None = None
    """Points of an exercise: all or none (default), or in proportion to the rules whose cases are all right.  --resume remembers it."""
    export: Literal["moodle", "canvas"] | None = None  # Write points and feedback for this gradebook as well.


def grade(argv: list[str]) -> int:
    """The grade command."""
    options = parse(GradeOptions, argv, "grade")
    settings = settings_of(options)
    with opened(options.folder) as folder:
        files = submissions(folder)
        secret = (folder, options.folder if options.folder.is_dir() else options.folder.absolute().parent)
        task = Task(
            options.out, settings["seed"], options.jobs or os.cpu_count() or 1, secret, settings["marks"],
            files_of(options.only, files), gradebook_of(options.export, files),
        )  # fmt: skip
        with tqdm(total=len(files), desc="grading", unit="file") as bar:
            if task.seed == 0:
                bar.write(KNOWN_SEED)
            if taken := single_folder(folder):
                bar.write(plain(taken))
            rows = grade_folder(task, files, assignments(), bar.write, bar.update)
        others = left_out(folder, files)
    beside = options.out.with_suffix("")
    marked = sum(row.result.status == "graded" for row in rows)
    print(
        f"{options.out}: {marked} of {len(rows)} files graded; feedback pages are in {beside}, summary.html is the class"
    )
    if options.export:
        known = sum(row.item.platform == options.export for row in rows)
        print(f"{beside}/{options.export}-*: points and feedback of {known} of {len(rows)} files, to upload")
    if older := {name for row in rows for name in row.item.older}:
        print(
            f"not graded, because a newer attempt is there: {len(older)} files; the table's column older_files names them"
        )
    if others:
        more = ", ..." if len(others) > MOST_NAMED else ""
        print(
            f"left out, because they are no notebooks: {len(others)} files ({plain(', '.join(others[:MOST_NAMED]))}{more})"
        )
    surprises = sum(row.result.status == SURPRISE for row in rows)
    if surprises:
        print(f"{surprises} could not be graded: the table says why, and --resume tries them again")
    return int(surprises > 0)


def settings_of(options: GradeOptions) -> dict[str, Any]:
    """The seed and how points are given, as asked for or as remembered.  Raises ValueError for options that cannot be followed."""
    beside = options.out.with_suffix("")
    if options.out.suffix != ".csv" or options.out.is_dir():
        raise ValueError(f"--out {options.out} is not a CSV file; give for example grades.csv")
    if not options.resume and (options.out.exists() or beside.exists()):
        raise ValueError(f"{options.out} or {beside} exists; choose another --out, or add --resume to go on")
    if options.resume and not (beside / SETTINGS).is_file():
        raise ValueError(
            f"nothing to resume: {beside} has no {SETTINGS}, which grading writes; leave --resume out, and give a new --out"
        )
    if not options.out.absolute().parent.is_dir():
        raise ValueError(f"{options.out.parent} is not a folder; make it first")
    if options.folder.resolve() in options.out.resolve().parents:
        raise ValueError(f"--out {options.out} lies in {options.folder}, among the submissions; choose another folder")
    if options.jobs is not None and options.jobs < 1:
        raise ValueError(f"--jobs is {options.jobs}, expected 1 or more")
    if options.seed is not None and not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed is {options.seed}, expected {SEEDS}")
    if options.only is not None and not options.resume:
        raise ValueError("--only grades one student of a graded class again: add --resume")
    held = read_json(beside / SETTINGS) if options.resume else {}
    if options.seed is not None and held.get("seed", options.seed) != options.seed:
        why = f"--seed is {options.seed}, but {beside} was graded with {held['seed']}"
        raise ValueError(f"{why}: leave --seed out to go on, or choose another --out")
    asked = {name: value for name, value in (("seed", options.seed), ("marks", options.marks)) if value is not None}
    return {"seed": 0, "marks": "all-or-nothing", **held, **asked}


def files_of(student: str | None, files: Sequence[HandedIn]) -> frozenset[str]:
    """The files of a student, by name or number; none if no student is asked for.  Raises ValueError for an unknown one."""
    if student is None:
        return frozenset()
    student = unicodedata.normalize("NFC", student)
    found = frozenset(item.file for item in files if student and student in (item.student, item.number))
    if not found:
        close = difflib.get_close_matches(student, [item.student for item in files])
        raise ValueError(
            f"--only is {student!r}, and no submission is theirs; {f'did you mean {close[0]!r}?' if close else 'see the table'}"
        )
    return found


def gradebook_of(platform: str | None, files: Sequence[HandedIn]) -> str:
    """The platform to write for; empty for none.  Raises ValueError if no file is from there, since their names hold the numbers."""
    if platform and not any(item.platform == platform for item in files):
        raise ValueError(
            f"--export {platform} needs the students' numbers, and no file is named as {platform} names its exports"
        )
    return platform or ""
