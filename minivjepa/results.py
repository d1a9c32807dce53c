"""Rebuild every committed table and figure from the raw results files: `python -m minivjepa.results`.

The raw files are what `minivjepa ablate` and results/search.py wrote.  A page holds its tables between two marks, and
whatever stands there is made anew.
"""

from pathlib import Path
from typing import Any

from minivjepa.figures.ablation import Results, collapse_curves
from minivjepa.figures.warning import warning_curves
from minivjepa.report import table_rows
from minivjepa.runs import read_json
from minivjepa.tables import NAMES, alarm_table, decay_table, metric_table, search_table, warning_table

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "results"


def fill(text: str, parts: dict[str, str]) -> str:
    """A page with what stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->` replaced, for every name.

    Raises ValueError if a mark is missing.
    """
    for name, part in parts.items():
        begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
        if begin not in text or end not in text:
            raise ValueError(f"the page has no place for {name!r}; put {begin} and {end} where it belongs")
        text = text[: text.index(begin)] + f"{begin}\n{part}\n" + text[text.index(end) :]
    return text


def provenance(results: Results) -> str:
    """How a results file was made."""
    seconds = [run["seconds"] for runs in results["arms"].values() for run in runs]
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return (
        f"`{results['command']}`, {results['date']}, {results['device']}; {versions}. "
        f"Training took {min(seconds):.0f} to {max(seconds):.0f} s a run."
    )


def readme_parts(results: Results, times: list[dict[str, str]]) -> dict[str, str]:
    """The tables of README.md."""
    rows = "\n".join(f"| {row['machine']} | {row['took']} |" for row in times)
    seeds = ", ".join(str(row["seed"]) for row in results["untrained"])
    return {
        "core": f"{metric_table(table_rows(results))}\n\nMeans over seeds {seeds} with 95 % intervals; probes are accuracies on "
        f"held-out clips with held-out handwriting. {provenance(results)}",
        "times": f"| machine | how long `make ablation` takes |\n|---|---|\n{rows}",
    }


def results_parts(results: Results, decay: dict[str, Any], trials: list[dict[str, Any]]) -> dict[str, str]:
    """The tables of results/README.md."""
    return {
        "arms": f"{metric_table(table_rows(results), tuple(NAMES))}\n\n{provenance(results)}",
        "warning": warning_table(results),
        "alarm": alarm_table(results),
        "decay": f"{decay_table(decay['runs'])}\n\n`{decay['command']}`, {decay['date']}, torch {decay['versions']['torch']}.",
        "search": search_table(trials),
    }


def pages() -> dict[Path, dict[str, str]]:
    """Every page that holds tables, and the tables."""
    core, decay, trials, times = (read_json(FOLDER / f"{name}.json") for name in ("core", "decay", "search", "times"))
    return {ROOT / "README.md": readme_parts(core, times), FOLDER / "README.md": results_parts(core, decay, trials)}


def main() -> None:
    """Rebuild all."""
    for path, parts in pages().items():
        path.write_text(fill(path.read_text(encoding="utf-8"), parts), encoding="utf-8")
    core = read_json(FOLDER / "core.json")
    collapse_curves(core).save(FOLDER / "core.png")
    warning_curves(core).save(FOLDER / "warning.png")


if __name__ == "__main__":
    main()
