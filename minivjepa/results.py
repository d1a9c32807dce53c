"""Rebuild every committed table and figure from the raw results files: `python -m minivjepa.results`.

results/core.json is what `minivjepa ablate` wrote; results/core.png and the table in README.md are made from it.
"""

from pathlib import Path

from minivjepa.figures.ablation import Results, collapse_curves
from minivjepa.report import table_rows
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


def markdown(results: Results) -> str:
    """The results as a Markdown table: every arm and encoder, every control, chance."""
    lines = ["| | " + " | ".join(COLUMNS.values()) + " |", "|---|" + "---:|" * len(COLUMNS)]
    for row in table_rows(results):
        name = row.name if row.kind == "arm" else f"*{row.name}*"
        lines.append(f"| {name} | " + " | ".join(row.cells(tuple(COLUMNS), "<br>")) + " |")
    return "\n".join(lines)


def between(text: str, marks: tuple[str, str], new: str) -> str:
    """The text with what stands between two marks replaced."""
    before, rest = text.split(marks[0])
    return before + marks[0] + new + marks[1] + rest.split(marks[1], 1)[1]


def readme(text: str, results: Results, times: list[dict[str, str]]) -> str:
    """README.md with its tables made anew."""
    seconds = [run["seconds"] for runs in results["arms"].values() for run in runs]
    made = (
        f"Mean over seeds, range below; probes are accuracies on held-out clips with held-out handwriting. "
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
