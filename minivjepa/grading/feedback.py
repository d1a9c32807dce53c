"""One page of feedback a student: opens anywhere, without a network."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from minivjepa.grading.grade_table import plain

if TYPE_CHECKING:
    from minivjepa.grading.grade_folder import Assignment, Graded

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff }
h2 { font-size: 1.05rem; margin: 1.4rem 0 .2rem } pre { white-space: pre-wrap; background: #f6f6f6; padding: .6rem .8rem; margin: 0 }
.right { color: #00603f } .wrong { color: #9a3a00 }
"""


def page(result: "Graded", known: "Sequence[Assignment]") -> str:
    """What was right, what was not, and what is probably wrong about it."""
    parts = []
    for name, text in result.messages.items():
        most = next((one.points[name] for one in known if name in one.points), 0.0)
        right = text == "right"
        got = f"{result.points.get(name, 0.0):g} of {most:g} points" if most else ""
        words = "Right in all visible and hidden cases." if right else "\n".join(map(plain, text.split("\n")))
        parts.append(
            f'<h2 class="{"right" if right else "wrong"}">{"✓" if right else "✗"} {escape(name)} {got}</h2><pre>{escape(words)}</pre>'
        )
    most = next((sum(one.points.values()) for one in known if one.name == result.assignment), 0.0)
    hand = f" Up to {result.to_mark:g} more points are marked by hand." if result.to_mark else ""
    title = plain(f"{result.assignment or 'Submission'} of {result.student}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><h1>{escape(title)}</h1><p>{escape(result.status)}: {result.total:g} of {most:g} points.{hand}</p>{''.join(parts)}</body></html>\n"
    )
