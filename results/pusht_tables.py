"""Tables of docs/worlds.md on PushT, from results/pusht.json, which results/pusht.py makes."""

from typing import Any

import numpy as np
from worlds_tables import UNKNOWN, groups, paired_table

from minivjepa.evaluation.statistics import markdown, rate_in_words

FLOORS = {"random": "random actions", "straight": "the agent straight to its place", "replay": "the recorded actions"}


def pusht_table(results: dict[str, Any]) -> str:
    """Goals reached: floors and ceiling first, then every encoder, one interval for each training."""
    lines = [
        [FLOORS[row["planner"]], "", rate_in_words(row), "", "", "", f"{row['nearest']:.0f}", ""]
        for row in results["floors"]
    ]
    for (_, planner, encoder), rows in groups(results["rows"]).items():
        rates = "; ".join(rate_in_words(row) for row in rows)
        known = [known_in_words(rows, name) for name in ("agent_r2", "block_r2", "angle_r2")]
        costs = [
            f"{np.mean([row['nearest'] for row in rows]):.0f}",
            f"{np.mean([row['milliseconds'] for row in rows]):.2g}",
        ]
        lines.append([encoder, planner, rates, *known, *costs])
    heads = [
        "",
        "planner",
        "goals reached, by training",
        "agent R²",
        "block R²",
        "angle R²",
        "nearest (pixels)",
        "ms a decision",
    ]
    return markdown(heads, lines, words=3)


def known_in_words(rows: list[dict[str, Any]], name: str) -> str:
    """The mean R² of a probe, if it was measured."""
    found = [row[name] for row in rows if name in row]
    return f"{np.mean(found):.2f}" if found else ""


def pusht_parts(results: dict[str, Any] | None) -> dict[str, str]:
    """The tables on PushT; None: nothing was measured."""
    if not results:
        return {"pusht": UNKNOWN, "pusht-pairs": UNKNOWN}
    made = f"`{results['command']}`, {results['date']}, torch {results['versions']['torch']}, one CPU thread."
    return {"pusht": f"{pusht_table(results)}\n\n{made}", "pusht-pairs": paired_table(results)}
