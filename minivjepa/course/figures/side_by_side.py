"""Homework: what was expected beside what a function gave."""

import numpy as np
from matplotlib.figure import Figure

from minivjepa.course.figures import Picture


def side_by_side(expected: np.ndarray, got: np.ndarray) -> Picture:
    """Two arrays [rows, columns], and where they differ."""
    expected, got = expected.astype(float), got.astype(float)
    different = ~np.isclose(expected, got, equal_nan=True)
    figure = Figure(figsize=(8.4, 3), layout="constrained")
    limits = {"vmin": min(np.nanmin(expected), np.nanmin(got)), "vmax": max(np.nanmax(expected), np.nanmax(got))}
    panels = (
        ("expected", expected, limits),
        ("yours", got, limits),
        ("where they differ", different, {"vmin": 0, "vmax": 1}),
    )
    for ax, (title, array, range_) in zip(figure.subplots(1, 3), panels):
        ax.imshow(array, cmap="cividis", interpolation="nearest", **range_)
        ax.set(title=title, xticks=[], yticks=[])
    return Picture(
        figure,
        f"Three panels of {expected.shape[0]} by {expected.shape[1]} values: expected, yours, and where they differ, in {int(different.sum())} places.",
        f"Expected, yours, and in yellow where they differ: {int(different.sum())} of {different.size} values.",
    )
