"""`minivjepa grade`: a folder of submissions in, a table and pages of feedback out."""

import os
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

from minivjepa.commands.options import parse
from minivjepa.grading.grade_folder import SURPRISE, grade_folder
from minivjepa.grading.submissions import submissions
from minivjepa.homework.checking import assignments
from minivjepa.training.config import SEEDS


@dataclass(frozen=True)
class GradeOptions:
    """Grade homework.  Writes the table --out, and beside it a folder with a page of feedback for every submission.

    Needs the teacher's folder.  Submissions are other people's programs: they run with as few rights as this machine allows,
    and a line before the first one names each limit that is not in force.  See teacher/README.md.
    """

    folder: tyro.conf.Positional[Path]  # Folder of submissions: STUDENT.ipynb, or STUDENT/hw1.ipynb.
    out: Path  # CSV file to write.
    seed: int = 0  # Draws the hidden inputs; choose your own, and keep it to yourself.
    jobs: int | None = None  # Submissions graded at once; as many as processors by default.
    resume: bool = False
    """Go on with a table: finished results are kept, unless the submission or the exercises have changed."""


def grade(argv: list[str]) -> int:
    """The grade command."""
    options = parse(GradeOptions, argv, "grade")
    if options.out.suffix != ".csv" or options.out.is_dir():
        raise ValueError(f"--out {options.out} is not a CSV file; give for example grades.csv")
    beside = options.out.with_suffix("")
    if not options.resume and (options.out.exists() or beside.exists()):
        raise ValueError(f"{options.out} or {beside} exists; choose another --out, or add --resume to go on")
    if options.resume and not beside.exists():
        raise ValueError(f"nothing to resume: {beside} does not exist; run the command without --resume")
    if not options.out.absolute().parent.is_dir():
        raise ValueError(f"{options.out.parent} is not a folder; make it first")
    if options.jobs is not None and options.jobs < 1:
        raise ValueError(f"--jobs is {options.jobs}, expected 1 or more")
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed is {options.seed}, expected {SEEDS}")
    with tqdm(total=len(submissions(options.folder)), desc="grading", unit="file") as bar:
        jobs = options.jobs or os.cpu_count() or 1
        results = grade_folder(options.folder, options.out, assignments(), options.seed, jobs, bar.write, bar.update)
    marked = sum(result.status == "graded" for result in results)
    print(f"{options.out}: {marked} of {len(results)} files graded; feedback pages are in {beside}")
    surprises = sum(result.status == SURPRISE for result in results)
    if surprises:
        print(f"{surprises} could not be graded: the table says why, and --resume tries them again")
    return int(surprises > 0)
