"""Homework: the expected array beside the one that a function returned."""

import numpy as np

from minivjepa.course.figures import Picture, panels, show


def side_by_side(expected: np.ndarray, got: np.ndarray) -> Picture:
    """Two arrays [rows, columns], and where they differ."""
    expected, got = expected.astype(float), got.astype(float)
    different = ~np.isclose(expected, got, equal_nan=True)
    figure, axes = panels((8.4, 3), 3)
    limits = float(np.nanmin([expected, got])), float(np.nanmax([expected, got]))
    show(axes[0], expected, "expected", limits)
    show(axes[1], got, "yours", limits)
    show(axes[2], different, "where they differ", (0, 1))
    return Picture(
        figure,
        f"Three panels of {expected.shape[0]} by {expected.shape[1]} values: expected, yours, and where they differ, in {int(different.sum())} places.",
        f"Expected, yours, and in yellow where they differ: {int(different.sum())} of {different.size} values.",
    )
