"""Homework: the expected array beside the one that a function returned."""

import numpy as np

from minivjepa.course.figures import Picture, panels


def side_by_side(expected: np.ndarray, got: np.ndarray) -> Picture:
    """Two arrays [rows, columns], and where they differ."""
    expected, got = expected.astype(float), got.astype(float)
    different = ~np.isclose(expected, got, equal_nan=True)
    figure, axes = panels((8.4, 3), 3)
    limits = {"vmin": min(np.nanmin(expected), np.nanmin(got)), "vmax": max(np.nanmax(expected), np.nanmax(got))}
    parts = (
        ("expected", expected, limits),
        ("yours", got, limits),
        ("where they differ", different, {"vmin": 0, "vmax": 1}),
    )
    for ax, (title, array, range_) in zip(axes, parts):
        ax.imshow(array, cmap="cividis", interpolation="nearest", **range_)
        ax.set(title=title, xticks=[], yticks=[])
    return Picture(
        figure,
        f"Three panels of {expected.shape[0]} by {expected.shape[1]} values: expected, yours, and where they differ, in {int(different.sum())} places.",
        f"Expected, yours, and in yellow where they differ: {int(different.sum())} of {different.size} values.",
    )
