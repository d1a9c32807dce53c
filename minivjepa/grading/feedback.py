"""What a teacher gets: the table of grades, and a page of feedback per submission that opens in any browser without a network.

Students chose some of the words in them, so no cell computes, and no word moves or hides anything.
"""

import csv
import io
import re
from collections.abc import Sequence
from html import escape

from minivjepa.grading.graded import RIGHT, Assignment, Graded

FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # noqa: RUF001 - spreadsheets take the wide ones too
# control characters, halves of characters, line ends, and what turns the direction of text around
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]")
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff }
h2 { font-size: 1.05rem; margin: 1.4rem 0 .2rem } pre { white-space: pre-wrap; background: #f6f6f6; padding: .6rem .8rem; margin: 0 }
.right { color: #00603f } .wrong { color: #9a3a00 }
"""


def plain(text: str) -> str:
    """Text with U+FFFD in place of what a terminal, a browser or a CSV reader acts on, or UTF-8 cannot encode."""
    return UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


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


def page(result: Graded, known: Sequence[Assignment]) -> str:
    """What was right, what was wrong, and the likely mistakes, as HTML."""
    parts = []
    worth = {name: points for assignment in known for name, points in assignment.points.items()}
    for name, text in result.messages.items():
        right = text == RIGHT
        got = f"{result.points.get(name, 0.0):g} of {worth[name]:g} points" if name in worth else ""
        words = "Right in all visible and hidden cases." if right else "\n".join(map(plain, text.split("\n")))
        kind, mark = ("right", "✓") if right else ("wrong", "✗")
        parts.append(f'<h2 class="{kind}">{mark} {escape(name)} {got}</h2><pre>{escape(words)}</pre>')
    if result.notes:
        parts.append(f"<h2>Notes on cells</h2><pre>{escape(chr(10).join(map(plain, result.notes)))}</pre>")
    most = sum(sum(assignment.points.values()) for assignment in known if assignment.name == result.assignment)
    hand = f" Up to {result.to_mark:g} more points are marked by hand." if result.to_mark else ""
    title = plain(f"{result.assignment or 'Submission'} of {result.student}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1><p>{escape(result.status)}: {result.total:g} of {most:g} points.{hand}</p>{''.join(parts)}</body></html>\n"
    )
