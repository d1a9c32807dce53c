"""The table of grades, and the names of pages, from words that strangers chose: nothing in them computes, moves or hides anything."""

import csv
import io
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minivjepa.grading.grade_folder import Assignment, Graded

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets take the wide ones too
TURNS = (
    "LRE",
    "RLE",
    "LRO",
    "RLO",
    "PDF",
    "LRI",
    "RLI",
    "FSI",
    "PDI",
)  # letters that turn the direction of others around


def plain(text: str) -> str:
    """Text without what a terminal, a browser or a reader of CSV would act on: control characters, other ends of lines, turned direction."""
    return "".join(letter if visible(letter) else "\N{REPLACEMENT CHARACTER}" for letter in text)


def visible(letter: str) -> bool:
    """Whether a letter only stands for itself."""
    return unicodedata.category(letter) not in ("Cc", "Zl", "Zp") and unicodedata.bidirectional(letter) not in TURNS


def cell(text: str) -> str:
    """Text for a cell of the table.  One that a spreadsheet would take for a formula gets a quote before it."""
    clean = plain(text)
    return f"'{clean}" if clean.lstrip().startswith(FORMULA) else clean


def table(results: "Sequence[Graded]", known: "Sequence[Assignment]") -> str:
    """The grades as CSV."""
    exercises = [name for one in known for name in one.points]
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["student", "assignment", *exercises, "automatic_total", "to_mark", "status", "message"])
    for row in results:
        points = [f"{row.points[name]:g}" if name in row.points else "" for name in exercises]
        words = [row.student, row.assignment, *points, f"{row.total:g}", f"{row.to_mark:g}", row.status, row.message]
        writer.writerow([cell(word) for word in words])
    return held.getvalue()


def as_bytes(text: str) -> bytes:
    """UTF-8; what a stranger's text has in it and UTF-8 has not is written as an escape."""
    return text.encode(errors="backslashreplace")


def safe(name: str) -> str:
    """A student's name as part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)[:60]
