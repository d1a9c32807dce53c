"""Lesson 11: clouds of points, what they look like along a line, and SIGReg at work on them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from minivjepa.collapse import feature_std
from minivjepa.course.figures import COLORS, Picture, curve, curves, finish, panels

WIDE = 3.2  # how far clouds are drawn
BINS = np.linspace(-WIDE, WIDE, 34)  # no edge at a whole number
TRAILS = 24  # points whose path is drawn


def _scatter(ax: Axes, cloud: Tensor, title: str) -> None:
    """Draw points [n, 2] in a square."""
    ax.scatter(cloud[:, 0].numpy(), cloud[:, 1].numpy(), s=5, color=COLORS[0], alpha=0.5, linewidths=0, zorder=3)
    ax.set(xlim=(-WIDE, WIDE), ylim=(-WIDE, WIDE), aspect="equal", title=title, xticks=[], yticks=[])


def _shadow(ax: Axes, values: np.ndarray, color: str) -> None:
    """Draw a histogram of projections, with the density of N(0, 1)."""
    ax.hist(values.clip(-WIDE, WIDE), BINS.tolist(), density=True, color=color, alpha=0.6)
    ax.plot(BINS, np.exp(-(BINS**2) / 2) / np.sqrt(2 * np.pi), color="black", lw=1.2)
    ax.set(xlim=(-WIDE, WIDE), ylim=(0, 1), xticks=[-2, 0, 2], yticks=[])


def shadows(clouds: Mapping[str, Tensor], directions: Tensor) -> Picture:
    """Clouds [n, 2] by name, each with its projections onto two unit directions, the columns of [2, 2]."""
    figure = Figure(figsize=(2.1 * len(clouds), 4.6), layout="constrained")
    axes = figure.subplots(3, len(clouds), height_ratios=[2.2, 1, 1])
    said = []
    for (name, cloud), column in zip(clouds.items(), axes.T):
        _scatter(column[0], cloud, name)
        spreads = []
        for ax, direction, color in zip(column[1:], directions.T, COLORS[1:]):
            arrow = {"arrowstyle": "->", "color": color, "lw": 2, "alpha": 0.7}
            column[0].annotate("", (2.6 * direction).tolist(), (0, 0), arrowprops=arrow)
            values = (cloud @ direction).numpy()
            _shadow(ax, values, color)
            spreads.append(f"{values.std():.2f}")
        said.append(f"{name} {' and '.join(spreads)}")
    axes[1, 0].set_ylabel("along the\nfirst arrow", fontsize=10)
    axes[2, 0].set_ylabel("along the\nsecond arrow", fontsize=10)
    words = "; ".join(said)
    alt = f"{len(clouds)} clouds of points with histograms of their shadows on two lines; the standard deviations of the shadows: {words}."
    caption = f"Above: clouds of points. Below: their shadows on the two arrows; the black curve is the normal distribution. Standard deviations of the shadows: {words}."
    return Picture(figure, alt, caption)


def characteristic(clouds: Mapping[str, Tensor], direction: Tensor) -> Picture:
    """What Epps and Pulley compare: means of cos(t x) and sin(t x) over t, for clouds [n, 2] along a unit direction [2]."""
    t = np.linspace(0, 3, 61)
    wanted = np.exp(-(t**2) / 2)
    columns, gaps = {}, []
    for name, cloud in clouds.items():
        angle = (cloud @ direction).numpy()[:, None] * t  # [n, points]
        columns[name] = t, np.cos(angle).mean(axis=0), np.sin(angle).mean(axis=0)
        gaps.append(f"{name} {np.abs(columns[name][1] - wanted).max():.2f}")
    figure, axes = curves((10, 3.4), ("mean of cos(t x)", "mean of sin(t x)"), columns, "t")
    for ax, normal in zip(axes, (wanted, 0 * t)):
        ax.plot(t, normal, color="black", lw=4, alpha=0.25, label="what it should be")
        ax.set_ylim(-1.1, 1.1)
    axes[0].legend()
    words = ", ".join(gaps)
    alt = f"Two panels of curves over t, one curve a cloud, and a broad grey one for the normal distribution. Largest gap on the left: {words}."
    caption = f"The characteristic function of a shadow, its two parts. SIGReg adds up the squared gaps to the broad grey curve. Largest gap on the left: {words}."
    return Picture(figure, alt, caption)


@dataclass(frozen=True)
class Moment:
    """A cloud [n, 2] on its way: the step, and SIGReg's value there."""

    step: int
    cloud: Tensor
    value: float


def shaping(moments: Sequence[Moment], title: str) -> Picture:
    """A cloud that moves: where it is now, with the paths of some points; its shadow from the side; SIGReg over steps."""
    figure, (place, side, term) = panels((10, 3.3), 3)
    now = moments[-1]
    _scatter(place, now.cloud, f"{title}, step {now.step}")
    ways = np.stack([moment.cloud[:TRAILS].numpy() for moment in moments])  # [moments, points, 2]
    place.plot(ways[..., 0], ways[..., 1], color=COLORS[1], lw=0.7, alpha=0.7)
    _shadow(side, now.cloud[:, 1].numpy(), COLORS[2])
    side.set_title("seen from the side")
    steps = [moment.step for moment in moments]
    term.plot(steps, [max(moment.value, 1e-3) for moment in moments], ".-", color=COLORS[0])
    term.axhline(1.05, color="black", lw=1, ls=":", label="random normal points, on average")
    term.set_yscale("log")
    finish(term, "step", title="SIGReg")
    spread = feature_std(now.cloud[:, None])
    said = f"SIGReg from {moments[0].value:.2f} to {now.value:.2f}, standard deviation now {spread:.2f}"
    alt = f"Three panels after {now.step} steps: the cloud with trails of {TRAILS} points, its histogram from the side, SIGReg over steps. {said}."
    caption = f"{title}, after {now.step} steps. Orange: the ways of {TRAILS} points. The black curve is the normal distribution. {said}."
    return Picture(figure, alt, caption)


def folding(
    waves: Sequence[float], values: Sequence[float], scores: Mapping[str, Sequence[float]], width: int
) -> Picture:
    """A sheet folded ever finer into `width` numbers: SIGReg's value, and the scores of what can still be read, by name."""
    figure, (term, read) = panels((9, 3.4), 2)
    term.plot(waves, values, "o-", color=COLORS[0])
    term.axhline(1.05, color="black", lw=1, ls=":", label="random normal points")
    term.set(xscale="log", yscale="log")
    finish(term, "waves across the world", title="SIGReg")
    for number, (name, series) in enumerate(scores.items(), 1):
        curve(read, number, waves, series, name, "s")
    read.set(xscale="log", ylim=(-0.1, 1.1))
    finish(read, "waves across the world", title="what can be read of the place")
    for ax in (term, read):
        ax.set_xticks(waves, [f"{wave:g}" for wave in waves])
        ax.set_xticks([], minor=True)
    ends = "; ".join(f"{name} from {series[0]:.2f} to {series[-1]:.2f}" for name, series in scores.items())
    said = f"SIGReg goes from {values[0]:.1f} to {values[-1]:.1f}; {ends}"
    alt = f"Two panels over the number of waves across the world. {said}."
    caption = f"A place is two numbers. Folded into {width} numbers by ever shorter waves, it looks more and more normal to SIGReg. {said}."
    return Picture(figure, alt, caption)


def spectra(values: dict[str, list[float]]) -> Picture:
    """Singular values of latents, largest first, on a logarithmic scale: one curve per run."""
    columns = {name: (range(1, len(sigma) + 1), sigma) for name, sigma in values.items()}
    title = "Spread in every direction, largest first"
    figure, [ax] = curves((6.4, 3.4), [title], columns, "direction", "spread of latents")
    ax.set_yscale("log")
    said = "; ".join(f"{name} from {sigma[0]:.2g} to {sigma[-1]:.2g}" for name, sigma in values.items())
    return Picture(
        figure, f"Spread of latents over directions: {said}.", f"How far latents spread in each direction: {said}."
    )
