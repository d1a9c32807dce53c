"""The table of grades, from words that students chose: no cell computes, moves or hides anything."""

import csv
import io
import unicodedata
from collections.abc import Sequence

from minivjepa.grading.graded import Assignment, Graded

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets take the wide ones too
TURNS = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")  # they turn the direction of text around


def plain(text: str) -> str:
    """Text in which U+FFFD replaces what a terminal, a browser or a CSV reader acts on: control characters, line ends, turns."""
    return "".join(letter if is_plain(letter) else "\N{REPLACEMENT CHARACTER}" for letter in text)


def is_plain(letter: str) -> bool:
    """Whether a letter only stands for itself."""
    return unicodedata.category(letter) not in ("Cc", "Zl", "Zp") and unicodedata.bidirectional(letter) not in TURNS


def safe_cell(text: str) -> str:
    """Plain text for a cell of the table, with a quote before anything that a spreadsheet would take for a formula."""
    clean = plain(text)
    return f"'{clean}" if clean.lstrip().startswith(FORMULA) else clean


def table(results: Sequence[Graded], known: Sequence[Assignment]) -> str:
    """The grades as CSV."""
    exercises = [name for assignment in known for name in assignment.points]
    held = io.StringIO()
    writer = csv.writer(held, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(["student", "assignment", *exercises, "automatic_total", "to_mark", "status", "message"])
    for row in results:
        points = [f"{row.points[name]:g}" if name in row.points else "" for name in exercises]
        words = [row.student, row.assignment, *points, f"{row.total:g}", f"{row.to_mark:g}", row.status, row.message]
        writer.writerow([safe_cell(word) for word in words])
    return held.getvalue()
