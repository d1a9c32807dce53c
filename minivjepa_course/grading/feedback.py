"""A page of feedback per submission that opens in any browser without a network.

Students chose some of the words in it, so no word moves or hides anything.
"""

import re
from collections.abc import Sequence
from html import escape

from minivjepa_course.grading.graded import RIGHT, Assignment, Row

# control characters, halves of characters, line ends, and what turns the direction of text around
UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]")
STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #fff; --box: #f3f3f3; --good: #00603f; --bad: #9a3a00; --bar: #4a7fb5 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --paper: #1c1c1e; --box: #2b2b2f; --good: #6fd3a8; --bad: #ffa56b; --bar: #6ea3d8 } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: var(--ink); background: var(--paper) }
h2 { font-size: 1.05rem; margin: 1.4rem 0 .2rem } pre { white-space: pre-wrap; background: var(--box); padding: .6rem .8rem; margin: 0 }
ul { margin: .3rem 0; padding-left: 1.2rem; list-style: none } .right { color: var(--good) } .wrong { color: var(--bad) }
"""


def plain(text: str) -> str:
    """Text with U+FFFD in place of what a terminal, a browser or a CSV reader acts on, or UTF-8 cannot encode."""
    return UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def html(title: str, body: str, style: str = "") -> str:
    """A whole page, complete in itself."""
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}{style}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>\n'


def page(row: Row, known: Sequence[Assignment]) -> str:
    """What was right, what was wrong, which rules hold, and the likely mistakes, as HTML."""
    result, parts = row.result, []
    worth = {name: points for assignment in known for name, points in assignment.points.items()}
    for name, text in result.messages.items():
        right = text == RIGHT
        got = f"{result.points.get(name, 0.0):g} of {worth[name]:g} points" if name in worth else ""
        words = (
            "Right in all cases, also in those that you don't see."
            if right
            else "\n".join(map(plain, text.split("\n")))
        )
        kind, mark = ("right", "✓") if right else ("wrong", "✗")
        parts.append(f'<h2 class="{kind}">{mark} {escape(name)} {got}</h2><pre>{escape(words)}</pre>')
        if not right and any(result.rules.get(name, {}).values()):
            parts.append(f"<ul>{''.join(map(rule_in_words, result.rules[name].items()))}</ul>")
    if result.notes:
        parts.append(f"<h2>Notes on cells</h2><pre>{escape(chr(10).join(map(plain, result.notes)))}</pre>")
    most = sum(sum(assignment.points.values()) for assignment in known if assignment.name == result.assignment)
    hand = f" Up to {result.to_mark:g} more points are marked by hand." if result.to_mark else ""
    hand = hand if row.by_hand is None else f" {row.by_hand:g} more points were given by hand."
    body = f"<p>{escape(result.status)}: {result.total:g} of {most:g} points.{hand}</p>{''.join(parts)}"
    return html(plain(f"{result.assignment or 'Submission'} of {result.student}"), body)


def rule_in_words(rule: tuple[str, bool]) -> str:
    """A rule, and whether all its cases are right, as an entry of a list."""
    words, right = rule
    return f'<li><span class="{"right" if right else "wrong"}">{"✓" if right else "✗"}</span> {escape(words)}</li>'
