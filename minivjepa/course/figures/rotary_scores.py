"""Lesson 10: what turning queries and keys does to their products."""

from collections.abc import Mapping

import torch
from torch import Tensor

from minivjepa.course.figures import Picture, curves

STARTS = (0, 5, 10, 15)  # places of the query that are drawn


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
    caption = f"The same query and the same key, put at different places. Where all curves are one, only the distance counts. {'; '.join(said)}."
    return Picture(figure, alt, caption)
