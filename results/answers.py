"""The answers to plan.md, in words and tables.  What has not been run yet is named."""

from collections import Counter
from collections.abc import Sequence

from page_tables import PROBES
from questions import (
    LEAK,
    MEASURES,
    PARTLY,
    QUESTIONS,
    STRENGTHS,
    Found,
    Raw,
    differences,
    first_frame,
    in_words,
    leaks,
    seeds_run,
)

from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import Difference, folded, markdown

WHOLE = ("h1", "h2", "h5")  # questions that no single comparison answers
WORDS = {"above": "Yes", "below": "No, it is below", "equal": "No, they are equal", "undecided": "Undecided"}
WORDS[PARTLY] = "No answer: only some runs collapsed"


def comparison_table(raw: Raw, question: str) -> str:
    """All rows of a question: the difference and the answer, or how many seeds have been run."""
    metrics, found, lines = MEASURES.get(question, PROBES), differences(raw, question), []
    for row in QUESTIONS[question]:
        known = found.get(row.label)
        missing = f"{len(seeds_run(raw, row))} of {row.seeds} seeds run"
        lines.append([row.label, *(f"{known[m]} {known[m].answer}" if known else missing for m in metrics)])
    return markdown(["", *(METRICS[metric].title for metric in metrics)], lines)


def seeds_table(found: Found) -> str:
    """Every difference of a question, folded: a row for each comparison and measure."""
    lines = [
        [label, METRICS[metric].title, in_words(one)] for label, rows in found.items() for metric, one in rows.items()
    ]
    table = markdown(["", "measure", "difference, seed by seed"], lines, words=3)
    return folded(f"Every difference, seed by seed: {len(lines)} in all", table)


def answers_of(found: Found, labels: Sequence[str], metric: str) -> list[str]:
    """The answers of some rows by one metric."""
    return [found[label][metric].answer for label in labels]


def say_h1(found: Found) -> str:
    """Whether features of the moving target are more about identity."""
    [one] = found.values()
    return f"**{WORDS[one['knn_identity'].answer]}.**"


def say_h2(found: Found) -> str:
    """Whether latent targets survive the nuisance better, and between which strengths the order changes."""
    decisive = {row.arm.split("-")[0]: found[row.label] for row in QUESTIONS["h2"] if row.file == "plan-new-tuned"}
    signs = {arm: one["linear_direction"].answer for arm, one in decisive.items()}
    unsure = {"undecided", PARTLY} & {*signs.values()}
    word = (
        "Yes" if {*signs.values()} == {"above"} else "Undecided" if unsure and "below" not in signs.values() else "No"
    )
    said = [
        f"**{word}.** At strength 0.5, direction by the linear probe: "
        + ", ".join(f"`{a}` {w}" for a, w in signs.items())
        + "."
    ]
    for arm in decisive:
        rows = [row for row in QUESTIONS["h2"] if row.arm.startswith(arm)]
        words = answers_of(found, [row.label for row in rows], "linear_direction")
        steps = ", ".join(f"{STRENGTHS[row.file]:g} {word}" for row, word in zip(rows, words))
        said.append(f"`{arm}` against `pixels` by strength: {steps}.")
    return " ".join(said)


def verdict(measured: dict[str, Difference]) -> str:
    """Whether one arm beats another: "yes" if it's above on some measure and below on none."""
    answers = {one.answer for one in measured.values()}
    above, below = "above" in answers, "below" in answers
    return "yes" if above and not below else "no" if below and not above else "mixed" if above else "undecided"


def sides(measured: dict[str, Difference]) -> str:
    """On which measures one arm is above the other, and on which below; empty if on none."""
    said = []
    for side in ("above", "below"):
        names = [METRICS[m].title.replace(", ", " (") + ")" for m, one in measured.items() if one.answer == side]
        if names:
            said.append(f"{side} on {', '.join(names) if len(names) < len(PROBES) else 'all measures'}")
    return "; ".join(said)


def say_verdicts(found: Found) -> str:
    """For which clips one arm beats the other, and on which measures."""
    said = {label: (verdict(measured), sides(measured)) for label, measured in found.items()}
    return "\n".join(f"- {label}: **{word}**{': ' * bool(where)}{where}." for label, (word, where) in said.items())


def say_h3(found: Found) -> str:
    """For which clips the moving target beats the frozen one."""
    counts = Counter(verdict(measured) for measured in found.values())
    run = f"{len(found)} of {len(QUESTIONS['h3'])} comparisons run: {', '.join(f'{n} {word}' for word, n in counts.items())}"
    return f"`vjepa` against `frozen`, {run}.\n\n{say_verdicts(found)}"


def say_rows(found: Found) -> str:
    """What one arm of each row is above and below on."""
    return "\n".join(
        f"- {label}: {sides(measured) or 'above on no measure, and below on none'}."
        for label, measured in found.items()
    )


def answer(raw: Raw, question: str) -> str:
    """What a page says of one question."""
    found, table = differences(raw, question), comparison_table(raw, question)
    if found:
        table += f"\n\n{seeds_table(found)}"
    if files := sorted({row.file for row in QUESTIONS[question] if row.file in raw and leaks(raw[row.file])}):
        return f"No answer: the first frame gives the direction away in {', '.join(files)}.\n\n{table}"
    if len(found) < len(QUESTIONS[question]) and (not found or question in WHOLE):
        return (
            f"Not answered yet: {len(found)} of {len(QUESTIONS[question])} comparisons have all their seeds.\n\n{table}"
        )
    say = {"h1": say_h1, "h2": say_h2, "h3": say_h3, "h8": say_verdicts}
    said = say[question](found) if question in say else say_rows(found)
    return f"{said}\n\n{table}"


def scope(raw: Raw) -> str:
    """How many comparisons the page makes, and what the first frame gives away of all these clips."""
    asked = [(question, row) for question, rows in QUESTIONS.items() for row in rows]
    done = [(question, row) for question, row in asked if len(seeds_run(raw, row)) == row.seeds]
    made = {(row[1:4], metric) for question, row in done for metric in MEASURES.get(question, PROBES)}
    most = max(first_frame(raw[row.file]) for _, row in done)
    chance = raw[done[0][1].file]["chance"]["direction"]
    return (
        f"This page makes {len(made)} comparisons; at 95 %, one interval in twenty misses. The first frame gives away at most "
        f"{most:.3f} of the direction (chance is {chance:.3f}); above {chance + LEAK:.3f} no result on such clips would count."
    )


def answer_parts(raw: Raw) -> dict[str, str]:
    """The parts of answers.md."""
    return {question: answer(raw, question) for question in QUESTIONS} | {"scope": scope(raw)}
