"""Lesson 10: what turning queries and keys does to their products."""

from collections.abc import Mapping

from torch import Tensor

from minivjepa.course.figures import Picture, curve, finish, panels

STARTS = (0, 5, 10, 15)  # places of the query that are drawn


def scores_over_distance(scores: Mapping[str, Tensor]) -> Picture:
    """Per position scheme, products [n, n] of one query and one key at all pairs of places along one axis."""
    figure, axes = panels((4.2 * len(scores), 3.4), len(scores))
    said = []
    for ax, (name, table) in zip(axes, scores.items()):
        reach = len(table) - max(STARTS)
        curves = [table[start, start : start + reach] for start in STARTS]
        for number, (start, values) in enumerate(zip(STARTS, curves)):
            curve(ax, number, range(reach), values.numpy(), f"query at place {start}")
        apart = max(float((values - curves[0]).abs().max()) for values in curves)
        said.append(f"{name}: curves differ by up to {apart:.2f}")
        ax.sharey(axes[0])
        finish(ax, "places from query to key", "query . key", name, legend=ax is axes[0])
        ax.label_outer()
    return Picture(
        figure,
        f"{len(scores)} panels of query-key products over the distance between them, for queries at places {', '.join(map(str, STARTS))}. {'; '.join(said)}.",
        f"The same query and the same key, put at different places. Where all curves are one, only the distance counts. {'; '.join(said)}.",
    )
