"""Tables of docs/worlds.md on PushT, from results/pusht.json, which results/pusht.py makes."""

from typing import Any

import numpy as np
from worlds_tables import PAIR_HEADS, groups, pair_in_words, paired_table, trials_table

from minivjepa.evaluation.statistics import markdown, rate_in_words

FLOORS = {"random": "random actions", "straight": "the agent straight to its place", "replay": "the recorded actions"}


def pusht_table(results: dict[str, Any]) -> str:
    """Goals reached in each task: floors and ceiling first, then every encoder, with an interval for each training."""
    lines = []
    for world in dict.fromkeys(row["world"] for row in results["floors"]):
        for row in (row for row in results["floors"] if row["world"] == world):
            lines.append([world, FLOORS[row["planner"]], "", rate_in_words(row), f"{row['nearest']:.0f}", ""])
        for (task, planner, encoder), rows in groups(results["rows"]).items():
            if task == world:
                nearest, cost = (np.mean([row[name] for row in rows]) for name in ("nearest", "milliseconds"))
                rates = "; ".join(rate_in_words(row) for row in rows)
                lines.append([world, encoder, planner, rates, f"{nearest:.0f}", f"{cost:.2g}"])
    return markdown(
        ["task", "who", "planner", "goals reached, by training run", "nearest (pixels)", "ms a decision"],
        lines,
        words=4,
    )


def known_table(results: dict[str, Any]) -> str:
    """What a linear probe reads from each encoder's latents: R², the mean over training runs."""
    lines = []
    for (world, _, encoder), rows in groups(row for row in results["rows"] if "agent_r2" in row).items():
        if world == "pusht":  # the same latents in both tasks
            known = [
                np.mean([row[name] for row in rows]) for name in ("agent_r2", "block_r2", "angle_r2", "inverse_loss")
            ]
            lines.append([encoder, *(f"{round(value, 2) + 0.0:.2f}" for value in known[:3]), f"{known[3]:.3f}"])
    heads = ["encoder", "where the agent is", "where the block is", "the block's angle", "loss of inverse dynamics"]
    return markdown(heads, lines)


def straight_table(results: dict[str, Any]) -> str:
    """Every encoder against the straight walk, on the same pairs."""
    floor = {row["world"]: row for row in results["floors"] if row["planner"] == "straight"}
    lines = [
        [world, planner, f"{encoder} minus straight", *pair_in_words(rows, [floor[world]] * len(rows))]
        for (world, planner, encoder), rows in groups(results["rows"]).items()
    ]
    return markdown(["task", *PAIR_HEADS], lines, words=3)


def pusht_parts(results: dict[str, Any], search: dict[str, Any]) -> dict[str, str]:
    """The tables on PushT."""
    made = f"`{results['command']}`, {results['date']}, torch {results['versions']['torch']}, one CPU thread."
    return {
        "pusht": f"{pusht_table(results)}\n\n{made}",
        "pusht-known": known_table(results),
        "pusht-straight": straight_table(results),
        "pusht-pairs": paired_table(results),
        "pusht-trials": trials_table(search),
    }
