"""The table of grades, which a spreadsheet opens; and the points by hand that a teacher wrote into it.

Students chose some of the words in it, so no cell computes.
"""

import codecs
import csv
import io
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from minivjepa_course.grading.feedback import plain
from minivjepa_course.grading.graded import Assignment, Row
from minivjepa_course.grading.submissions import HandedIn

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets take the wide ones too
BY_HAND = "by_hand"  # the column that the teacher fills


def safe_cell(text: str) -> str:
    """Plain text for a cell of the table, with a quote before anything that a spreadsheet would take for a formula."""
    clean = plain(text)
    return f"'{clean}" if clean.lstrip().startswith(FORMULA) else clean


def as_csv(lines: Iterable[Sequence[str]]) -> str:
    """Lines of cells as CSV."""
    held = io.StringIO()
    csv.writer(held, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(map(safe_cell, line) for line in lines)
    return held.getvalue()


def table(rows: Sequence[Row], known: Sequence[Assignment]) -> str:
    """The grades as CSV."""
    exercises = [name for assignment in known for name in assignment.points]
    sums = ("automatic_total", "to_mark", BY_HAND, "total")
    lines = [["student", "assignment", *exercises, *sums, "status", "message", "id", "late", "file", "older_files"]]
    for row in rows:
        item, result = row.item, row.result
        points = [f"{result.points[name]:g}" if name in result.points else "" for name in exercises]
        by_hand = "" if row.by_hand is None else f"{row.by_hand:g}"
        total = [f"{result.total:g}", f"{result.to_mark:g}", by_hand, f"{row.total:g}"]
        where = [item.number, "late" if item.late else "", item.file, ", ".join(item.older)]
        lines.append([item.student, result.assignment, *points, *total, result.status, result.message, *where])
    return as_csv(lines)


def points_by_hand(path: Path, files: Sequence[HandedIn]) -> dict[str, float]:
    """File -> the points that a teacher wrote into the table of an earlier run, however a spreadsheet saved it.

    Raises ValueError if there are no such columns, if they are no numbers, or belong to a file that is not there any more: the table is about
    to be written anew.
    """
    if not path.exists():
        return {}
    shown = {safe_cell(item.file): item.file for item in files}
    found = {}
    for number, row in enumerate(rows_in(path), 2):
        given, file = (row.get(BY_HAND) or "").strip(), row.get("file") or ""
        if not given:
            continue
        try:
            points = float(given.replace(",", "."))
        except ValueError:
            points = math.nan
        if not 0 <= points < math.inf:
            raise ValueError(
                f"{path}, row {number}: {BY_HAND} is {given!r}, expected a number of points; correct it there"
            )
        if file not in shown:
            advice = "note them elsewhere and empty that cell, or bring the file back"
            raise ValueError(
                f"{path}, row {number}: {BY_HAND} has points for {file!r}, which isn't handed in now; {advice}"
            )
        found[shown[file]] = points
    return found


def rows_in(path: Path) -> list[dict[str, str]]:
    """The rows of a table that a spreadsheet saved as text of any kind.  Raises ValueError if it lacks the columns that are asked for."""
    data = path.read_bytes()
    try:
        text = data.decode("utf-16" if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    text = re.sub(r"\Asep=.*[\r\n]+", "", text)  # a line for one spreadsheet
    between = re.search("[,;\t]", re.split(r"[\r\n]", text)[0])
    try:
        held = csv.DictReader(io.StringIO(text, newline=None), delimiter=between[0] if between else ",")
        header, rows = list(held.fieldnames or []), list(held)
    except csv.Error:
        header, rows = [], []
    if not {BY_HAND, "file"} <= set(header):
        raise ValueError(
            f"{path} begins with {plain(text[:40])!r}, expected a table with the columns {BY_HAND} and file, so points by hand can't be read; "
            "save it as CSV with its first line as it was, or move it away to begin without points by hand"
        )
    return rows
