"""Figures of answers.md: what each target buys as the background gets stronger (H2), and as training gets longer (H5)."""

from collections.abc import Mapping, Sequence

import numpy as np
from page_tables import PROBES
from questions import LENGTHS, MEASURES, STRENGTHS, Raw, complete, leaks
from targets import LOOKS

from minivjepa.evaluation.metrics import METRICS
from minivjepa.figures import Picture, finish, panels


def by_setting(
    raw: Raw, files: Mapping[str, float], arms: Mapping[str, str], metrics: Sequence[str], setting: str
) -> Picture:
    """A panel for each metric: its value in every run over the setting, and a line through the means.

    files: raw file -> value of the setting; one that lacks a seed of the plan is left out.  arms: name in the files -> target.
    """
    done = {
        file: value
        for file, value in files.items()
        if all(complete(raw, file, arm) for arm in arms) and not leaks(raw[file])
    }
    named = setting.replace("\n", " ")
    figure, axes = panels((2.6 * len(metrics) + 1.4, 3.4), len(metrics))
    places, said = range(len(done)), []
    for ax, metric in zip(axes, metrics):
        for arm, target in arms.items():
            color, shift, marker = LOOKS[target]
            each = [[run["final"][metric] for run in raw[file]["arms"][arm]] for file in done]
            means = [np.mean(values) for values in each]
            for place, values in zip(places, each):
                ax.plot([place + shift / 5] * len(values), values, marker, color=color, mec="white", mew=0.5, ms=5)
            ax.plot(places, means, color=color)
            ax.plot([], [], f"{marker}-", color=color, mec="white", mew=0.5, ms=6, label=target)
            said.append(f"{target}, {METRICS[metric].title}: {', '.join(f'{value:.2f}' for value in means)}")
        ax.set_xticks(places, [f"{value:,g}" for value in done.values()])
        ax.set(ylim=(0, 1.02))
        first = ax is axes[0]
        finish(ax, setting, "accuracy" if first else "", METRICS[metric].title.replace(", ", ",\n"), legend=first)
    return Picture(
        figure,
        f"Accuracies by {named} ({', '.join(f'{value:,g}' for value in done.values())}), one dot a seed. Means: {'; '.join(said)}.",
        f"One dot a seed; lines join the means. From left to right: {named}.",
    )


def strengths_picture(raw: Raw) -> Picture:
    """H2: the direction, after training with each target, by the strength of a background that is new in every frame."""
    arms = {f"{target}-for-new": target for target in LOOKS}
    return by_setting(raw, STRENGTHS, arms, MEASURES["h2"], "strength of a background\nthat is new in every frame")


def lengths_picture(raw: Raw) -> Picture:
    """H5: all measures, with the moving and the frozen target, by the number of steps."""
    return by_setting(raw, LENGTHS, {"frozen": "frozen", "vjepa": "vjepa"}, PROBES, "steps of training")
