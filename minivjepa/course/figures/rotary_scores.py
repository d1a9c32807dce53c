"""Lesson 10: what turning queries and keys does to their products."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from torch import Tensor

from minivjepa.course.figures import COLORS, STYLES, Picture

STARTS = (0, 5, 10, 15)  # places of the query that are drawn


def scores_over_distance(scores: Mapping[str, Tensor]) -> Picture:
    """Per scheme of positions, products [n, n] of one query and one key at all pairs of places along one axis."""
    figure = Figure(figsize=(4.2 * len(scores), 3.4), layout="constrained")
    said = []
    for ax, (name, table) in zip(figure.subplots(1, len(scores), squeeze=False, sharey=True).flat, scores.items()):
        reach = len(table) - max(STARTS)
        curves = [table[start, start : start + reach] for start in STARTS]
        for number, (start, curve) in enumerate(zip(STARTS, curves)):
            ax.plot(curve.numpy(), STYLES[number], color=COLORS[number], label=f"query at place {start}", lw=2)
        apart = max(float((curve - curves[0]).abs().max()) for curve in curves)
        said.append(f"{name}: curves differ by up to {apart:.2f}")
        ax.set(title=name, xlabel="places from query to key")
        ax.grid(alpha=0.25)
    figure.axes[0].set_ylabel("query . key")
    figure.axes[0].legend(fontsize=8)
    return Picture(
        figure,
        f"{len(scores)} panels of query-key products over the distance between them, for queries at places {', '.join(map(str, STARTS))}. {'; '.join(said)}.",
        f"The same query and the same key, put at different places. Where all curves are one, only the distance counts. {'; '.join(said)}.",
    )
