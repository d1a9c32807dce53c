"""The answers to plan.md, computed from the raw files by its own rules.  What has not been run yet is named."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any, NamedTuple

from page_tables import PROBES

from minivjepa.evaluation.collapsed_runs import collapsed
from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import Difference, folded, markdown, paired

Raw = dict[str, Any]
FIRST, TEN, EIGHT = 20, 10, 8
KINDS = {
    "today": "plain clips",
    "new": "new background",
    "still": "still background",
    "drifting": "drifting background",
}
LENGTHS = {"plan-1000-steps": 1000, "plan-today": 2600, "plan-7000-steps": 7000, "plan-14000-steps": 14000}
STRENGTHS = {"plan-today-tuned": 0, "plan-new-quarter": 0.25, "plan-new-tuned": 0.5}
WORDS = {"above": "Yes", "below": "No, it is below", "equal": "No, they are equal", "undecided": "Undecided"}
PARTLY = "only some runs collapsed"
WORDS[PARTLY] = "No answer: only some runs collapsed"
LEAK = 0.05  # direction in the first frame, above chance, from which on no result counts


class Row(NamedTuple):
    """One comparison: a label, the raw file, one arm minus another, and how many seeds the plan asks for."""

    label: str
    file: str
    arm: str
    other: str
    seeds: int = TEN


QUESTIONS = {
    "h1": [Row("plain clips, `cpu-long`", "plan-today-long", "vjepa", "frozen")],
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
    "h8": [Row("plain clips, `cpu-long`", "plan-today-long", "vjepa", "pixels")],
}
WHOLE = ("h1", "h2", "h5")  # questions that no single comparison answers
MEASURES = {"h1": ("knn_identity",), "h2": ("linear_direction", "attentive_direction")}  # PROBES for all others


@dataclass(frozen=True)
class Dots(Difference):
    """Differences of an arm of which only some runs collapsed: their mean describes neither those nor the others."""

    @property
    def answer(self) -> str:
        """None, and why."""
        return PARTLY

    def __str__(self) -> str:
        return in_words(self)


Found = dict[str, dict[str, Difference]]  # label -> metric -> difference, without rows that have not been run


def seeds_run(raw: Raw, row: Row) -> list[int]:
    """The seeds of the plan that both arms of a row have run."""
    arms = raw.get(row.file, {"arms": {}})["arms"]
    runs = [{run["seed"] for run in arms.get(name, [])} for name in (row.arm, row.other)]
    return sorted(set.intersection(*runs) & set(range(FIRST, FIRST + row.seeds)))


def complete(raw: Raw, file: str, arm: str, seeds: int = TEN) -> bool:
    """Whether an arm has run all seeds of the plan."""
    return len(seeds_run(raw, Row("", file, arm, arm, seeds))) == seeds


def in_words(one: Difference) -> str:
    """The differences in the order of their seeds."""
    return ", ".join(f"{value:+.3f}" for _, value in sorted(one.each.items()))


def partly(runs: list[dict[str, Any]]) -> bool:
    """Whether some runs collapsed and others didn't."""
    return len({collapsed(run) for run in runs}) > 1


def compare(raw: Raw, row: Row, metric: str) -> Difference:
    """One arm minus the other, with an interval within what a difference of accuracies can be."""
    runs = {
        name: [run for run in raw[row.file]["arms"][name] if run["seed"] in seeds_run(raw, row)]
        for name in (row.arm, row.other)
    }
    found = paired(*({run["seed"]: run["final"][metric] for run in each} for each in runs.values()))
    found = replace(found, low=max(found.low, -1.0), high=min(found.high, 1.0))
    return Dots(**vars(found)) if any(map(partly, runs.values())) else found


def differences(raw: Raw, question: str) -> Found:
    """The comparisons of a question, of rows of which all seeds have been run."""
    metrics = MEASURES.get(question, PROBES)
    done = [row for row in QUESTIONS[question] if len(seeds_run(raw, row)) == row.seeds]
    return {row.label: {metric: compare(raw, row, metric) for metric in metrics} for row in done}


def leaks(results: Raw) -> bool:
    """Whether the first frame of these clips gives the direction away."""
    seen = results["controls"]["first_frame"]
    most = max(seen[name] for name in ("linear_direction", "attentive_direction", "pixels_direction"))
    return most > results["chance"]["direction"] + LEAK


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


def say_verdicts(found: Found) -> str:
    """For which clips one arm beats the other, and on which measures."""
    said = []
    for label, measured in found.items():
        above, below = ([m for m, one in measured.items() if one.answer == side] for side in ("above", "below"))
        lists = [
            f"{side} on {', '.join(METRICS[m].title.replace(', ', ' (') + ')' for m in names)}"
            for side, names in (("above", above), ("below", below))
            if names
        ]
        said.append(f"- {label}: **{verdict(measured)}**" + (f": {'; '.join(lists)}" if lists else "") + ".")
    return "\n".join(said)


def say_h3(found: Found) -> str:
    """For which clips the moving target beats the frozen one."""
    counts = Counter(verdict(measured) for measured in found.values())
    run = f"{len(found)} of {len(QUESTIONS['h3'])} comparisons run: {', '.join(f'{n} {word}' for word, n in counts.items())}"
    return f"`vjepa` against `frozen`, {run}.\n\n{say_verdicts(found)}"


def say_rows(found: Found) -> str:
    """What each row is above and below on."""
    said = []
    for label, measured in found.items():
        words = [f"{METRICS[m].title} {one.answer}" for m, one in measured.items() if one.answer != "undecided"]
        said.append(f"- {label}: {'; '.join(words) or 'undecided on all measures'}.")
    return "\n".join(said)


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
