"""Tables that only the pages of results need."""

from collections.abc import Sequence
from statistics import mean
from typing import Any

from minivjepa.evaluation.statistics import apart, cell, markdown
from minivjepa.experiments.report import Results
from minivjepa.experiments.tables import NAMES, SHORT


def apart_table(results: Results, goals: dict[str, float]) -> str:
    """Whether vjepa's mean reaches each goal (metric -> least mean), and whether its interval lies above the controls'."""
    runs = [run["final"] for run in results["arms"]["vjepa"]]
    others = {"untrained": results["untrained"], "raw pixels": results["raw_pixels"]}
    others["frozen"] = [run["final"] for run in results["arms"]["frozen"]]
    lines = []
    for metric, goal in goals.items():
        own = [run[metric] for run in runs]
        lines.append([NAMES[metric], cell(own), f"at least {goal:.2f}", "yes" if mean(own) >= goal else "no"])
        for name, rows in others.items():
            theirs = [row[metric] for row in rows]
            answer = "yes" if apart(own, theirs) else "no, they overlap" if not apart(theirs, own) else "no, below"
            lines.append(["", "", f"above {name}, {cell(theirs)}", answer])
    return markdown(["vjepa", "mean", "expected", "so?"], lines)


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
    heads = ["arm", "weight decay", "direction, linear, each seed", "feature std", NAMES["attentive_direction"]]
    return markdown([*heads, NAMES["attentive_identity"]], lines)


def search_table(trials: Sequence[dict[str, Any]]) -> str:
    """The trials of the recipe search, in the order in which they were made, means over seeds."""
    columns = ("cpu_seconds", *SHORT[1:], "feature_std")
    heads = ["trial", "differs from the first in", "seeds", "probe", "CPU seconds", *(NAMES[c] for c in columns[1:])]
    lines = []
    for trial in trials:
        changes = ", ".join(f"{name} {value}" for name, value in trial["changes"].items())
        values = [mean(run[column] for run in trial["runs"]) for column in columns]
        seeds = ", ".join(str(run["seed"]) for run in trial["runs"])
        lines.append(
            [trial["trial"], changes, seeds, trial["probe"], f"{values[0]:.0f}", *(f"{v:.3f}" for v in values[1:])]
        )
    return markdown(heads, lines)
