"""The questions of plan.md, and what the raw files say to each comparison by its rules."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from page_tables import PROBES

from minivjepa.evaluation.collapsed_runs import collapsed
from minivjepa.evaluation.statistics import Difference, paired

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
PARTLY = "only some runs collapsed"  # the answer where a mean would describe nothing
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
QUESTIONS["pixels"] = [  # asked by no hypothesis: the presets as they are, where the plan has `pixels`
    Row(f"{row.label}: {arm} - pixels", row.file, arm, "pixels")
    for row in QUESTIONS["h3"]
    if row.seeds == TEN
    for arm in ("vjepa", "frozen")
]
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


def first_frame(results: Raw) -> float:
    """How much of the direction the best probe reads in the first frame of these clips."""
    seen = results["controls"]["first_frame"]
    return max(seen[name] for name in ("linear_direction", "attentive_direction", "pixels_direction"))


def leaks(results: Raw) -> bool:
    """Whether the first frame of these clips gives the direction away."""
    return first_frame(results) > results["chance"]["direction"] + LEAK
