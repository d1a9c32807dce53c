"""What each target buys, on every kind of clips: tables of README.md and answers.md, and README's figure."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from answers import KINDS, QUESTIONS, TEN, Raw, Row, compare, leaks, seeds_run
from page_tables import PROBES

from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import markdown
from minivjepa.experiments.report import metric_cells
from minivjepa.figures import COLORS, Picture, finish, panels

TARGETS = ("pixels", "frozen", "vjepa")  # arms, which differ in what they predict
UNTRAINED, LABELS = "*untrained*", "*with labels*"  # encoders to compare them with
LOOKS = {"pixels": (COLORS[2], -0.28, "^"), "frozen": (COLORS[1], 0.0, "s"), "vjepa": (COLORS[0], 0.28, "o")}
SHOWN = ("linear_direction", "attentive_direction", "linear_identity", "knn_identity")  # a panel of the figure each


def whole(raw: Raw, file: str, seeds: int = TEN) -> list[str]:
    """The arms that have run all seeds of the plan; none on clips that give the direction away."""
    ran = [arm for arm in TARGETS if len(seeds_run(raw, Row("", file, arm, arm))) >= seeds]
    return [] if not ran or leaks(raw[file]) else ran


def everyone(results: Raw, arms: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """What probes read in one results file: after training with each target, and from the two encoders to compare them with."""
    found = {arm: [run["final"] for run in results["arms"][arm]] for arm in arms}
    return found | {
        UNTRAINED: results["untrained"],
        LABELS: [results["controls"]["supervised"]],
    }  # the latter is one run


def targets_table(raw: Raw) -> str:
    """What each target buys: means with intervals, for every kind of clips that have been run with all arms and seeds."""
    lines = []
    for kind, clips in KINDS.items():
        file, where = f"plan-{kind}", "" if kind == "today" else f", {clips}"
        if whole(raw, file) == [*TARGETS]:
            found = everyone(raw[file], TARGETS)
            lines += [[f"{name}{where}", *metric_cells(runs, PROBES)] for name, runs in found.items()]
    return markdown(["", *(METRICS[metric].title for metric in PROBES)], lines)


def rows_run(raw: Raw) -> dict[str, Row]:
    """The comparisons of the moving and the frozen target that have all their seeds, by a name for people who haven't read the plan."""
    return {
        row.label.replace(KINDS["today"], "plain clips"): row
        for row in QUESTIONS["h3"]
        if {row.arm, row.other} <= {*whole(raw, row.file, row.seeds)}
    }


def moving_table(raw: Raw) -> str:
    """`vjepa` minus `frozen`: the mean difference where it is above (bold) or below, a word where it's neither."""
    lines = []
    for label, row in rows_run(raw).items():
        found = [compare(raw, row, metric) for metric in PROBES]
        cells = {"above": "**{:+.3f}**", "below": "{:+.3f}"}
        lines.append([label, *(cells.get(one.answer, one.answer).format(one.mean) for one in found)])
    return markdown(["`vjepa` minus `frozen`", *(METRICS[metric].title for metric in PROBES)], lines)


def targets_picture(raw: Raw) -> Picture:
    """One dot a seed for every target and kind of clips, between an encoder without training and one trained with labels."""
    rows = {label.replace("`", ""): row for label, row in rows_run(raw).items()}
    figure, axes = panels((9.5, 1.3 + 0.55 * len(rows)), len(SHOWN))
    said = []
    for place, (label, row) in enumerate(rows.items()):
        found = everyone(raw[row.file], whole(raw, row.file, row.seeds))
        for ax, metric in zip(axes, SHOWN):
            values = {name: [run[metric] for run in runs] for name, runs in found.items()}
            low, high = np.mean(values.pop(UNTRAINED)), values.pop(LABELS)[0]
            ax.barh(place, high - low, 0.9, left=low, color="#e4e4e4", zorder=0)
            for arm, each in values.items():
                color, shift, marker = LOOKS[arm]
                ax.plot(each, [place + shift] * len(each), marker, color=color, mec="white", mew=0.5, ms=6)
            means = ", ".join(f"{arm} {np.mean(each):.2f}" for arm, each in values.items())
            said.append(f"{label}, {METRICS[metric].title}: {means}")
    for ax, metric in zip(axes, SHOWN):
        ax.set_yticks(range(len(rows)), [*rows] if ax is axes[0] else [""] * len(rows))
        ax.set(xlim=(0, 1.03), xticks=(0, 0.5, 1), ylim=(len(rows) - 0.5, -0.5))
        finish(ax, "held-out accuracy", title=METRICS[metric].title, legend=False)
    for arm, (color, _, marker) in LOOKS.items():
        axes[0].plot([], [], marker, color=color, ms=7, label=arm)
    figure.legend(loc="outside lower center", ncols=len(LOOKS), frameon=False)
    return Picture(
        figure,
        f"Accuracies on held-out clips, one dot a seed. Means: {'; '.join(said)}.",
        "A dot is a seed. Gray bands reach from an encoder without training to one trained with labels.",
    )
