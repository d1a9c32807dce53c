"""The answers to plan.md, computed from the raw files by its own rules.  What has not been run yet is named."""

from collections.abc import Sequence
from statistics import mean
from typing import Any, NamedTuple

from page_tables import PROBES

from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import Difference, markdown, paired
from minivjepa.experiments.report import by_seed

Raw = dict[str, Any]
FIRST, TEN, EIGHT = 20, 10, 8
KINDS = {
    "today": "today's clips",
    "new": "new background",
    "still": "still background",
    "drifting": "drifting background",
}
LENGTHS = {"plan-1000-steps": 1000, "plan-today": 2600, "plan-7000-steps": 7000, "plan-14000-steps": 14000}
STRENGTHS = {"plan-today-tuned": 0, "plan-new-half": 0.5, "plan-new-tuned": 1, "plan-new-double": 2}
WORDS = {"above": "Yes", "below": "No, it is below", "equal": "No, they are equal", "undecided": "Undecided"}


class Row(NamedTuple):
    """One comparison: a label, the raw file, one arm minus another, and how many seeds the plan asks for."""

    label: str
    file: str
    arm: str
    other: str
    seeds: int = TEN


QUESTIONS = {
    "h1": [Row("today's clips, `cpu-long`", "plan-today-long", "vjepa", "frozen")],
    "h2": [
        Row(f"strength {strength:g}: {arm} - pixels", file, f"{arm}-for-new", "pixels-for-new")
        for arm in ("vjepa", "frozen")
        for file, strength in STRENGTHS.items()
    ],
    "h3": [
        Row(f"{clips}, `{preset}`", f"plan-{kind}{end}", "vjepa", "frozen", EIGHT if end and kind != "today" else TEN)
        for preset, end in (("cpu", ""), ("cpu-long", "-long"))
        for kind, clips in KINDS.items()
    ],
    "h4": [
        Row(f"{KINDS[kind]}: {arm} - {other}", f"plan-{kind}", arm, other)
        for kind in ("today", "new")
        for arm, other in (("generation-2", "frozen"), ("generation-3", "generation-2"))
    ],
    "h5": [Row(f"{steps:,} steps", file, "vjepa", "frozen") for file, steps in LENGTHS.items()],
    "h7": [
        Row(f"{arm} - {other}", "plan-today-tuned", f"{arm}-for-today", f"{other}-for-today")
        for arm in ("vicreg", "sigreg")
        for other in ("vjepa", "frozen")
    ],
}
MEASURES = {"h1": ("knn_identity",), "h2": ("linear_direction", "attentive_direction")}  # PROBES for all others
Found = dict[str, dict[str, Difference]]  # label -> metric -> difference, without rows that have not been run


def seeds_run(raw: Raw, row: Row) -> list[int]:
    """The seeds of the plan that both arms of a row have run."""
    arms = raw.get(row.file, {"arms": {}})["arms"]
    runs = [{run["seed"] for run in arms.get(name, [])} for name in (row.arm, row.other)]
    return sorted(set.intersection(*runs) & set(range(FIRST, FIRST + row.seeds)))


def differences(raw: Raw, question: str) -> Found:
    """The comparisons of a question, of rows of which all seeds have been run."""
    metrics, found = MEASURES.get(question, PROBES), {}
    for row in QUESTIONS[question]:
        if len(seeds_run(raw, row)) == row.seeds:
            runs = raw[row.file]
            found[row.label] = {m: paired(by_seed(runs, row.arm, m), by_seed(runs, row.other, m)) for m in metrics}
    return found


def comparison_table(raw: Raw, question: str) -> str:
    """All rows of a question: the difference and the answer, or how many seeds have been run."""
    metrics, found, lines = MEASURES.get(question, PROBES), differences(raw, question), []
    for row in QUESTIONS[question]:
        known = found.get(row.label)
        missing = f"{len(seeds_run(raw, row))} of {row.seeds} seeds run"
        lines.append([row.label, *(f"{known[m]} {known[m].answer}" if known else missing for m in metrics)])
    return markdown(["", *(METRICS[metric].title for metric in metrics)], lines)


def answers_of(found: Found, labels: Sequence[str], metric: str) -> list[str]:
    """The answers of some rows by one metric."""
    return [found[label][metric].answer for label in labels]


def say_h1(found: Found) -> str:
    """Whether features of the moving target are more about identity."""
    [one] = found.values()
    each = ", ".join(f"{value:+.3f}" for value in one["knn_identity"].each.values())
    return f"**{WORDS[one['knn_identity'].answer]}.** Seed by seed: {each}."


def say_h2(found: Found) -> str:
    """Whether latent targets survive the nuisance better, and between which strengths the order changes."""
    at_one = {row.arm.split("-")[0]: found[row.label] for row in QUESTIONS["h2"] if row.file == "plan-new-tuned"}
    signs = {arm: one["linear_direction"].answer for arm, one in at_one.items()}
    word = "Yes" if set(signs.values()) == {"above"} else "No" if "below" in signs.values() else "Undecided"
    said = [
        f"**{word}.** At strength 1, direction by the linear probe: "
        + ", ".join(f"`{a}` {w}" for a, w in signs.items())
        + "."
    ]
    for arm in at_one:
        rows = [row for row in QUESTIONS["h2"] if row.arm.startswith(arm)]
        words = answers_of(found, [row.label for row in rows], "linear_direction")
        steps = ", ".join(f"{STRENGTHS[row.file]:g} {word}" for row, word in zip(rows, words))
        said.append(f"`{arm}` against `pixels` by strength: {steps}.")
    return " ".join(said)


def say_h3(found: Found) -> str:
    """For which clips the moving target beats the frozen one."""
    said = []
    for row in QUESTIONS["h3"]:
        above, below = ([m for m, one in found[row.label].items() if one.answer == side] for side in ("above", "below"))
        word = "yes" if above and not below else "no" if below and not above else "mixed" if above else "undecided"
        lists = [
            f"{side} on {', '.join(METRICS[m].title for m in names)}"
            for side, names in (("above", above), ("below", below))
            if names
        ]
        said.append(f"- {row.label}: **{word}**" + (f" ({'; '.join(lists)})" if lists else "") + ".")
    return "`vjepa` against `frozen`:\n\n" + "\n".join(said)


def say_rows(question: str, found: Found) -> str:
    """What each row is above and below on."""
    said = []
    for row in QUESTIONS[question]:
        words = [f"{METRICS[m].title} {one.answer}" for m, one in found[row.label].items() if one.answer != "undecided"]
        said.append(f"- {row.label}: {'; '.join(words) or 'undecided on all measures'}.")
    return "\n".join(said)


def answer(raw: Raw, question: str) -> str:
    """What a page says of one question."""
    found, table = differences(raw, question), comparison_table(raw, question)
    if len(found) < len(QUESTIONS[question]):
        return (
            f"Not answered yet: {len(found)} of {len(QUESTIONS[question])} comparisons have all their seeds.\n\n{table}"
        )
    say = {"h1": say_h1, "h2": say_h2, "h3": say_h3}
    said = say[question](found) if question in say else say_rows(question, found)
    return f"{said}\n\n{table}"


def search_table(raw: Raw) -> str:
    """H6: every change, with the moving and the frozen target: means over the seeds that have been run."""
    found = raw.get("search_moving", {})
    if not found:
        return "Not run yet: `python results/search_moving.py`."
    lines = []
    for name in dict.fromkeys(key.partition("/")[2] for key in found):
        for arm in ("vjepa", "frozen"):
            if runs := found.get(f"{arm}/{name}"):
                means = [f"{mean(run[metric] for run in runs):.3f}" for metric in PROBES]
                lines.append([name, arm, ", ".join(str(run["seed"]) for run in runs), *means])
    return markdown(["changed", "arm", "seeds", *(METRICS[metric].title for metric in PROBES)], lines, words=3)


def answer_parts(raw: Raw) -> dict[str, str]:
    """The parts of answers.md."""
    return {question: answer(raw, question) for question in QUESTIONS} | {"h6": search_table(raw)}
