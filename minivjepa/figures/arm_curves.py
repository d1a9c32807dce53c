"""Arms (lesson 7): the fate of every arm, live and from a results file, and arms compared seed by seed."""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np

from minivjepa.collapse import COLLAPSED
from minivjepa.data.protocol import CHANCE
from minivjepa.evaluation.collapsed_runs import collapsed, or_nan, smaller_std
from minivjepa.figures import COLORS, STYLES, Picture, finish, panels
from minivjepa.vjepa import ARMS

Results = dict[str, Any]
Compared = tuple[Sequence[float], float, float, str]  # differences, their mean's interval, the verdict
VERDICTS = {"above": (COLORS[0], ">"), "below": (COLORS[1], "<"), "equal": (COLORS[2], "s"), "undecided": ("#777777", "o")}  # fmt: skip

OTHER = 6  # the number of an arm without a color


def look(arm: str, number: int) -> tuple[str, str]:
    """Color and line style of an arm: the same in every picture.  number: its place in this one, for arms that are not in ARMS.

    The latter come after ARMS, which have all colors: they share a color with one of these, but not its line style.
    """
    if arm == "untrained":
        return "#999999", "-"
    place = list(ARMS).index(arm) if arm in ARMS else len(ARMS) + number
    return COLORS[place % len(COLORS)], STYLES[place % len(STYLES)]


def finals(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Arm -> the final metrics of its runs, one per seed; and those of the untrained encoders."""
    trained = {arm: [run["final"] for run in runs] for arm, runs in results["arms"].items()}
    return {**trained, "untrained": results["untrained"]}


def collapse_curves(results: Results) -> Picture:
    """Loss, feature std, and what the frozen features know about motion, for every arm."""
    figure, (loss, std, bars) = panels((13, 4), 3)
    for number, (arm, runs) in enumerate(results["arms"].items()):
        color, style = look(arm, number)
        for run in runs:
            steps = [row["step"] for row in run["history"]]
            for ax, value in ((loss, itemgetter("loss")), (std, smaller_std)):
                values = [or_nan(value(row)) for row in run["history"]]
                ax.plot(steps, values, style, color=color, label=arm if run is runs[0] else None, lw=1.8, alpha=0.85)
    for ax, title in ((loss, "Training loss: is lower better?"), (std, "Feature std, the smaller of the two encoders")):
        ax.set_yscale("log")
        finish(ax, "training step", title=title, legend=ax is loss)
    scores = {arm: [run["linear_direction"] for run in runs] for arm, runs in finals(results).items()}
    for number, (arm, shares) in enumerate(scores.items()):
        bars.bar(number, float(np.mean(shares)), color=look(arm, number)[0], alpha=0.85)
        bars.plot([number] * len(shares), shares, "o", color="black", mec="white", mew=0.5, ms=4)
    bars.axhline(results["chance"]["direction"], color="black", lw=1, ls=":", label="chance")
    bars.set_xticks(range(len(scores)), list(scores), rotation=30, ha="right")
    bars.set(title="Direction of motion, linear probe", ylabel="held-out accuracy", ylim=(0, 1))
    bars.legend()
    said = ", ".join(f"{arm} {np.mean(shares):.2f}" for arm, shares in scores.items())
    dead = ", ".join(arm for arm, runs in results["arms"].items() if all(map(collapsed, runs))) or "none"
    return Picture(
        figure,
        f"Three panels. Left: loss over training steps per arm. Middle: the smaller feature standard deviation of online and target encoder; "
        f"collapsed to below {COLLAPSED} on every seed: {dead}. Right: accuracy of a linear probe for direction: {said}.",
        f"Read the middle panel, not the left one: a low loss can be a collapse. Arms with an encoder, online or target, that ended below {COLLAPSED} on every seed: {dead}. "
        "Dots are seeds; the dotted line is chance.",
    )


def spectra(results: Results) -> Picture:
    """Singular values of pooled features: their scale, and their shape without it."""
    figure, (plain, scaled) = panels((9, 3.6), 2)
    first = {arm: runs[0] for arm, runs in finals(results).items()}
    for number, (arm, metrics) in enumerate(first.items()):
        sigma = np.array(metrics["spectrum"])
        color, style = look(arm, number)
        label = f"{arm} (effective rank {metrics['effective_rank']:.0f})" if metrics["effective_rank"] else arm
        directions = np.arange(1, len(sigma) + 1)
        plain.semilogy(directions, sigma, style, color=color, label=label)
        scaled.semilogy(directions, sigma / sigma.sum(), style, color=color)
    plain.set(title="Singular values", xlabel="direction", ylabel="std along it")
    scaled.set(title="The same, each curve divided by its sum", xlabel="direction")
    plain.legend()
    ranks = ", ".join(f"{arm} {m['effective_rank']:.0f}" for arm, m in first.items() if m["effective_rank"])
    alt = f"Two panels of singular values of pooled online features on held-out clips, first seed. Effective ranks: {ranks}."
    caption = "Effective rank sees the right panel only: a collapsed arm can look rich there while the left panel shows it has no spread at all."
    return Picture(figure, alt, caption)


def one_arm(arms: Mapping[str, Sequence[dict[str, Any]]], untrained: Sequence[float], arm: str, title: str) -> Picture:
    """The recorded runs of one arm, all others in gray behind them.  arms: name -> runs; untrained: accuracies for direction."""
    figure, (loss, std, probe) = panels((12, 3.8), 3)
    color, _ = look(arm, OTHER)
    for name in sorted(arms, key=lambda each: each == arm):
        line = (
            {"color": color, "lw": 1.8, "alpha": 0.8} if name == arm else {"color": "#bbbbbb", "lw": 0.6, "alpha": 0.6}
        )
        for run in arms[name]:
            steps = [row["step"] for row in run["history"]]
            loss.plot(steps, [or_nan(row["loss"]) for row in run["history"]], **line)
            std.plot(steps, [or_nan(row["feature_std"]) for row in run["history"]], **line)
            if name == arm:
                std.plot(steps, [or_nan(row["target_feature_std"]) for row in run["history"]], ":", **line)
    std.plot([], [], "-", color=color, label="online encoder")
    std.plot([], [], ":", color=color, label="its target")
    std.axhline(COLLAPSED, color="black", lw=1, ls="--", label="below: collapsed")
    for ax, words in ((loss, "training loss"), (std, "feature std")):
        ax.set_yscale("log")
        finish(ax, "training step", title=words, legend=False)
    std.legend(loc="lower left")
    scores = {"untrained": list(untrained)} | {name: directions(arms[name]) for name in dict.fromkeys(("vjepa", arm))}
    for number, (name, values) in enumerate(scores.items()):
        probe.plot([number] * len(values), values, "o", color=look(name, OTHER)[0], mec="white", ms=8, alpha=0.8)
    probe.set_xticks(range(len(scores)), list(scores))
    probe.axhline(CHANCE["direction"], color="black", lw=1, ls=":", label="chance")
    probe.set(xlim=(-0.6, len(scores) - 0.4), ylim=(0, 1))
    finish(probe, "", "held-out accuracy", "direction of motion, linear probe")
    figure.suptitle(title)
    dead, count = sum(map(collapsed, arms[arm])), len(arms[arm])
    said = ", ".join(f"{value:.2f}" for value in sorted(scores[arm]))
    words = f"{title}: {dead} of {count} runs collapsed, and a linear probe reads the direction at {said}."
    return Picture(
        figure,
        f"Three panels, one line or dot per seed: loss, feature std of online encoder and target, direction of motion. {words}",
        f"{words} Gray: all other arms. An arm has collapsed if one of its encoders ends below the dashed line.",
    )


def directions(runs: Sequence[dict[str, Any]]) -> list[float]:
    """What a linear probe reads about motion, one value per run."""
    return [run["final"]["linear_direction"] for run in runs]


def verdicts(compared: Mapping[str, Mapping[str, Compared]], of: str) -> Picture:
    """Differences seed by seed, with their intervals and verdicts: a panel's title -> a row's label -> what was found.

    of: the question in a few words, such as "vjepa minus frozen".
    """
    labels = list(next(iter(compared.values())))
    figure, axes = panels((1.4 + 4.2 * len(compared), 1.1 + 0.42 * len(labels)), len(compared))
    for ax, (title, rows) in zip(axes, compared.items()):
        for place, (each, low, high, verdict) in enumerate(rows.values()):
            color, marker = VERDICTS[verdict]
            ax.plot([low, high], [place, place], color=color, lw=5, alpha=0.4, solid_capstyle="butt")
            ax.plot(each, [place] * len(each), marker, color=color, mec="white", mew=0.5, ms=7)
            ax.text(1.02, place, verdict, transform=ax.get_yaxis_transform(), va="center", color=color)
        ax.axvline(0, color="black", lw=1)
        ax.set_yticks(range(len(labels)), labels if ax is axes[0] else [""] * len(labels))
        ax.set(ylim=(len(labels) - 0.5, -0.5))
        finish(ax, f"difference in accuracy: {of}", title=title, legend=False)
    said = "; ".join(f"{title}: {row} {found[3]}" for title, rows in compared.items() for row, found in rows.items())
    return Picture(
        figure,
        f"Dots for the difference on each seed and bars for the interval of their mean, {of}. {said}.",
        f"A dot is one seed's difference, {of}; a bar is the 95 % interval of their mean.",
    )


def sweep(arms: Mapping[str, Mapping[float, Sequence[float]]], title: str, xlabel: str) -> Picture:
    """Accuracy for direction over one number: arm -> that number -> one accuracy per seed."""
    figure, [ax] = panels((6.4, 3.6))
    for number, (arm, found) in enumerate(arms.items()):
        color, _ = look(arm, number)
        places = [x + 0.02 * (number - 1.5) for x in found]
        ax.plot(places, [np.mean(values) for values in found.values()], "-", color=color, label=arm)
        for x, values in zip(places, found.values()):
            ax.plot([x] * len(values), values, "o", color=color, mec="white", mew=0.5, ms=6)
    ax.axhline(CHANCE["direction"], color="black", lw=1, ls=":", label="chance")
    ax.set(ylim=(0, 1), xticks=sorted({x for found in arms.values() for x in found}))
    finish(ax, xlabel, "direction, linear probe", title)
    said = "; ".join(
        f"{arm} at {x:g}: mean {np.mean(values):.2f} of {len(values)} seeds"
        for arm, found in arms.items()
        for x, values in found.items()
    )
    return Picture(
        figure, f"Accuracy for direction over {xlabel}. {said}.", f"Dots are seeds; lines join the means. {said}."
    )
