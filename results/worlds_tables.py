"""Tables and pictures of docs/worlds.md, from results/worlds.json, which results/worlds.py makes."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.stats import bootstrap
from worlds_recipes import ENCODERS

from minivjepa.evaluation.statistics import markdown, mcnemar, rate_in_words
from minivjepa.figures import COLORS, STYLES, Picture, finish, panels

Rows = Sequence[dict[str, Any]]
FLOORS = {"random": "random actions", "straight": "straight to the goal", "oracle": "oracle"}
RIVALS = {  # encoder -> those that it's compared with
    "lewm": (
        "untrained",
        "raw",
        "untrained, 128",
        "raw, 128",
        "pixel-target, 128",
        "vjepa, 128",
        "lewm, 128",
        "lewm, no actions",
    ),
    "vjepa, 128": ("untrained, 128", "raw, 128", "pixel-target, 128", "vjepa, pooled"),
    "vjepa": ("untrained", "raw"),
    "sigreg": ("untrained", "raw"),
}
UNKNOWN = "Not yet measured."
PAIR_HEADS = ("planner", "pair", "goals reached (points)", "McNemar's p, by seed", "")
MARKERS = {"inverse dynamics": "o", "gradient": "^", "cem": "s"}


def groups(rows: Iterable[dict[str, Any]]) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    """(world, planner, encoder) -> its rows, one for each training, by seed; worlds and planners by name."""
    found = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["world"], row["planner"], row["seed"])):
        found[row["world"], row["planner"], row["encoder"]].append(row)
    return dict(found)


def floors_table(results: dict[str, Any]) -> str:
    """What each world's task asks: its budget and radius, and how often the controls reach the goal."""
    by_world = defaultdict(dict)
    for row in results["floors"]:
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
    return markdown(["", "goals reached (%), by training"], lines)


def curves_table(results: dict[str, Any], world: str) -> str:
    """Percent of goals reached by each control, by budget (columns) and radius (rows)."""
    lines = []
    for row in (row for row in results["curves"] if row["world"] == world):
        for radius, shares in zip(row["radii"], row["table"]):
            lines.append([FLOORS[row["planner"]], f"{radius:g}", *(f"{100 * share:.0f}" for share in shares)])
    budgets = next((row["budgets"] for row in results["curves"] if row["world"] == world), [])
    return markdown(["", "radius", *(f"{budget} steps" for budget in budgets)], lines)


def horizon_table(results: dict[str, Any]) -> str:
    """How far the oracle's planner has to look ahead."""
    rows = results.get("horizons", [])
    horizons, lines = sorted({row["horizon"] for row in rows}), []
    for world in dict.fromkeys(row["world"] for row in rows):
        found = {row["horizon"]: row for row in rows if row["world"] == world}
        lines.append([world, *(rate_in_words(found[far]) if far in found else "" for far in horizons)])
    return markdown(["oracle", *(f"{far} steps ahead" for far in horizons)], lines) if lines else UNKNOWN


def measured_table(results: dict[str, Any]) -> str:
    """How many of the trainings of all encoders were measured, by world and planner."""
    found = Counter((row["world"], row["planner"]) for row in results["rows"] if row["encoder"] in ENCODERS)
    worlds, all_of_them = (
        dict.fromkeys(row["world"] for row in results["floors"]),
        len(ENCODERS) * len(results["seeds"]),
    )
    lines = [[world, *(f"{found[world, planner]} of {all_of_them}" for planner in MARKERS)] for world in worlds]
    return markdown(["trainings measured", *MARKERS], lines)


def two_digits(value: float) -> str:
    """0.157 -> 0.16, 187 -> 190."""
    return f"{float(f'{value:.2g}'):g}"


def encoders_table(results: dict[str, Any]) -> str:
    """Goals reached by every encoder, planner and world: the mean over trainings, and in brackets each of them."""
    lines = []
    for (world, planner, encoder), rows in groups(results["rows"]).items():
        shares = [100 * row["success"] for row in rows]
        each = ", ".join(f"{share:.1f}" for share in shares)
        r2 = [row["position_r2"] for row in rows if "position_r2" in row]
        costs = [two_digits(np.mean([row[name] for row in rows])) for name in ("milliseconds", "milliseconds_alone")]
        memory = f"{np.mean([row['mebibytes'] for row in rows]):.1f}"
        known = f"{np.mean(r2):.2f}" if r2 else ""
        lines.append([world, planner, encoder, f"{np.mean(shares):.1f} ({each})", known, *costs, memory])
    heads = ["world", "planner", "encoder", "goals reached (%)", "position R²", "ms a decision", "ms, one robot", "MiB"]
    return markdown(heads, lines, words=3)


def compared(a: Rows, b: Rows) -> tuple[float, float, float, str]:
    """Goals reached by a minus by b, in percent, on the same pairs: (mean, low, high, verdict).

    A pair counts with its mean over trainings, and the interval is bootstrapped over pairs.  "above" also asks that every training of
    a is above that of b with the same seed, for three trainings say little of the next.
    """
    both = [np.array([row["reached"] for row in rows], dtype=float) for rows in (a, b)]  # [trainings, pairs]
    gains = both[0].mean(axis=0) - both[1].mean(axis=0)
    middle, each = float(gains.mean()), both[0].mean(axis=1) - both[1].mean(axis=1)
    if not gains.any():
        return 0.0, 0.0, 0.0, "equal"
    interval = bootstrap((gains,), np.mean, rng=np.random.default_rng(0)).confidence_interval
    verdict = "undecided"
    if interval.low > 0 and (each > 0).all():
        verdict = "above"
    elif interval.high < 0 and (each < 0).all():
        verdict = "below"
    return 100 * middle, 100 * float(interval.low), 100 * float(interval.high), verdict


def pair_in_words(mine: Rows, theirs: Rows) -> list[str]:
    """The last cells of a row on a pair: the difference with its interval, McNemar's p for each seed, and the verdict."""
    middle, low, high, verdict = compared(mine, theirs)
    tests = [mcnemar(a["reached"], b["reached"]) for a, b in zip(mine, theirs)]
    p = ", ".join(f"{value:.3f}" if value >= 0.001 else "< 0.001" for value in tests)
    difference = f"{round(middle, 1) + 0.0:+.1f} ({low:+.1f} to {high:+.1f})"
    return [difference, p, verdict if len(mine) > 1 else "one training"]


def paired_table(results: dict[str, Any]) -> str:
    """Every trained encoder against its rivals with the same planner; McNemar's p for each seed."""
    lines, found = [], groups(results["rows"])
    for (world, planner, encoder), rows in found.items():
        for rival in RIVALS.get(encoder, ()):
            others = {row["seed"]: row for row in found.get((world, planner, rival), [])}
            if mine := [row for row in rows if row["seed"] in others]:
                words = pair_in_words(mine, [others[row["seed"]] for row in mine])
                lines.append([world, planner, f"{encoder} minus {rival}", *words])
    return markdown(["world", *PAIR_HEADS], lines, words=3)


def cost_picture(results: dict[str, Any], world: str) -> Picture:
    """Goals reached against processor time per decision: one mark for each encoder and planner, a thin one for each training."""
    found = {key: rows for key, rows in groups(results["rows"]).items() if key[0] == world and key[2] in ENCODERS}
    encoders = list(ENCODERS)
    figure, [ax] = panels((8, 4.6))
    said = []
    for (_, planner, encoder), rows in found.items():
        x, y = ([row[name] for row in rows] for name in ("milliseconds", "success"))
        color = COLORS[encoders.index(encoder)]
        ax.plot(x, 100 * np.array(y), MARKERS[planner], color=color, ms=4, alpha=0.4)
        ax.plot(np.mean(x), 100 * np.mean(y), MARKERS[planner], color=color, ms=9)
        said.append(f"{encoder}, {planner}: {100 * np.mean(y):.0f} % at {np.mean(x):.2g} ms")
    for encoder, color in zip(encoders, COLORS):
        ax.plot([], [], color=color, lw=6, label=encoder)
    for planner, marker in MARKERS.items():
        ax.plot([], [], marker, color="gray", ms=9, label=planner)
    floors = [row for row in results["floors"] if row["world"] == world]
    for row, style in zip(floors, STYLES[1:]):
        ax.axhline(100 * row["success"], color="black", lw=1, ls=style, label=FLOORS[row["planner"]])
    ax.set(xscale="log", ylim=(0, 103))
    finish(ax, "processor time for a decision (ms)", "goals reached (%)", f"What a decision costs in {world}")
    ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8)
    words = "; ".join(said)
    return Picture(
        figure,
        f"Dots of goals reached over milliseconds per decision in {world}. {words}.",
        "Small marks are trainings, large ones their means, black lines the controls. Left is cheaper, up is better.",
    )


def losses_table(results: dict[str, Any]) -> str:
    """What latents tell, and the error of inverse dynamics on clips that it has and hasn't seen, beside the goals that it reaches."""
    lines, names = [], ("position_r2", "lamps_r2", "inverse_loss", "inverse_error", "success")
    for (world, _, encoder), rows in groups(row for row in results["rows"] if "inverse_loss" in row).items():
        position, lamps, loss, error, share = (np.mean([row.get(name, np.nan) for row in rows]) for name in names)
        lit = "" if np.isnan(lamps) else f"{lamps:.2f}"
        lines.append([world, encoder, f"{position:.2f}", lit, f"{loss:.3f}", f"{error:.3f}", f"{100 * share:.1f}"])
    heads = ["robot, R²", "lamps, R²", "error, training", "error, unseen clips", "goals reached (%)"]
    return markdown(["world", "encoder", *heads], lines, words=2)


def longer_table(results: dict[str, Any]) -> str:
    """Loss and goals reached while a predictor trains on."""
    lines = [
        [row["world"], row["encoder"], f"{part['steps']:,}", f"{part['loss']:.3f}", f"{100 * part['success']:.0f}"]
        for row in results.get("longer", [])
        for part in row["curve"]
    ]
    return markdown(["world", "encoder", "steps", "loss", "goals reached (%)"], lines, words=2) if lines else UNKNOWN


def landscape_table(results: dict[str, Any]) -> str:
    """Whether latents that are near are near on foot, or only as the crow flies."""
    lines = [
        [
            row["world"],
            row["encoder"],
            *(f"{round(row[name], 2) + 0.0:.2f}" for name in ("rank_with_walking", "rank_with_line")),
        ]
        for row in results.get("landscapes", [])
    ]
    return markdown(["world", "encoder", "on foot", "as the crow flies"], lines, words=2) if lines else UNKNOWN


def trials_table(search: dict[str, Any]) -> str:
    """The trials by which recipes were chosen, in order."""
    lines = [[trial["world"], trial["encoder"], trial["changed"], trial["found"]] for trial in search["trials"]]
    return markdown(["world", "encoder", "recipe", "what the latents know"], lines, words=4)


def worlds_parts(results: dict[str, Any], search: dict[str, Any]) -> dict[str, str]:
    """The tables of docs/worlds.md."""
    worlds = dict.fromkeys(row["world"] for row in results.get("curves", []))
    curves = [f"In `{world}`:\n\n{curves_table(results, world)}" for world in worlds]
    made = f"`{results['command']}`, {results['date']}, torch {results['versions']['torch']}, one CPU thread."
    return {
        "floors": f"{floors_table(results)}\n\n{made}",
        "curves": "\n\n".join(curves) or UNKNOWN,
        "horizons": horizon_table(results),
        "measured": measured_table(results),
        "encoders": encoders_table(results),
        "pairs": paired_table(results),
        "losses": losses_table(results),
        "longer": longer_table(results),
        "landscapes": landscape_table(results),
        "trials": f"{trials_table(search)}\n\n{search['note']}",
    }
