"""Lesson 10: what turning queries and keys does to their products."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from minivjepa.figures import COLORS, Picture, curves, finish, frame_of
from minivjepa.rotary import rotate
from minivjepa_course.pictures.films import Film

STARTS = (0, 5, 10, 15)  # places of the query that are drawn
ARROWS = {"query": COLORS[3], "key": COLORS[4]}  # the others are those of V-JEPA's parts


def two_arrows(distance: int, places: int, frequency: float) -> Film:
    """A query and a key, each two numbers, that move along an axis, the key `distance` places ahead.

    On the left each gets the sine and cosine of its place added, on the right it is turned by its place.
    """
    pair = {"query": np.array([1.0, 0.3]), "key": np.array([0.5, 0.8])}
    angle = {"query": frequency * np.arange(places), "key": frequency * (np.arange(places) + distance)}
    added = {name: pair[name] + np.stack([np.sin(a), np.cos(a)], axis=1) for name, a in angle.items()}
    turned = {}
    for name, a in angle.items():
        still, turns = torch.from_numpy(pair[name]), torch.from_numpy(np.stack([a, a], axis=1))
        turned[name] = rotate(still.expand(1, 1, places, 2), turns[None])[0, 0].numpy()
    ways = {"positions are added": added, "positions turn": turned}
    products = {way: (arrows["query"] * arrows["key"]).sum(axis=1) for way, arrows in ways.items()}
    range_of = [float(f(np.stack([*products.values()]))) for f in (np.min, np.max)]
    figure = Figure(figsize=(6.4, 4.6), layout="constrained")
    axes = figure.subplots(2, 2, height_ratios=(2, 1), sharey="row")
    canvas, frames = FigureCanvasAgg(figure), []
    for place in range(places):
        for (above, below), (way, arrows) in zip(axes.T, ways.items()):
            above.clear()
            below.clear()
            _arrows(above, {name: each[place] for name, each in arrows.items()}, 2.0)
            above.set_title(way, fontsize=11)
            below.plot(products[way][: place + 1], color=COLORS[6], lw=1.8)
            below.set(xlim=(0, places - 1), ylim=(range_of[0] - 0.5, range_of[1] + 0.5))
            finish(below, "place of the query", "query . key" if way == "positions are added" else "", legend=False)
        axes[0, 0].legend(loc="lower left", fontsize=10)
        frames.append(frame_of(canvas))
    wanders, stays = products.values()
    said = f"the product of the two goes from {wanders.min():.1f} to {wanders.max():.1f} if positions are added; turned, it stays at {stays.mean():.1f}"
    alt = f"Two pairs of arrows move along an axis, a query and a key {distance} places ahead of it. With the distance fixed, {said}."
    caption = (
        f"A query and a key, always {distance} places apart, move along an axis. Below, the product of the two: {said}."
    )
    return Film(np.stack(frames), alt, caption)


def _arrows(ax: Axes, arrows: Mapping[str, np.ndarray], reach: float) -> None:
    """Arrows from the center of a square without ticks."""
    for name, (x, y) in arrows.items():
        ax.quiver(0, 0, x, y, angles="xy", scale_units="xy", scale=1, color=ARROWS[name], width=0.02, label=name)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])


def dials(query: Tensor, key: Tensor, place: int, distance: int) -> Picture:
    """The pairs of a turned query [2 P] at `place` and of a turned key `distance` places on, one dial for each."""
    turned = {"query": query.reshape(-1, 2).numpy(), "key": key.reshape(-1, 2).numpy()}  # [P, 2]
    count = len(turned["query"])
    figure = Figure(figsize=(2.0 * count, 2.7), layout="constrained")
    reach = 1.1 * float(max(np.linalg.norm(pairs, axis=1).max() for pairs in turned.values()))
    for number, ax in enumerate(figure.subplots(1, count)):
        _arrows(ax, {name: pairs[number] for name, pairs in turned.items()}, reach)
        ax.set_title(f"numbers {2 * number} and {2 * number + 1}", fontsize=10)
    ax.legend(loc="lower right", fontsize=10)
    said = f"Query at place {place}, key at place {place + distance}: their product is {float(query @ key):.3f}"
    figure.suptitle(said, fontsize=11)
    alt = f"{count} dials, each with an arrow for the query and one for the key. {said}."
    return Picture(figure, alt, f"One dial for each pair of numbers. {said}.")


def scores_over_distance(scores: Mapping[str, Tensor]) -> Picture:
    """Per position scheme, products [n, n] of one query and one key at all pairs of places along one axis."""
    reach = len(next(iter(scores.values()))) - max(STARTS)
    drawn = [torch.stack([table[start, start : start + reach] for start in STARTS]) for table in scores.values()]
    columns = {f"query at place {start}": (range(reach), *lines) for start, *lines in zip(STARTS, *drawn)}
    figure, axes = curves((4.2 * len(scores), 3.4), list(scores), columns, "places from query to key", "query . key")
    for ax in axes:
        ax.sharey(axes[0])
        ax.label_outer()
    apart = [float((lines - lines[0]).abs().max()) for lines in drawn]
    said = [f"{name}: curves differ by up to {most:.2f}" for name, most in zip(scores, apart)]
    alt = f"{len(scores)} panels of query-key products over the distance between them, for queries at places {', '.join(map(str, STARTS))}. {'; '.join(said)}."
    caption = f"The same query and the same key at different places. Where all curves are one, only the distance counts. {'; '.join(said)}."
    return Picture(figure, alt, caption)
