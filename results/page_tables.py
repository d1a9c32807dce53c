"""Tables that only the pages of results need."""

import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import mean
from typing import Any

from signals import SIGNALS, first_separation

from minivjepa.evaluation.collapsed_runs import alarm, collapsed
from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import cell, markdown, mcnemar, paired, rate_in_words
from minivjepa.experiments.report import SHORT, Results, by_seed, metric_cells


def goals_table(results: Results, goals: dict[str, float]) -> str:
    """Whether vjepa's mean reaches each goal (metric -> least mean), and how vjepa compares with the controls, seed by seed."""
    lines = []
    for metric, goal in goals.items():
        own = by_seed(results, "vjepa", metric)
        reached = "yes" if mean(own.values()) >= goal else "no"
        lines.append([METRICS[metric].title, f"at least {goal:.2f}", cell([*own.values()]), "", reached])
        for name in ("untrained", "raw_pixels", "frozen"):
            theirs = by_seed(results, name, metric)
            found = paired(own, theirs)
            answer = "yes" if found.answer == "above" else f"no: {found.answer}"
            lines.append(["", f"above {name.replace('_', ' ')}", cell([*theirs.values()]), str(found), answer])
    return markdown(["vjepa", "expected", "mean", "vjepa minus it, seed by seed", "reached?"], lines)


PROBES = ("linear_direction", "linear_identity", "attentive_direction", "attentive_identity", "knn_identity")


def comparisons(pairs: Iterable[tuple[Results, str, Results, str]], metrics: Sequence[str] = PROBES) -> str:
    """One line for each pair of arms (results, arm, results, other arm): arm minus other seed by seed, and the answer."""
    lines = []
    for results, arm, theirs, other in pairs:
        found = [paired(by_seed(results, arm, metric), by_seed(theirs, other, metric)) for metric in metrics]
        lines.append([f"{arm} - {other}", *(f"{one} {one.answer}" for one in found)])
    return markdown(["", *(METRICS[metric].title for metric in metrics)], lines)


def decay_table(runs: Sequence[dict[str, Any]]) -> str:
    """Per arm and weight decay: every seed's direction, and means with intervals."""
    groups = sorted({(run["arm"], run["weight_decay"]) for run in runs}, reverse=True)
    lines = []
    for arm, decay in groups:
        own = [run for run in runs if (run["arm"], run["weight_decay"]) == (arm, decay)]
        each = ", ".join(f"{run['linear_direction']:.2f}" for run in own)
        means = metric_cells(own, ("feature_std", "attentive_direction", "attentive_identity"))
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
        values = [mean(run.get(column, math.nan) for run in trial["runs"]) for column in columns]
        seeds = ", ".join(str(run["seed"]) for run in trial["runs"])
        lines.append(
            [
                trial["trial"],
                changes,
                seeds,
                trial["probe"],
                f"{values[0]:.0f}",
                *("" if math.isnan(v) else f"{v:.3f}" for v in values[1:]),
            ]
        )
    return markdown(heads, lines)


def cells(runs: Sequence[dict[str, Any]], columns: Iterable[str]) -> list[str]:
    """Per column: mean of that number over runs, with the lowest and the highest, as text; empty where none of them has it."""
    found = []
    for column in columns:
        known = [run[column] for run in runs if run.get(column) is not None]
        digits = 3 if known and abs(mean(known)) < 10 else 1
        found.append(
            "{:.{d}f} ({:.{d}f} to {:.{d}f})".format(mean(known), min(known), max(known), d=digits) if known else ""
        )
    return found


def position_gain(rows: Sequence[dict[str, Any]], base: Sequence[dict[str, Any]]) -> str:
    """The position R² of rows minus that of base rows, paired by seed, and what it says; empty for the base itself."""
    if rows == base:
        return ""
    difference = paired(*({row["seed"]: row["position_r2"] for row in part} for part in (rows, base)))
    return f"{difference}, {difference.answer}"


def warning_table(results: Results) -> str:
    """Per logged number: the step from which it separates collapsed from other runs, and whether theirs is lower or higher."""
    runs = [run for arm in results["arms"].values() for run in arm]
    dead = [run["history"] for run in runs if collapsed(run)]
    alive = [run["history"] for run in runs if not collapsed(run)]
    lines = []
    for name, signal in SIGNALS.items():
        found = first_separation(dead, alive, signal)
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
    """How often controls and world models reach their goals, and what the models' latents know of the robot's position."""
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


def world_pairs_table(results: dict[str, Any]) -> str:
    """Two at a time: per seed, pairs that only one of them reached, with McNemar's p; then goals reached, paired by seed."""
    seeds = sorted({row["seed"] for row in results["models"]})
    rows = {("straight", seed): results["straight"] for seed in seeds}
    rows |= {(row["model"], row["seed"]): row for row in results["models"]}
    trained = list(dict.fromkeys(row["model"] for row in results["models"]))
    lines = []
    for a, b in [*combinations(trained, 2), *((name, "straight") for name in trained)]:
        line = []
        for seed in seeds:
            both = mine, others = rows[a, seed]["reached"], rows[b, seed]["reached"]
            only = [sum(x > y for x, y in zip(mine, others)), sum(x < y for x, y in zip(mine, others))]
            p = mcnemar(*both)
            line.append(f"{only[0]} and {only[1]}, " + (f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"))
        shares = [{seed: rows[name, seed]["all"]["success"] for seed in seeds} for name in (a, b)]
        difference = paired(*shares) if b in trained else None  # the walk knows no seeds
        lines.append([f"{a} and {b}", *line, f"{difference}, {difference.answer}" if difference else ""])
    heads = ["pairs that only one of the two reached", *(f"seed {seed}" for seed in seeds)]
    return markdown([*heads, "goals reached, difference paired by seed"], lines)


def world_search_table(search: dict[str, Any]) -> str:
    """The planner's trials, in order: of 50 pairs through the door and 50 within a room, how many were reached."""
    lines = []
    for trial in search["trials"]:
        reached = [trial["models"].get(model) for model in ("lewm", "vjepa")]
        counts = [f"{row[part]}" if row else "" for row in reached for part in ("door", "room")]
        lines.append([trial["cost"], *(str(trial[name]) for name in ("horizon", "persistence", "rounds")), *counts])
    heads = ["a plan's cost: distance to the goal, as", "horizon", "persistence", "rounds"]
    return markdown([*heads, "LeWorldModel, door", "room", "frozen V-JEPA, door", "room"], lines)


def variant_table(results: dict[str, Any]) -> str:
    """LeWorldModel with one option changed: collapse metrics, probe and goals reached, over seeds."""
    columns = {name: METRICS[name].title for name in ("loss", "feature_std", "effective_rank")}
    columns |= {"position_r2": METRICS["linear_position"].title, "success": "goals reached"}
    groups: dict[str, list[Any]] = {}
    for row in sorted(results["variants"], key=lambda row: row["name"] != "untrained"):  # the control first
        groups.setdefault("*untrained*" if row["name"] == "untrained" else row["name"], []).append(row)
    base = groups["default"]
    lines = [[name, *cells(rows, columns), position_gain(rows, base)] for name, rows in groups.items()]
    return markdown(["", *columns.values(), "position R² minus the default's"], lines)


def heuristics_table(results: dict[str, Any]) -> str:
    """V-JEPA's heuristics removed one by one, with and without SIGReg: both encoders' std and probe, over seeds."""
    columns = {
        "feature_std": "feature std, online",
        "target_feature_std": "feature std, target",
        "effective_rank": "effective rank, online",
        "position_r2": "position R², online",
        "target_position_r2": "position R², target",
    }
    groups = {("*untrained*", ""): results["untrained"]}
    for row in results["heuristics"]:
        groups.setdefault((row["name"], f"{row['weight']:g}"), []).append(row)
    lines = [[*key, *cells(rows, columns), position_gain(rows, results["untrained"])] for key, rows in groups.items()]
    return markdown(
        ["heuristics of V-JEPA", "lambda", *columns.values(), "position R², online, minus untrained's"], lines
    )
