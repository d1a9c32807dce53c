"""What an ablation found: a Markdown table, and report.html, one page that opens without a server or a network."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from statistics import mean
from string import Template
from typing import Any

from minivjepa import ADDRESS
from minivjepa.collapse import COLLAPSED
from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import cell, markdown
from minivjepa.figures.arm_curves import Results, collapse_curves, spectra
from minivjepa.figures.film_strips import film_strip
from minivjepa.training.arms import VARIANTS
from minivjepa.training.config import Config, from_dict

PAGE = Path(__file__).with_name("report.html")
NEAR = 0.05  # accuracies closer than this, to chance or to the untrained encoder, count as equal
SHORT = ("feature_std", "linear_direction", "linear_identity", "attentive_direction", "attentive_identity")
NOTES = {
    "vjepa": "EMA target, stop-gradient",
    "frozen": "target = the untrained encoder",
    "no-ema": "target = the online encoder, stop-gradient",
    "no-stopgrad": "EMA target, trained too",
    "neither": "no stop-gradient, no EMA",
    "vicreg": "neither, plus variance and covariance terms",
    "sigreg": "neither, plus SIGReg",
    "pixels": "target = the hidden pixels",
    "generation-2": "target = an encoder that frozen trained",
    "generation-3": "target = an encoder that generation-2 trained",
    "untrained": "control: before the first step",
    "raw_pixels": "control: tubelets as they are",
    "first_frame": "control: untrained encoder, first frame only",
    "shuffled_frames": "control: untrained encoder, frames shuffled",
    "supervised": "yardstick: trained with labels",
    "chance": "guessing",
}


@dataclass(frozen=True)
class TableRow:
    """A row of every table: name and note for people, one dict of metrics per seed.  kind: arm, control or chance."""

    name: str
    note: str
    kind: str
    runs: list[dict[str, Any]]


def spread(values: list[float | None]) -> str:
    """One number as HTML, or mean and range of several; empty if no value is known."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    if not known:
        return ""
    digits = 3 if max(map(abs, known)) < 10 else 1
    text = f"{mean(known):.{digits}f}"
    return text if len(known) == 1 else f"{text}<small>{min(known):.{digits}f} to {max(known):.{digits}f}"


def note(arm: str) -> str:
    """What an arm is, in a few words; for a variant, the fields of the config that it sets."""
    variants = {name: f"variant: another {', '.join(fields)}" for name, fields in VARIANTS.items()}
    return (variants | NOTES).get(arm, "an arm of your own")


def table_rows(results: Results) -> list[TableRow]:
    """Arms with both encoders, then untrained, controls and chance."""
    rows = []
    for arm, runs in results["arms"].items():
        rows.append(TableRow(arm, note(arm), "arm", [run["final"] for run in runs]))
        targets = [run["final"]["target"] for run in runs]
        if targets[0] is not None:
            rows.append(TableRow(f"{arm} target", "its target encoder", "arm", targets))
    rows.append(TableRow("untrained", NOTES["untrained"], "control", results["untrained"]))
    for name, metrics in results["controls"].items():
        runs = [metrics]
        if name == "raw_pixels":  # the spread of pixels is on another scale than that of features: probes only
            runs = [{name: run.get(name) for name, metric in METRICS.items() if metric.reads} for run in results[name]]
        rows.append(TableRow(name.replace("_", " "), NOTES[name], "control", runs))
    guess = {name: results["chance"].get(metric.reads) for name, metric in METRICS.items()}
    return [*rows, TableRow("chance", NOTES["chance"], "chance", [guess])]


def by_seed(results: Results, name: str, metric: str) -> dict[int, float]:
    """Seed -> a metric of an arm's online encoder, or of the control "untrained" or "raw_pixels"."""
    rows = results["arms"].get(name) or results[name]
    return {row["seed"]: row.get("final", row)[metric] for row in rows}


def metric_cells(runs: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> list[str]:
    """Per metric: its mean and interval over runs as text, or all its values (statistics.cell)."""
    return [cell([run.get(name) for run in runs], METRICS[name].least, METRICS[name].most) for name in columns]


def metric_table(rows: Sequence[TableRow], columns: Sequence[str] = SHORT) -> str:
    """Rows of arms and controls, one column per metric."""
    lines = [[row.name if row.kind == "arm" else f"*{row.name}*", *metric_cells(row.runs, columns)] for row in rows]
    return markdown(["", *(METRICS[column].title for column in columns)], lines)


def table(results: Results) -> str:
    """All rows as HTML."""
    heads = "".join(f"<th>{metric.title}</th>" for metric in METRICS.values())
    lines = ""
    for row in table_rows(results):
        cells = "".join(f"<td>{spread([run.get(name) for run in row.runs])}</td>" for name in METRICS)
        lines += f'<tr class="{row.kind}"><td>{escape(row.name)}<small>{row.note}</small></td>{cells}</tr>'
    return f'<div class="wide"><table><tr><th>arm</th>{heads}</tr>{lines}</table></div>'


def verdict(arm: str, results: Results) -> str:
    """One sentence on an arm, made from its numbers."""
    runs, chance = [run["final"] for run in results["arms"][arm]], results["chance"]["direction"]
    stds, direction = [run["feature_std"] for run in runs], mean(run["linear_direction"] for run in runs)
    untrained = mean(run["linear_direction"] for run in results["untrained"])
    std, dead = mean(stds), sum(std < COLLAPSED for std in stds)
    if dead == len(runs):
        fate = f"collapsed: its features are the same for every clip (std {std:.4f})"
    elif dead:
        fate = f"collapsed on {dead} of {len(runs)} seeds: there its features are the same for every clip (std {min(stds):.4f} to {max(stds):.4f})"
    elif direction > untrained + NEAR:
        fate = f"learned: its frozen features tell the direction of motion better than untrained ones (std {std:.2f})"
    elif direction < untrained - NEAR:
        fate = f"lost what an untrained encoder knows about motion, though its features still vary (std {std:.2f})"
    else:
        fate = f"learned nothing about motion that an untrained encoder does not know, though its features vary (std {std:.2f})"
    line = f"{arm} {fate}; linear probe {direction:.2f}, untrained {untrained:.2f}, chance {chance:.3f}"
    targets = [run["target"]["feature_std"] for run in runs if run["target"] and run["feature_std"] >= COLLAPSED]
    lost = sum(std < COLLAPSED for std in targets)
    if lost and lost == len(runs):
        line += f". It is its target encoder that collapsed (std {mean(targets):.4f})"
    elif lost:
        line += f". Its target encoder collapsed on {lost} of {len(runs)} seeds where the other did not"
    return line + "."


def leak_sentence(results: Results) -> str:
    """What the two motionless controls say about the data."""
    chance = results["chance"]["direction"]
    one, mixed = results["controls"]["first_frame"], results["controls"]["shuffled_frames"]
    scores = [one["linear_direction"], one["attentive_direction"], one["pixels_direction"]]
    scores += [mixed["linear_direction"], mixed["pixels_direction"]]
    fine = all(abs(score - chance) <= NEAR for score in scores)
    verdict = "so motion is what they read" if fine else "so the clips LEAK the direction and the table means little"
    return (
        f"From the first frame the direction is read at {scores[0]:.3f} by the linear probe, {scores[1]:.3f} by the "
        f"attentive one and {scores[2]:.3f} by a linear reader of the pixels; from shuffled frames at {scores[3]:.3f} by "
        f"the linear probe and {scores[4]:.3f} by the pixel reader (chance {chance:.3f}), {verdict}. "
        f"Shuffled frames still show the line of motion, without its sense: the attentive probe gets "
        f"{mixed['attentive_direction']:.3f} there, of at most 0.5."
    )


def where_to_read_more(repository: str) -> str:
    """Where the code is: a link if the repository has an address, otherwise the command's help."""
    if repository:
        return f'The code is at <a href="{escape(repository)}">{escape(repository)}</a>.'
    return "Every option is explained by <code>minivjepa ablate --help</code>."


def html(results: Results) -> str:
    """The whole page."""
    seeds = sorted({run["seed"] for runs in results["arms"].values() for run in runs})
    texts = {
        "seeds": ", ".join(map(str, seeds)),
        "leaks": leak_sentence(results),
        "versions": ", ".join(f"{name} {number}" for name, number in results["versions"].items()),
        **{name: results[name] for name in ("preset", "command", "date", "device")},
    }
    config = from_dict(Config, results["config"])
    return Template(PAGE.read_text(encoding="utf-8")).substitute(
        {name: escape(text) for name, text in texts.items()},
        sentences="".join(f"<li>{escape(verdict(arm, results))}</li>" for arm in results["arms"]),
        strip=film_strip(config.grid, rules=config.clips).html(),
        curves=collapse_curves(results).html(),
        table=table(results),
        spectra=spectra(results).html(),
        more=where_to_read_more(ADDRESS),
    )
