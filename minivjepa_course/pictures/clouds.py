"""Lesson 11: clouds of points, what they look like along a line, how SIGReg pushes them, and what stored runs came to."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from minivjepa.collapse import COLLAPSED, WARNING, feature_std
from minivjepa.figures import COLORS, Picture, curve, curves, finish, panels
from minivjepa_course.pictures.films import Film, dots_in_motion

WIDE = 3.2  # how far clouds are drawn
BINS = np.linspace(-WIDE, WIDE, 34)  # no edge at a whole number
TRAILS = 24  # points whose path is drawn
NARROWEST = 1e-3  # spread of the narrowest cloud that an axis shows

Path = Sequence[tuple[int, Tensor]]  # a cloud [n, 2] on its way: steps, and where its points are there


def _scatter(ax: Axes, cloud: Tensor, title: str) -> None:
    """Draw points [n, 2] in a square."""
    ax.scatter(cloud[:, 0].numpy(), cloud[:, 1].numpy(), s=5, color=COLORS[0], alpha=0.5, linewidths=0, zorder=3)
    ax.set(xlim=(-WIDE, WIDE), ylim=(-WIDE, WIDE), aspect="equal", title=title, xticks=[], yticks=[])


def clouds_pushed(paths: Mapping[str, Path]) -> Film:
    """Clouds by name, all on their way at once."""
    steps = [step for step, _ in next(iter(paths.values()))]
    clouds = {name: [cloud.numpy() for _, cloud in path] for name, path in paths.items()}
    ends = "; ".join(f"{name} {feature_std(path[-1][1][:, None]):.2f}" for name, path in paths.items())
    words = f"{len(clouds)} clouds of points move for {steps[-1]} steps downhill on SIGReg, with nothing else. Standard deviation at the end: {ends}."
    return Film(dots_in_motion(clouds, steps, WIDE, "step", 1.7), words, words)


def shadow(name: str, cloud: Tensor, angle: float) -> Picture:
    """A cloud [n, 2], its shadow on the line at an angle in degrees, and what Epps and Pulley compare of that shadow."""
    figure, (place, side, gaps) = panels((10, 3.3), 3)
    arrow = np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))])
    x, t = cloud.numpy() @ arrow, np.linspace(0, 3, 61)
    _scatter(place, cloud, f"{name}, arrow at {angle:g} degrees")
    place.annotate("", 2.9 * arrow, -2.9 * arrow, arrowprops={"arrowstyle": "->", "color": COLORS[1], "lw": 2})
    side.hist(x.clip(-WIDE, WIDE), BINS.tolist(), density=True, color=COLORS[1], alpha=0.6)
    side.plot(BINS, np.exp(-(BINS**2) / 2) / np.sqrt(2 * np.pi), color="black", lw=1.2)
    side.set(ylim=(0, 1), yticks=[], xlabel="x, the place along the arrow", title="its shadow")
    waves, wanted = np.cos(x[:, None] * t).mean(axis=0), np.exp(-(t**2) / 2)
    for normal in (wanted, 0 * t):
        gaps.plot(t, normal, color="black", lw=5, alpha=0.2)
    curve(gaps, 0, t, waves, "mean of cos(t x)")
    curve(gaps, 1, t, np.sin(x[:, None] * t).mean(axis=0), "mean of sin(t x)")
    gaps.set_ylim(-1.1, 1.1)
    finish(gaps, "t", title="gray: if it were normal")
    words = f"Standard deviation of the shadow: {x.std():.2f}. Largest gap between the blue curve and the gray one: {np.abs(waves - wanted).max():.2f}."
    alt = f"Three panels: the cloud {name} with an arrow at {angle:g} degrees, a histogram of its shadow, two curves over t. {words}"
    return Picture(figure, alt, f"Black: the normal distribution. {words}")


def by_angle(angles: Sequence[float], values: Mapping[str, Sequence[float]]) -> Picture:
    """Epps and Pulley's statistic of clouds by name, along arrows at these angles in degrees."""
    columns = {name: (angles, series) for name, series in values.items()}
    figure, [ax] = curves((7.6, 3.6), ["Which arrow gives a cloud away?"], columns, "angle of the arrow, degrees")
    ax.set(yscale="log", ylabel="Epps-Pulley statistic", xticks=range(0, 181, 45))
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    ranges = "; ".join(f"{name} {min(series):.1f} to {max(series):.1f}" for name, series in values.items())
    return Picture(
        figure,
        f"The statistic over the angle of the arrow, one curve per cloud: {ranges}.",
        f"Lowest and highest over all angles: {ranges}.",
    )


def strength(spreads: Sequence[float], norms: Mapping[str, Sequence[float]]) -> Picture:
    """How hard terms push a cloud, over its spread: norms of their gradients by name, as shares of the largest on a cloud below 1."""
    narrow = np.array(spreads) < 1
    columns = {name: (spreads, np.array(series) / np.array(series)[narrow].max()) for name, series in norms.items()}
    figure, [ax] = curves((6.8, 3.6), ["How hard is the cloud pushed?"], columns, "standard deviation of the cloud")
    ax.set(xscale="log", yscale="log", ylabel="share of the hardest push", ylim=(1e-3, 20))
    ax.axvline(1, color="black", lw=1, ls=":")
    said = "; ".join(f"{name} {column[1][0]:.2g}" for name, column in columns.items())
    words = f"As shares of the hardest push on a cloud that is too narrow, at a standard deviation of {spreads[0]:g}: {said}."
    return Picture(
        figure,
        f"Norms of gradients over the spread of a cloud, both axes logarithmic. {words}",
        f"{words} Dotted: 1, where a cloud should be.",
    )


def tug(path: Path, spreads: Sequence[float], forces: Mapping[str, Sequence[float]], title: str) -> Picture:
    """A tug of war over a cloud: the forces on a round one by its spread; the cloud now, with paths of some points; its spread over steps."""
    figure, (force, place, width) = panels((10.5, 3.5), 3)
    steps, clouds = [step for step, _ in path], [cloud for _, cloud in path]
    widths = [feature_std(cloud[:, None]) for cloud in clouds]
    for number, (name, series) in enumerate(forces.items()):
        curve(force, number, spreads, series, name)
    force.axvline(max(widths[-1], NARROWEST), color="black", lw=1, ls=":", label="the cloud now")
    force.set(xscale="log", yscale="log", xlim=(NARROWEST, 1), ylim=(1e-5, 100))
    finish(force, "standard deviation", title="which force is stronger?")
    _scatter(place, clouds[-1], f"the cloud at step {steps[-1]}")
    trails = np.stack([cloud[:TRAILS].numpy() for cloud in clouds])  # [moments, points, 2]
    place.plot(trails[..., 0], trails[..., 1], color=COLORS[1], lw=0.7, alpha=0.7)
    width.plot(steps, np.maximum(widths, NARROWEST), ".-", color=COLORS[0])
    width.set(yscale="log", xlim=(0, 200), ylim=(0.8 * NARROWEST, 2))
    finish(width, "step", title="standard deviation", legend=False)
    said = f"{title}: the standard deviation goes from {widths[0]:.3f} to {widths[-1]:.3f} in {steps[-1]} steps."
    return Picture(
        figure,
        f"Three panels: two forces over the spread of a cloud; the cloud with trails of {TRAILS} points; its spread over steps. {said}",
        f"{said} Wherever the blue curve on the left is above the orange one, the cloud grows. Orange in the middle: the paths of {TRAILS} points.",
    )


def folding(
    waves: Sequence[float], values: Sequence[float], scores: Mapping[str, Sequence[float]], width: int
) -> Picture:
    """A sheet folded ever finer into `width` numbers: SIGReg's value, and the scores of what can still be read, by name."""
    figure, (term, read) = panels((10, 3.4), 2)
    term.plot(waves, values, "o-", color=COLORS[0])
    term.axhline(1.05, color="black", lw=1, ls=":", label="normal points, on average")
    term.set(xscale="log", yscale="log")
    term.set_yticks([1, 3, 10, 30], ["1", "3", "10", "30"])
    term.set_yticks([], minor=True)
    finish(term, "waves across the world", title="SIGReg")
    for number, (name, series) in enumerate(scores.items(), 1):
        curve(read, number, waves, series, name, "s")
    read.set(xscale="log", ylim=(-0.05, 1.05))
    finish(read, "waves across the world", title="what can be read of the place")
    read.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    for ax in (term, read):
        ax.set_xticks(waves, [f"{wave:g}" for wave in waves])
        ax.set_xticks([], minor=True)
    ends = "; ".join(f"{name} from {series[0]:.2f} to {series[-1]:.2f}" for name, series in scores.items())
    said = f"SIGReg goes from {values[0]:.1f} to {values[-1]:.1f}; {ends}"
    alt = f"Two panels over the number of waves across the world. {said}."
    caption = f"A place is two numbers. Folded into {width} numbers by ever shorter waves, it looks more and more normal to SIGReg. {said}."
    return Picture(figure, alt, caption)


Seeds = Mapping[str, tuple[Sequence[float], Sequence[float]]]  # row -> feature std and R² of the position, by seed


def seed_dots(groups: Mapping[str, Seeds], answers: Mapping[str, Mapping[str, str]], control: str) -> Picture:
    """Stored runs, one row per variant and one dot per seed.  answers: group -> row -> in a word, its R² beside the control's."""
    names = list(dict.fromkeys(row for rows in groups.values() for row in rows))
    figure, (spread, score) = panels((10, 1.2 + 0.36 * len(names)), 2)
    said = []
    for number, (group, rows) in enumerate(groups.items()):
        for row, columns in rows.items():
            sharing = [name for name, others in groups.items() if row in others]
            place = names.index(row) + 0.3 * (sharing.index(group) - (len(sharing) - 1) / 2)
            for ax, values in zip((spread, score), columns):
                label = group if row == next(iter(rows)) else None
                ax.plot(values, [place] * len(values), "os^D"[number], color=COLORS[number], alpha=0.7, label=label)
            word = answers[group].get(row, "")
            score.annotate(word, (1.02, place), xycoords=("axes fraction", "data"), va="center", color=COLORS[number])
            said.append(f"{group}, {row}: {min(columns[1]):.2f} to {max(columns[1]):.2f} {word}".strip())
    for ax in (spread, score):
        ax.set(yticks=range(len(names)), ylim=(len(names) - 0.5, -0.5))
        ax.grid(alpha=0.25)
    spread.set(xscale="log", xlim=(COLLAPSED / 2, 1.5), yticklabels=names, title="feature std")
    spread.set_xticks([COLLAPSED, WARNING, 1], ["0.01: collapsed", "0.1: warning", "1"])
    score.set(xlim=(0, 1.03), yticklabels=[], title="R² of the position")
    if len(groups) > 1:
        score.legend(loc="center right")
    alt = f"Dots in rows, one per seed: feature std on a logarithmic axis, and R² of the position from 0 to 1. R²: {'; '.join(said)}."
    return Picture(figure, alt, f"One dot per seed. The words on the right compare R² with {control}, seed by seed.")
