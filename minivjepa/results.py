"""Rebuild every committed table and figure from the raw results files: `python -m minivjepa.results`.

results/core.json is what `minivjepa ablate` wrote; results/core.png and the table in README.md are made from it.
"""

import math
from pathlib import Path
from statistics import mean
from typing import Any

from minivjepa.figures.ablation import Results, collapse_curves
from minivjepa.runs import read_json

ROOT = Path(__file__).parents[1]
TABLE = ("<!-- table of results/core.json: begin -->", "<!-- end -->")
TIMES = ("<!-- times: begin -->\n", "<!-- end times -->")
COLUMNS = {
    "feature_std": "feature std",
    "linear_direction": "direction, linear",
    "linear_identity": "identity, linear",
    "attentive_direction": "direction, attentive",
    "attentive_identity": "identity, attentive",
}


def cell(values: list[float | None]) -> str:
    """Mean and range over seeds, or one number."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    if not known:
        return ""
    text = f"{mean(known):.3f}"
    return text if len(known) == 1 else f"{text} ({min(known):.3f} to {max(known):.3f})"


def line(name: str, rows: list[dict[str, Any]]) -> str:
    """One row of the table."""
    return f"| {name} | " + " | ".join(cell([row.get(column) for row in rows]) for column in COLUMNS) + " |"


def markdown(results: Results) -> str:
    """The results as a Markdown table: every arm and encoder, every control, chance."""
    lines = ["| arm | " + " | ".join(COLUMNS.values()) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for arm, runs in results["arms"].items():
        lines.append(line(arm, [run["final"] for run in runs]))
        if runs[0]["final"]["target"] is not None:
            lines.append(line(f"{arm}, its target encoder", [run["final"]["target"] for run in runs]))
    lines.append(line("*untrained*", results["untrained"]))
    for name, metrics in results["controls"].items():
        shown = {k: v for k, v in metrics.items() if name != "raw_pixels" or k != "feature_std"}
        lines.append(line(f"*{name.replace('_', ' ')}*", [shown]))
    chance = {column: results["chance"].get(column.split("_")[-1]) for column in COLUMNS}
    lines.append(line("*chance*", [chance]))
    return "\n".join(lines)


def between(text: str, marks: tuple[str, str], new: str) -> str:
    """The text with what stands between two marks replaced."""
    before, rest = text.split(marks[0])
    return before + marks[0] + new + marks[1] + rest.split(marks[1], 1)[1]


def readme(text: str, results: Results, times: list[dict[str, str]]) -> str:
    """README.md with its tables made anew."""
    seconds = [run["seconds"] for runs in results["arms"].values() for run in runs]
    made = (
        f"Mean over seeds, range in brackets; probes are accuracies on held-out clips with held-out handwriting. "
        f"`{results['command']}`, {results['date']}, torch {results['versions']['torch']}; "
        f"training took {min(seconds):.0f} to {max(seconds):.0f} s a run on one thread."
    )
    rows = "".join(f"| {row['machine']} | {row['took']} |\n" for row in times)
    return between(between(text, TABLE, f"\n{markdown(results)}\n\n{made}\n"), TIMES, rows)


def main() -> None:
    """Rebuild all."""
    results = read_json(ROOT / "results" / "core.json")
    page = ROOT / "README.md"
    page.write_text(readme(page.read_text(), results, read_json(ROOT / "results" / "times.json")))
    collapse_curves(results).save(ROOT / "results" / "core.png")


if __name__ == "__main__":
    main()
