"""Results as Markdown tables, with 95 % intervals over seeds."""

import math
from collections.abc import Sequence
from typing import Any

from minivjepa.course.figures.arm_curves import Results
from minivjepa.evaluation.early_warning import SIGNALS, alarm, collapsed, told
from minivjepa.evaluation.statistics import cell, markdown, rate_in_words
from minivjepa.experiments.report import Row

NAMES = {
    "loss": "loss",
    "feature_std": "feature std",
    "position_std": "within-clip std",
    "effective_rank": "effective rank",
    "rankme": "RankMe",
    "margin": "margin",
    "linear_direction": "direction, linear",
    "linear_identity": "identity, linear",
    "attentive_direction": "direction, attentive",
    "attentive_identity": "identity, attentive",
    "knn_identity": "identity, kNN",
    "linear_color": "color R²",
    "linear_position": "position R²",
}
SHORT = ("feature_std", "linear_direction", "linear_identity", "attentive_direction", "attentive_identity")


def metric_table(rows: Sequence[Row], columns: Sequence[str] = SHORT) -> str:
    """Rows of arms and controls, one column per metric, means with intervals."""
    lines = [
        [row.name if row.kind == "arm" else f"*{row.name}*", *(cell([run.get(c) for run in row.runs]) for c in columns)]
        for row in rows
    ]
    return markdown(["", *(NAMES[column] for column in columns)], lines)


def warning_table(results: Results) -> str:
    """Per logged number: the step from which it tells collapsed from other runs, and which side is the collapsed one."""
    runs = [run for arm in results["arms"].values() for run in arm]
    dead = [run["history"] for run in runs if collapsed(run)]
    alive = [run["history"] for run in runs if not collapsed(run)]
    lines = []
    for name, signal in SIGNALS.items():
        found = told(dead, alive, signal)
        side = "" if found.step is None else ("lower" if found.below else "higher")
        lines.append([name, "never" if found.step is None else str(found.step), side])
    lines.sort(key=lambda line: math.inf if line[1] == "never" else int(line[1]))
    return markdown(["logged number", "tells from step", "collapsed runs have the"], lines)


def alarm_table(results: Results) -> str:
    """Per arm: how many runs ended collapsed, how many got the early warning, and when."""
    lines = []
    for arm, runs in results["arms"].items():
        steps = [step for run in runs if (step := alarm(run["history"])) is not None]
        when = "" if not steps else (f"{min(steps)} to {max(steps)}" if min(steps) < max(steps) else f"{steps[0]}")
        lines.append([arm, f"{sum(map(collapsed, runs))} of {len(runs)}", f"{len(steps)} of {len(runs)}", when])
    return markdown(["arm", "collapsed", "early warning", "at step"], lines)


def world_table(results: dict[str, Any]) -> str:
    """Who reaches how many goals, and what its latents know of the robot's position."""
    names = {"random": "random actions", "straight": "straight to the goal", "oracle": "oracle on the true state"}
    rows = [(words, results[name]) for name, words in names.items()]
    rows += [(f"{row['model']}, seed {row['seed']}", row) for row in results["models"]]
    lines = [
        [
            name,
            *(rate_in_words(row[part]) for part in ("all", "door", "room")),
            f"{row['position_r2']:.3f}" if "position_r2" in row else "",
            f"{row['training_seconds']:.0f}" if "training_seconds" in row else "",
            f"{row['seconds']:.0f}",
        ]
        for name, row in rows
    ]
    heads = ["", "all pairs", "through the door", "within a room", "position R²", "training (s)", "planning (s)"]
    return markdown(heads, lines)


def world_search_table(search: dict[str, Any]) -> str:
    """The planner's trials, in order: of 50 pairs through the door and 50 within a room, how many were reached."""
    lines = []
    for trial in search["trials"]:
        reached = [trial["models"].get(model) for model in ("lewm", "vjepa")]
        counts = [f"{row[part]}" if row else "" for row in reached for part in ("door", "room")]
        lines.append([trial["cost"], *(str(trial[name]) for name in ("horizon", "persistence", "rounds")), *counts])
    heads = [
        "a plan's cost: distance to the goal, as",
        "horizon",
        "persistence",
        "rounds",
        "LeWorldModel, door",
        "room",
        "frozen V-JEPA, door",
        "room",
    ]
    return markdown(heads, lines)


def variant_table(results: dict[str, Any]) -> str:
    """LeWorldModel with one option changed: collapse metrics, probe and goals reached, means over seeds."""
    columns = {"loss": "loss", "feature_std": NAMES["feature_std"], "effective_rank": NAMES["effective_rank"]}
    columns |= {"position_r2": NAMES["linear_position"], "success": "goals reached"}
    names = dict.fromkeys(row["name"] for row in results["variants"])
    lines = [
        [
            f"*{name}*" if name == "untrained" else name,
            *(cell([row.get(column) for row in results["variants"] if row["name"] == name]) for column in columns),
        ]
        for name in sorted(names, key=lambda name: name != "untrained")  # the control first
    ]
    return markdown(["", *columns.values()], lines)


def heuristics_table(results: dict[str, Any]) -> str:
    """V-JEPA's heuristics removed one by one, with and without SIGReg: both encoders' std and probe, means over seeds."""
    columns = {
        "feature_std": "feature std, online",
        "target_feature_std": "feature std, target",
        "effective_rank": "effective rank, online",
    }
    columns |= {"position_r2": "position R², online", "target_position_r2": "position R², target"}
    keys = dict.fromkeys((row["name"], row["weight"]) for row in results["heuristics"])
    groups = [("*untrained*", "", results["untrained"])]
    for name, weight in keys:
        own = [row for row in results["heuristics"] if (row["name"], row["weight"]) == (name, weight)]
        groups.append((name, f"{weight:g}", own))
    lines = [
        [name, weight, *(cell([row.get(column) for row in own]) for column in columns)] for name, weight, own in groups
    ]
    return markdown(["heuristics of V-JEPA", "lambda", *columns.values()], lines)
