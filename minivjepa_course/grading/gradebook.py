"""Points and feedback as Moodle and Canvas import them: a CSV file with the gradebook's own columns, and a zip of feedback pages.

Both platforms find the student by the number in the names that they gave to the export.
"""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from minivjepa.training.files import write_bytes
from minivjepa_course.grading.feedback import page
from minivjepa_course.grading.graded import Assignment, Row
from minivjepa_course.grading.table import as_csv

MOODLE = (
    "Identifier", "Full name", "Email address", "Status", "Grade", "Maximum Grade", "Grade can be changed",
    "Last modified (submission)", "Last modified (grade)", "Feedback comments",
)  # fmt: skip
CANVAS = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")


def write_gradebooks(folder: Path, platform: str, rows: Sequence[Row], known: Sequence[Assignment]) -> None:
    """PLATFORM-ASSIGNMENT.csv and PLATFORM-ASSIGNMENT-feedback.zip for each assignment; rows from elsewhere have no number there."""
    rows = [row for row in rows if row.item.platform == platform]
    for assignment in known:
        if any(row.result.assignment == assignment.name for row in rows):
            mine = rows_for(assignment, rows)
            most = sum(assignment.points.values()) + sum(assignment.written.values())
            lines = moodle(mine, most) if platform == "moodle" else canvas(mine, most, assignment.name)
            stem = f"{platform}-{assignment.name}"
            write_bytes(folder / f"{stem}.csv", as_csv(lines).encode("utf-8-sig", "backslashreplace"))
            write_bytes(folder / f"{stem}-feedback.zip", zipped(mine, platform, known))


def rows_for(assignment: Assignment, rows: Sequence[Row]) -> list[Row]:
    """One row for each student: the best at this assignment, or one that could not be graded."""
    best: dict[str, Row] = {}
    for row in rows:
        if row.result.assignment in (assignment.name, ""):
            other = best.get(row.item.number)
            if other is None or (row.result.assignment, row.total) > (other.result.assignment, other.total):
                best[row.item.number] = row
    return list(best.values())


def grade_of(row: Row) -> str:
    """The points; empty, which leaves the gradebook as it is, if the file could not be graded."""
    return f"{row.total:g}" if row.result.assignment else ""


def moodle(rows: Sequence[Row], most: float) -> list[Sequence[str]]:
    """The lines of an offline grading worksheet."""
    lines: list[Sequence[str]] = [MOODLE]
    for row in rows:
        who = [f"Participant {row.item.number}", row.item.student, ""]
        status = "No submission" if row.item.instead else "Submitted for grading"
        lines.append([*who, status, grade_of(row), f"{most:g}", "Yes", "", "", row.result.message or "all right"])
    return lines


def canvas(rows: Sequence[Row], most: float, name: str) -> list[Sequence[str]]:
    """The lines of a gradebook."""
    lines: list[Sequence[str]] = [[*CANVAS, name], ["    Points Possible", *[""] * (len(CANVAS) - 1), f"{most:g}"]]
    return lines + [[row.item.student, row.item.number, "", "", "", grade_of(row)] for row in rows]


def zipped(rows: Sequence[Row], platform: str, known: Sequence[Assignment]) -> bytes:
    """Feedback pages under the names by which the platform finds the student."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for row in rows:
            name = row.item.student.replace("_", " ").replace("/", " ")
            folder = f"{name}_{row.item.number}_assignsubmission_file_"
            path = (
                f"{folder}/feedback.html"
                if platform == "moodle"
                else PurePosixPath(row.item.file).with_suffix(".html").name
            )
            archive.writestr(path, page(row, known))
    return held.getvalue()
