"""Rebuild every committed table and figure from the raw results files: `python results/pages.py`.

The raw files are what `minivjepa ablate`, results/search.py and results/speed.py wrote.  A page holds its tables between two marks, and
everything between them is rebuilt.
"""

from pathlib import Path
from typing import Any

from answer_curves import lengths_picture, strengths_picture
from answers import answer_parts
from page_figures import loss_against_probe, mask_scatter, success_rates
from page_tables import (
    alarm_table,
    comparisons,
    decay_table,
    goals_table,
    heuristics_table,
    search_table,
    variant_table,
    warning_table,
    world_pairs_table,
    world_search_table,
    world_table,
)
from published_ablations import published_table
from pusht_tables import pusht_parts
from search_arms import trials_table
from search_moving import moving_trials_table
from speed_tables import speed_parts
from targets import moving_tables, targets_picture, targets_table
from warning_curves import warning_curves
from worlds_pictures import cost_picture, floors_picture, landscape_picture, longer_picture
from worlds_tables import short_table, worlds_parts

from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import markdown
from minivjepa.experiments.report import metric_table, table_rows
from minivjepa.figures.arm_curves import Results, collapse_curves
from minivjepa.training.files import read_json

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "results"
HERO = ("vjepa", "frozen", "neither")  # the arms of the first picture
LANDSCAPES = ("rooms-lamps", "maze")  # worlds whose distances are drawn
GOALS = {"linear_direction": 0.88, "attentive_identity": 0.80}  # of the long recipe, set before it was searched


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


def seeds(results: Results) -> str:
    """The seeds of a results file as text."""
    return ", ".join(str(row["seed"]) for row in results["untrained"])


def load() -> dict[str, Any]:
    """Every raw file in results/, by name."""
    return {path.stem: read_json(path) for path in sorted(FOLDER.glob("*.json"))}


def readme_parts(raw: dict[str, Any]) -> dict[str, str]:
    """The tables of README.md."""
    matrix = raw["matrix"]
    times = [[row["machine"], row["took"]] for row in raw["times"]]
    note = f"Means over seeds {seeds(matrix)} with 95 % intervals (rows without: one run, or chance); probes are accuracies on held-out clips with held-out handwriting."
    return {
        "matrix": f"{metric_table(table_rows(matrix))}\n\n{note} {provenance(matrix)}",
        "times": markdown(["machine", "how long `make ablation` takes"], times, words=2),
        "moving": moving_tables(raw),
        "worlds": short_table(raw["worlds"], "rooms-lamps"),
    }


def answers_parts(raw: dict[str, Any]) -> dict[str, str]:
    """The tables and answers of answers.md."""
    tables = {"targets": targets_table(raw), "tuning": trials_table(raw["search_arms"])}
    return tables | answer_parts(raw) | {"h6": moving_trials_table(raw.get("search_moving", {}))}


def results_parts(raw: dict[str, Any]) -> dict[str, str]:
    """The tables of results/README.md."""
    matrix, variants, long, decay = raw["matrix"], raw["variants"], raw["long"], raw["decay"]
    arms = matrix["arms"] | variants["arms"]
    masks = [row for row in table_rows({**matrix, "arms": masked(arms)}) if row.kind == "arm"]
    changed = [row for row in table_rows(variants) if row.kind == "arm" and not row.name.startswith("mask-")]
    others = [
        (matrix, "vjepa", matrix, other) for other in (*matrix["arms"], "untrained", "raw_pixels") if other != "vjepa"
    ]
    against = [(variants, name, matrix, "vjepa") for name in variants["arms"]]
    return {
        "moving": moving_tables(raw),
        "arms": f"{metric_table(table_rows(matrix), tuple(METRICS))}\n\nSeeds {seeds(matrix)}. {provenance(matrix)}",
        "arms-paired": comparisons(others),
        "variants-paired": comparisons(against),
        "long-paired": comparisons([(long, "vjepa", long, other) for other in ("frozen", "untrained", "raw_pixels")]),
        "variants": f"{metric_table(changed, tuple(METRICS))}\n\nSeeds {seeds(variants)}. {provenance(variants)}",
        "masks": metric_table(masks, tuple(METRICS)),
        "long": f"{goals_table(long, GOALS)}\n\n{metric_table(table_rows(long), tuple(METRICS))}\n\nSeeds {seeds(long)}. {provenance(long)}",
        "gpu": gpu_part(raw),
        "warning": warning_table(matrix),
        "alarm": alarm_table(matrix),
        "published": published_table(arms),
        "decay": f"{decay_table(decay['runs'])}\n\n`{decay['command']}`, stopped where seeds are missing, {decay['date']}, torch {decay['versions']['torch']}.",
        "search": search_table(raw["search"]),
        **world_parts(raw),
    }


def gpu_part(raw: dict[str, Any]) -> str:
    """What results/gpu.sh trained: arms at the preset `cpu`, and longer runs at the preset `cuda`."""
    found = [raw[name] for name in ("gpu-arms", "gpu-long") if name in raw]
    tables = [f"{metric_table(table_rows(each))}\n\nSeeds {seeds(each)}. {provenance(each)}" for each in found]
    return "\n\n".join(tables) or "Not yet measured."


def world_part(world: dict[str, Any]) -> str:
    """How often each way reaches its goals, and how that was measured."""
    made = f"`{world['command']}`, {world['date']}, {world['device']}, torch {world['versions']['torch']}."
    return f"{world_table(world)}\n\n{made}"


def world_parts(raw: dict[str, Any]) -> dict[str, str]:
    """The tables on world models."""
    search, ablation = raw["world_search"], raw["world_ablation"]
    seeds, torch = ", ".join(map(str, ablation["seeds"])), ablation["versions"]["torch"]
    note = f"Seeds {seeds}. `{ablation['command']}`, {ablation['date']}, torch {torch}."
    spread = "Means over seeds, in brackets the lowest and the highest; last column: mean difference over seeds and its 95 % interval."
    ranks = [
        [f"lambda {weight}", *(f"{value:.2f}" for value in found)] for weight, found in ablation["spearman"].items()
    ]
    return {
        "world": world_part(raw["world"]),
        "world-seeds": f"{world_part(raw['world_seeds'])}\n\n{world_pairs_table(raw['world_seeds'])}",
        "world-search": f"{world_search_table(search)}\n\n{search['note']}",
        "world-variants": f"{variant_table(ablation)}\n\n{spread} {note}",
        "world-heuristics": f"{heuristics_table(ablation)}\n\n{spread} {note}",
        "world-ranking": f"{markdown(['', 'rank correlation', 'from', 'to'], ranks)}\n\n{note}",
    }


def masked(arms: dict[str, Any]) -> dict[str, Any]:
    """The arms that differ only in their masks; vjepa's is `future`."""
    return {name: runs for name, runs in arms.items() if name == "vjepa" or name.startswith("mask-")}


def pages(raw: dict[str, Any]) -> dict[Path, dict[str, str]]:
    """Every page that holds tables, and the tables."""
    return {
        ROOT / "README.md": readme_parts(raw),
        FOLDER / "README.md": results_parts(raw),
        FOLDER / "answers.md": answers_parts(raw),
        ROOT / "docs" / "speed.md": speed_parts(raw),
        ROOT / "docs" / "worlds.md": worlds_parts(raw["worlds"], raw["worlds_search"])
        | pusht_parts(raw["pusht"], raw["pusht_search"]),
    }


def main() -> None:
    """Rebuild all."""
    raw = load()
    for path, parts in pages(raw).items():
        path.write_text(fill(path.read_text(encoding="utf-8"), parts), encoding="utf-8")
    matrix = raw["matrix"]
    collapse_curves({**matrix, "arms": {arm: matrix["arms"][arm] for arm in HERO}}).save(FOLDER / "matrix.png")
    targets_picture(raw).save(FOLDER / "targets.png")
    strengths_picture(raw).save(FOLDER / "strengths.png")
    lengths_picture(raw).save(FOLDER / "lengths.png")
    warning_curves(matrix).save(FOLDER / "warning.png")
    success_rates(raw["world"]).save(FOLDER / "world.png")
    floors_picture(raw["worlds"]).save(FOLDER / "worlds_floors.png")
    cost_picture(raw["worlds"]).save(FOLDER / "worlds.png")
    longer_picture(raw["worlds"]).save(FOLDER / "worlds_longer.png")
    landscape_picture(raw["worlds"], LANDSCAPES).save(FOLDER / "worlds_landscape.png")
    loss_against_probe(raw["world_ablation"]).save(FOLDER / "world_ranking.png")
    mask_scatter({**matrix, "arms": masked(matrix["arms"] | raw["variants"]["arms"])}).save(FOLDER / "masks.png")


if __name__ == "__main__":
    main()
