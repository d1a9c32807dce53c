"""Tables of docs/worlds.md, from results/worlds.json, which results/worlds.py makes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import bootstrap
from worlds_recipes import ENCODERS, LAMPS_ONLY

from minivjepa.evaluation.statistics import folded, markdown, mcnemar, rate_in_words
from minivjepa.world.worlds import WORLDS

Rows = Sequence[dict[str, Any]]
FLOORS = {"random": "random actions", "straight": "straight to the goal", "oracle": "oracle"}
RIVALS = {  # encoder -> those that it's compared with
    "lewm": (
        "untrained",
        "raw",
        "untrained, 128",
        "raw, 128",
        "pixel-target, 128",
        "vjepa, default",
        "vjepa, 128",
        "lewm, 128",
        "lewm, no actions",
    ),
    "vjepa, default": ("untrained, 128", "raw, 128", "pixel-target, 128", "vjepa, 128"),
    "vjepa, 128": ("untrained, 128", "raw, 128", "pixel-target, 128", "vjepa, pooled"),
    "vjepa": ("untrained", "raw"),
    "sigreg": ("untrained", "raw"),
}
PAIR_HEADS = ("planner", "pair", "goals reached (points)", "McNemar's p, by seed", "")
PLANNERS = ("inverse dynamics", "gradient", "cem")


def place(row: dict[str, Any]) -> tuple[Any, ...]:
    """Sorts rows by world, planner and encoder, each in the order in which we name them, and by seed."""
    orders = {"world": WORLDS, "planner": PLANNERS, "encoder": ENCODERS | LAMPS_ONLY}
    found = [(row.get(kind, ""), list(order)) for kind, order in orders.items()]
    return *((order.index(name) if name in order else len(order), name) for name, order in found), row.get("seed", 0)


def groups(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """(world, planner, encoder) -> its rows, one for each training."""
    found = defaultdict(list)
    for row in sorted(rows, key=place):
        found[row["world"], row["planner"], row["encoder"]].append(row)
    return dict(found)


def floors_table(results: dict[str, Any]) -> str:
    """What each world's task asks: its budget and radius, and how often the controls reach the goal."""
    by_world = defaultdict(dict)
    for row in sorted(results["floors"], key=place):
        by_world[row["world"]][row["planner"]] = row
    lines = []
    for world, rows in by_world.items():
        task = results["settings"][f"task of {world}"]
        rates = [rate_in_words(rows[name]) if name in rows else "" for name in FLOORS]
        lines.append([world, f"{task['steps']}", f"{task['radius']:g}", *rates])
    return markdown(["world", "steps", "radius", *FLOORS.values()], lines)


def short_table(results: dict[str, Any], world: str) -> str:
    """Who reaches the goal in a world: encoders with inverse dynamics, between the controls.  For README."""
    rates = {
        FLOORS[row["planner"]]: f"{100 * row['success']:.1f}" for row in results["floors"] if row["world"] == world
    }
    found = {encoder: rows for (where, by, encoder), rows in groups(results["rows"]).items()
             if (where, by) == (world, "inverse dynamics") and encoder in ENCODERS}  # fmt: skip
    for encoder, rows in sorted(found.items(), key=lambda item: -np.mean([row["success"] for row in item[1]])):
        rates[encoder] = ", ".join(f"{100 * row['success']:.1f}" for row in rows)
    lines = [[name, rate] for name, rate in rates.items()]
    return markdown(["", "goals reached (%), by training run"], lines)


def curves_table(results: dict[str, Any], world: str) -> str:
    """Percent of goals reached by each control, by budget (columns) and radius (rows)."""
    lines = []
    for row in (row for row in results["curves"] if row["world"] == world):
        for radius, shares in zip(row["radii"], row["table"]):
            lines.append([FLOORS[row["planner"]], f"{radius:g}", *(f"{100 * share:.0f}" for share in shares)])
    budgets = next((row["budgets"] for row in results["curves"] if row["world"] == world), [])
    return markdown(["", "radius", *(f"{budget} steps" for budget in budgets)], lines)


def rates_tables(results: dict[str, Any]) -> str:
    """For each world, goals reached by every encoder with every planner: the mean over training runs, and in brackets each of them."""
    found, parts = groups(results["rows"]), []
    for world in WORLDS:
        lines = []
        for encoder in dict.fromkeys(name for where, _, name in found if where == world):
            shares = [[100 * row["success"] for row in found.get((world, by, encoder), [])] for by in PLANNERS]
            cells = [f"{np.mean(each):.1f} ({', '.join(f'{s:.1f}' for s in each)})" if each else "" for each in shares]
            lines.append([encoder, *cells])
        parts.append(f"In `{world}`:\n\n{markdown(['goals reached (%)', *PLANNERS], lines)}")
    return "\n\n".join(parts)


def two_digits(value: float) -> str:
    """0.157 -> 0.16, 187 -> 190."""
    return f"{float(f'{value:.2g}'):g}"


def costs_table(results: dict[str, Any]) -> str:
    """What a decision costs with every encoder, planner and world: means over training runs."""
    lines = []
    for key, rows in groups(results["rows"]).items():
        costs = [two_digits(np.mean([row[name] for row in rows])) for name in ("milliseconds", "milliseconds_alone")]
        lines.append([*key, *costs, f"{np.mean([row['mebibytes'] for row in rows]):.1f}"])
    return markdown(["world", "planner", "encoder", "ms a decision", "ms, one robot", "MiB"], lines, words=3)


def compared(a: Rows, b: Rows) -> tuple[float, float, float, str]:
    """Goals reached by a minus by b, in percent, on the same pairs: (mean, low, high, verdict).

    A pair counts with its mean over training runs, and the interval is bootstrapped over pairs.  "above" also asks that every training of
    a is above that of b with the same seed, for three training runs say little of the next.
    """
    both = [np.array([row["reached"] for row in rows], dtype=float) for rows in (a, b)]  # [training runs, pairs]
    gains = both[0].mean(axis=0) - both[1].mean(axis=0)
    middle, each = float(gains.mean()), both[0].mean(axis=1) - both[1].mean(axis=1)
    low = high = middle  # where all pairs gain the same, there's nothing to bootstrap
    if np.ptp(gains):
        low, high = bootstrap((gains,), np.mean, rng=np.random.default_rng(0)).confidence_interval
    verdict = "undecided"
    if low > 0 and (each > 0).all():
        verdict = "above"
    elif high < 0 and (each < 0).all():
        verdict = "below"
    return 100 * middle, 100 * float(low), 100 * float(high), verdict


def pair_in_words(mine: Rows, theirs: Rows) -> list[str]:
    """The last cells of a row on a pair: the difference with its interval, McNemar's p for each seed, and the verdict."""
    middle, low, high, verdict = compared(mine, theirs)
    tests = [mcnemar(a["reached"], b["reached"]) for a, b in zip(mine, theirs)]
    p = ", ".join(f"{value:.3f}" if value >= 0.001 else "< 0.001" for value in tests)
    difference = f"{round(middle, 1) + 0.0:+.1f} ({low:+.1f} to {high:+.1f})"
    return [difference, p, verdict if len(mine) > 1 else "one training"]


def paired_table(results: dict[str, Any]) -> str:
    """Every trained encoder against its rivals with the same planner, unless none reached a goal; McNemar's p for each seed."""
    lines, found = [], groups(results["rows"])
    for (world, planner, encoder), rows in found.items():
        for rival in RIVALS.get(encoder, ()):
            others = {row["seed"]: row for row in found.get((world, planner, rival), [])}
            mine = [row for row in rows if row["seed"] in others]
            theirs = [others[row["seed"]] for row in mine]
            if any(row["success"] for row in (*mine, *theirs)):  # else there's nothing to compare
                words = pair_in_words(mine, theirs)
                lines.append([world, planner, f"{encoder} minus {rival}", *words])
    table = markdown(["world", *PAIR_HEADS], lines, words=3)
    title = f"{len(lines)} comparisons on the same pairs; at 95 %, one interval in twenty misses"
    return folded(title, table)


def losses_table(results: dict[str, Any]) -> str:
    """What latents tell, and the error of inverse dynamics on clips that it has and hasn't seen, beside the goals that it reaches."""
    lines, names = [], ("position_r2", "lamps_r2", "inverse_loss", "inverse_error", "success")
    for (world, _, encoder), rows in groups(row for row in results["rows"] if "inverse_loss" in row).items():
        position, lamps, loss, error, share = (np.mean([row.get(name, np.nan) for row in rows]) for name in names)
        lit = "" if np.isnan(lamps) else f"{lamps:.2f}"
        lines.append([world, encoder, f"{position:.2f}", lit, f"{loss:.3f}", f"{error:.3f}", f"{100 * share:.1f}"])
    heads = ["robot, R²", "lamps, R²", "error, training", "error, unseen clips", "goals reached (%)"]
    return markdown(["world", "encoder", *heads], lines, words=2)


def landscape_table(results: dict[str, Any]) -> str:
    """Whether latents that are near are near on foot, or only as the crow flies."""
    lines = [
        [
            row["world"],
            row["encoder"],
            *(f"{round(row[name], 2) + 0.0:.2f}" for name in ("rank_with_walking", "rank_with_line")),
        ]
        for row in sorted(results["landscapes"], key=place)
    ]
    return markdown(["world", "encoder", "on foot", "as the crow flies"], lines, words=2)


def trials_table(search: dict[str, Any]) -> str:
    """The trials by which recipes were chosen, in order, folded."""
    lines = [[trial["world"], trial["encoder"], trial["changed"], trial["found"]] for trial in search["trials"]]
    table = markdown(["world", "encoder", "recipe", "what the latents know"], lines, words=4)
    return folded(f"{len(lines)} trials", f"{table}\n\n{search['note']}")


def worlds_parts(results: dict[str, Any], search: dict[str, Any]) -> dict[str, str]:
    """The tables of docs/worlds.md."""
    curves = [f"In `{world}`:\n\n{curves_table(results, world)}" for world in WORLDS]
    made = f"`{results['command']}`, {results['date']}, torch {results['versions']['torch']}, one CPU thread."
    return {
        "floors": f"{floors_table(results)}\n\n{made}",
        "curves": folded("Percent of goals reached, by budget and radius", "\n\n".join(curves)),
        "rates": rates_tables(results),
        "costs": folded("Processor time and memory of a decision", costs_table(results)),
        "pairs": paired_table(results),
        "losses": losses_table(results),
        "landscapes": landscape_table(results),
        "trials": trials_table(search),
    }
