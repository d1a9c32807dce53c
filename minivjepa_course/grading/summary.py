"""The class on one page: what was hard, and which mistakes were made how often.  It gives no names."""

from collections import Counter
from collections.abc import Sequence
from html import escape

from minivjepa_course.grading.feedback import html
from minivjepa_course.grading.graded import RIGHT, Assignment, Graded, Row
from minivjepa_course.homework.calling import NOT_WRITTEN
from minivjepa_course.homework.cases import ExerciseCases

MOST_SHOWN = 8  # mistakes and rules of an exercise
STYLE = """
table { border-collapse: collapse; width: 100% } td, th { padding: .2rem .5rem; text-align: left; vertical-align: top }
td.number { text-align: right } td.bar { width: 40% } td.count { text-align: right; width: 2rem } th { padding-top: 1rem }
.bar div { background: var(--bar); height: 1.1rem }
"""
ENDS = {  # how messages begin that no known mistake explains -> what to call them
    NOT_WRITTEN: "not written",
    "stopped": "stops with an error",
    "took longer": "takes too long",
    "ended the process": "ends Python, or uses up its time",
    "there is no function": "its function is missing",
    "its answer cell": "its answer cell is missing or empty",
}


def summary(rows: Sequence[Row], known: Sequence[Assignment]) -> str:
    """The page."""
    graded = [row.result for row in rows if row.result.assignment]
    others = Counter(row.result.status for row in rows if not row.result.assignment)
    left = "; ".join(f"{count} {status}" for status, count in others.most_common())
    parts = [f"<p>{len(graded)} files were graded{f'; not graded: {left}' if left else ''}.</p>"]
    for assignment in known:
        mine = [result for result in graded if result.assignment == assignment.name]
        if mine:
            parts.append(f"<h2>{escape(assignment.name)}: {len(mine)} files</h2>{shares(assignment, mine)}")
            parts += [mistakes(exercise, mine) for exercise in assignment.exercises]
    return html("Summary of the class", "".join(parts), STYLE)


def is_right(result: Graded, exercise: str) -> bool:
    """Whether every case of an exercise is right."""
    return result.messages.get(exercise) == RIGHT


def shares(assignment: Assignment, mine: Sequence[Graded]) -> str:
    """How many got each exercise right, as bars; those that fewer than half got right are marked."""
    lines = []
    for name in assignment.points:
        count = sum(is_right(result, name) for result in mine)
        hard = ' <span class="wrong">hard</span>' if 2 * count < len(mine) else ""
        bar = f'<td class="bar"><div style="width: {100 * count / len(mine):.0f}%"></div></td>'
        lines.append(f'<tr><td>{escape(name)}{hard}</td>{bar}<td class="number">{count} of {len(mine)} right</td></tr>')
    return f"<table>{''.join(lines)}</table>"


def mistakes(exercise: ExerciseCases, mine: Sequence[Graded]) -> str:
    """What was wrong with an exercise, the most frequent first; then the rules that were broken by those who kept another."""
    wrong = [result for result in mine if not is_right(result, exercise.name)]
    if not wrong:
        return ""
    named = {message for case in exercise.cases for message in case.mistakes}
    kinds = Counter(kind_of(result.messages.get(exercise.name, ""), named) for result in wrong)
    rules = [result.rules.get(exercise.name, {}) for result in wrong]
    broken = Counter(f"broken: {rule}" for held in rules if any(held.values()) for rule in held if not held[rule])
    title = f"<tr><th></th><th>{escape(exercise.name)}: wrong in {len(wrong)}</th></tr>"
    counted = [*kinds.most_common(MOST_SHOWN), *broken.most_common(MOST_SHOWN)]
    lines = [f'<tr><td class="count">{count}</td><td>{escape(words)}</td></tr>' for words, count in counted]
    return f"<table>{title}{''.join(lines)}</table>"


def kind_of(message: str, named: set[str]) -> str:
    """The known mistake that a message names, or how the function failed; never a submission's own words."""
    first = message.split("\n")[0].removeprefix("perhaps: ")
    if first in named:
        return first
    return next((words for start, words in ENDS.items() if first.startswith(start)), "gives another wrong result")
