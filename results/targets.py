"""What each target buys, on every kind of clips: tables of README.md and answers.md, and README's figure."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from page_tables import PROBES
from questions import QUESTIONS, Raw, Row, compare, complete, leaks

from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import markdown
from minivjepa.experiments.report import metric_cells
from minivjepa.figures import COLORS, Picture, finish, panels

TARGETS = ("pixels", "frozen", "vjepa")  # arms, which differ in what they predict
UNTRAINED, LABELS, RAW = "*untrained*", "*with labels*", "*raw pixels*"  # what to compare them with
TITLES = [METRICS[metric].title for metric in PROBES]
LOOKS = {"pixels": (COLORS[2], -0.28, "^"), "frozen": (COLORS[1], 0.0, "s"), "vjepa": (COLORS[0], 0.28, "o")}


def rows_run(raw: Raw) -> dict[str, tuple[str, list[str]]]:
    """Kind of clips and preset -> raw file, and the arms that have run all seeds of the plan: `vjepa` and `frozen` at least.

    Clips whose first frame gives the direction away are left out.
    """
    rows = {}
    for row in QUESTIONS["h3"]:
        arms = [arm for arm in TARGETS if complete(raw, row.file, arm, row.seeds)]
        if {row.arm, row.other} <= {*arms} and not leaks(raw[row.file]):
            rows[row.label] = (row.file, arms)
    return rows


def everyone(results: Raw, arms: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """What probes read in one results file: after training with each target, and what that is to be compared with."""
    found = {arm: [run["final"] for run in results["arms"][arm]] for arm in arms}
    labels = [results["controls"]["supervised"]]  # one run
    return found | {UNTRAINED: results["untrained"], LABELS: labels, RAW: results["raw_pixels"]}


def targets_table(raw: Raw) -> str:
    """What each target buys: means with intervals."""
    lines = []
    for label, (file, arms) in rows_run(raw).items():
        found = everyone(raw[file], arms)
        lines += [[f"{name}, {label}", *metric_cells(runs, PROBES)] for name, runs in found.items()]
    return markdown(["", *TITLES], lines)


def moving_tables(raw: Raw) -> str:
    """`vjepa` minus each other target: the mean difference where it is above (bold) or below, a word where it's neither."""
    cells = {"above": "**{:+.3f}**", "below": "{:+.3f}"}
    tables, count = [], 0
    for other in ("frozen", "pixels"):
        lines = []
        for label, (file, arms) in rows_run(raw).items():
            if other in arms:
                found = [compare(raw, Row("", file, "vjepa", other), metric) for metric in PROBES]
                lines.append([label, *(cells.get(one.answer, one.answer).format(one.mean) for one in found)])
        count += len(lines) * len(PROBES)
        tables.append(markdown([f"`vjepa` minus `{other}`", *TITLES], lines))
    note = f"These are {count} comparisons. At 95 %, one interval in twenty misses the true value, so don't lean on one small difference."
    return "\n\n".join([*tables, note])


def targets_picture(raw: Raw) -> Picture:
    """One dot a seed for every target and kind of clips, between an encoder without training and one trained with labels."""
    rows = {label.replace("`", ""): row for label, row in rows_run(raw).items()}
    figure, axes = panels((10, 1.6 + 0.55 * len(rows)), len(PROBES))
    said = []
    for place, (label, (file, arms)) in enumerate(rows.items()):
        for ax, metric in zip(axes, PROBES):
            values = {name: [run[metric] for run in runs] for name, runs in everyone(raw[file], arms).items()}
            low, high, bare = (np.mean(values.pop(name)) for name in (UNTRAINED, LABELS, RAW))
            ax.barh(place, high - low, 0.9, left=low, color="#e4e4e4", zorder=0)
            ax.plot(bare, place, "|", color="black", ms=32, mew=1.2, zorder=1)
            for arm, each in values.items():
                color, shift, marker = LOOKS[arm]
                ax.plot(each, [place + shift] * len(each), marker, color=color, mec="white", mew=0.5, ms=6)
            means = ", ".join(f"{arm} {np.mean(each):.2f}" for arm, each in values.items())
            said.append(f"{label}, {METRICS[metric].title}: {means}")
    for ax, metric in zip(axes, PROBES):
        ax.set_yticks(range(len(rows)), [*rows] if ax is axes[0] else [""] * len(rows))
        ax.set(xlim=(0, 1.04), xticks=(0, 0.5, 1), ylim=(len(rows) - 0.5, -0.5))
        finish(ax, "accuracy", title=METRICS[metric].title.replace(", ", ",\n"), legend=False)
    for arm, (color, _, marker) in LOOKS.items():
        axes[0].plot([], [], marker, color=color, ms=7, label=arm)
    axes[0].plot([], [], "|", color="black", ms=12, label="a probe of raw pixels")
    figure.legend(loc="outside lower center", ncols=len(LOOKS) + 1, frameon=False)
    return Picture(
        figure,
        f"Accuracies on held-out clips, one dot a seed. Means: {'; '.join(said)}.",
        "A dot is a seed. Gray bands reach from an encoder without training to one trained with labels.",
    )
