"""report.html: an ablation on one page that opens without a server or a network."""

import math
from html import escape
from statistics import mean
from typing import Any

from minivjepa import REPOSITORY
from minivjepa.config import Config, from_dict
from minivjepa.figures.ablation import Results, collapse_curves, spectra
from minivjepa.figures.clips import film_strip

COLLAPSED = 0.01  # feature std below which features count as constant
NEAR = 0.05  # of chance, or of the untrained encoder, in accuracy
QUESTION = "Which switch keeps V-JEPA from collapsing?"
COLUMNS = (
    "feature_std", "effective_rank", "margin", "linear_direction", "linear_identity", "knn_identity",
    "attentive_direction", "attentive_identity", "linear_color", "linear_position",
)  # fmt: skip
NOTES = {
    "vjepa": "EMA target, stop-gradient",
    "frozen": "target = the untrained encoder",
    "no-ema": "target = the online encoder, stop-gradient",
    "no-stopgrad": "EMA target, trained too",
    "neither": "no stop-gradient, no EMA",
    "vicreg": "neither, plus variance and covariance terms",
    "sigreg": "neither, plus SIGReg",
    "untrained": "control: before the first step",
    "raw_pixels": "control: tubelets as they are",
    "first_frame": "control: untrained encoder, first frame only",
    "shuffled_frames": "control: untrained encoder, frames shuffled",
    "supervised": "ceiling: trained with labels",
}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .88rem }
.wide { overflow-x: auto } th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left } td small { color: #555; display: block }
tr.control td { color: #444; background: #f6f6f6 } tr.chance td { font-style: italic }
figure { margin: 1.5rem 0 } img { max-width: 100% } figcaption { color: #444; font-size: .9rem }
"""


def spread(values: list[float | None]) -> str:
    """One number, or mean and range over seeds."""
    known = [v for v in values if v is not None and math.isfinite(v)]
    if not known:
        return "&ndash;"
    digits = 3 if max(map(abs, known)) < 10 else 1
    text = f"{mean(known):.{digits}f}"
    return text if len(known) == 1 else f"{text}<small>{min(known):.{digits}f} to {max(known):.{digits}f}</small>"


def row(name: str, runs: list[dict[str, Any]], kind: str) -> str:
    """One line of the table: the mean over runs of every column."""
    title, _, encoder = name.partition(" ")
    note = "its target encoder" if encoder else NOTES.get(title, "an arm of your own")
    cells = "".join(f"<td>{spread([run.get(column) for run in runs])}</td>" for column in COLUMNS)
    return f'<tr class="{kind}"><td>{escape(name)}<small>{note}</small></td>{cells}</tr>'


def table(results: Results) -> str:
    """Arms with both encoders, then untrained, controls and chance."""
    heads = "".join(f"<th>{column.replace('_', ' ')}</th>" for column in COLUMNS)
    lines = []
    for arm, runs in results["arms"].items():
        lines.append(row(arm, [run["final"] for run in runs], "arm"))
        targets = [run["final"]["target"] for run in runs]
        if targets[0] is not None:
            lines.append(row(f"{arm} target", targets, "arm"))
    lines.append(row("untrained", results["untrained"], "control"))
    pixels = {k: v for k, v in results["controls"]["raw_pixels"].items() if k[:4] in ("line", "atte", "knn_")}
    lines += [row(name, [pixels if name == "raw_pixels" else v], "control") for name, v in results["controls"].items()]
    chance = {column: results["chance"].get(column.split("_")[-1]) for column in COLUMNS}
    lines.append(row("chance", [chance], "chance").replace("an arm of your own", "guessing"))
    return f'<div class="wide"><table><tr><th>arm</th>{heads}</tr>{"".join(lines)}</table></div>'


def average(runs: list[dict[str, Any]], name: str) -> float:
    """Mean of a final metric over runs."""
    return mean(run[name] for run in runs)


def verdict(arm: str, results: Results) -> str:
    """One sentence on an arm, from its numbers alone; it would say the opposite if they did."""
    runs = [run["final"] for run in results["arms"][arm]]
    direction, std = average(runs, "linear_direction"), average(runs, "feature_std")
    untrained, chance = average(results["untrained"], "linear_direction"), results["chance"]["direction"]
    if std < COLLAPSED:
        told = f"collapsed: its features are the same for every clip (std {std:.4f})"
    elif direction > untrained + NEAR:
        told = f"learned: its frozen features tell the direction of motion better than untrained ones (std {std:.2f})"
    elif direction < untrained - NEAR:
        told = f"lost what an untrained encoder knows about motion, though its features still vary (std {std:.2f})"
    else:
        told = f"learned nothing about motion that an untrained encoder does not know, though its features vary (std {std:.2f})"
    line = f"{arm} {told}; linear probe {direction:.2f}, untrained {untrained:.2f}, chance {chance:.3f}"
    targets = [run["target"] for run in runs]
    if targets[0] is not None and average(targets, "feature_std") < NEAR and std >= COLLAPSED:
        line += f". It is its target encoder that collapsed (std {average(targets, 'feature_std'):.4f})"
    return line + "."


def leak_sentence(results: Results) -> str:
    """What the two motionless controls say about the data."""
    chance = results["chance"]["direction"]
    scores = {name: results["controls"][name]["linear_direction"] for name in ("first_frame", "shuffled_frames")}
    said = " and ".join(f"{value:.3f} with {name.replace('_', ' ')}" for name, value in scores.items())
    fine = all(abs(value - chance) <= NEAR for value in scores.values())
    verdict = (
        "so motion is what the probes read" if fine else "so the clips LEAK the direction and the table means little"
    )
    return f"Without motion the direction is read at {said} (chance {chance:.3f}), {verdict}."


def source(repository: str) -> str:
    """Where the code is: a link once it is published, a command until then."""
    if repository:
        return f'The code is at <a href="{escape(repository)}">{escape(repository)}</a>.'
    return "Every option is explained by <code>minivjepa ablate --help</code>."


def html(results: Results) -> str:
    """The whole page."""
    grid = from_dict(Config, results["config"]).grid
    seeds = sorted({run["seed"] for runs in results["arms"].values() for run in runs})
    sentences = "".join(f"<li>{escape(verdict(arm, results))}</li>" for arm in results["arms"])
    made = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{QUESTION}</title><style>{STYLE}</style>
<h1>{QUESTION}</h1>
<p>Each arm trains the same small V-JEPA on the same clips of moving handwriting and takes away, or adds, one
thing. Then its encoder is frozen, and probes try to read from it what the clips show. Preset
{escape(results["preset"])}, seeds {", ".join(map(str, seeds))}.</p>
<ul>{sentences}</ul>
{film_strip(grid).html()}
{collapse_curves(results).html()}
<h2>Every number</h2>
<p>Means over seeds, with the range below where there are several. Probe accuracies are fractions of held-out clips
with held-out handwriting; colour and position are R&sup2;. {escape(leak_sentence(results))} A frozen random target is a
strong control: an arm has shown that its moving target helps only where it beats that row.</p>
{table(results)}
{spectra(results).html()}
<h2>How this was made</h2>
<p><code>{escape(results["command"])}</code><br>{escape(results["date"])}, {escape(results["device"])}; {escape(made)}.
{source(REPOSITORY)}</p>
</html>
"""
