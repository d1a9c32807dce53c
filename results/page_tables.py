"""Tables that only the pages of results need."""

from collections.abc import Sequence
from statistics import mean
from typing import Any

from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import apart, cell, markdown, paired
from minivjepa.experiments.report import Results
from minivjepa.experiments.tables import SHORT


def apart_table(results: Results, goals: dict[str, float]) -> str:
    """Whether vjepa's mean reaches each goal (metric -> least mean), and whether its interval lies above the controls'.

    Beside each control: the mean difference from vjepa over shared seeds, with its paired interval.
    """
    runs, frozen = ({run["seed"]: run["final"] for run in results["arms"][arm]} for arm in ("vjepa", "frozen"))
    untrained, pixels = ({row["seed"]: row for row in results[name]} for name in ("untrained", "raw_pixels"))
    lines = []
    for metric, goal in goals.items():
        own = {seed: run[metric] for seed, run in runs.items()}
        reached = "yes" if mean(own.values()) >= goal else "no"
        lines.append([METRICS[metric].title, f"at least {goal:.2f}", cell([*own.values()]), "", reached])
        for name, rows in (("untrained", untrained), ("raw pixels", pixels), ("frozen", frozen)):
            theirs = {seed: row[metric] for seed, row in rows.items()}
            above, below = apart([*own.values()], [*theirs.values()]), apart([*theirs.values()], [*own.values()])
            answer = "yes" if above else "no: below" if below else "no: intervals overlap"
            lines.append(["", f"above {name}", cell([*theirs.values()]), str(paired(own, theirs)), answer])
    return markdown(["vjepa", "expected", "mean", "vjepa minus it, paired by seed", "reached?"], lines)


def decay_table(runs: Sequence[dict[str, Any]]) -> str:
    """Per arm and weight decay: every seed's direction, and means with intervals."""
    groups = sorted({(run["arm"], run["weight_decay"]) for run in runs}, reverse=True)
    lines = []
    for arm, decay in groups:
        own = [run for run in runs if (run["arm"], run["weight_decay"]) == (arm, decay)]
        each = ", ".join(f"{run['linear_direction']:.2f}" for run in own)
        means = [
            cell([run[name] for run in own]) for name in ("feature_std", "attentive_direction", "attentive_identity")
        ]
        lines.append([arm, f"{decay:g}", each, *means])
    heads = ["arm", "weight decay", "direction, linear, each seed", "feature std", METRICS["attentive_direction"].title]
    return markdown([*heads, METRICS["attentive_identity"].title], lines)


def search_table(trials: Sequence[dict[str, Any]]) -> str:
    """The trials of the recipe search, in the order in which they were made, means over seeds."""
    columns = ("cpu_seconds", *SHORT[1:], "feature_std")
    titles = [METRICS[column].title for column in columns[1:]]
    heads = ["trial", "differs from the first in", "seeds", "probe", "CPU seconds", *titles]
    lines = []
    for trial in trials:
        changes = ", ".join(f"{name} {value}" for name, value in trial["changes"].items())
        values = [mean(run[column] for run in trial["runs"]) for column in columns]
        seeds = ", ".join(str(run["seed"]) for run in trial["runs"])
        lines.append(
            [trial["trial"], changes, seeds, trial["probe"], f"{values[0]:.0f}", *(f"{v:.3f}" for v in values[1:])]
        )
    return markdown(heads, lines)
