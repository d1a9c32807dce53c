"""What models imagine of the hidden part of a clip, as a film: README and `minivjepa imagine`."""

from collections.abc import Mapping

import numpy as np

from minivjepa.course.figures import panels, show
from minivjepa.course.figures.feature_colors import Animation


def imagination_film(columns: Mapping[str, np.ndarray]) -> Animation:
    """One row per clip, one column per title, all clips playing together.

    columns: title, which may have several lines -> clips [B, T, H, W, 3], colors 0..1.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    rows, length = next(iter(columns.values())).shape[:2]
    figure, axes = panels((1.35 * len(columns), 1.35 * rows + 0.45), len(columns), rows)
    canvas, images = FigureCanvasAgg(figure), []
    for number, ax in enumerate(axes):
        row, column = divmod(number, len(columns))
        title, clips = list(columns.items())[column]
        show(ax, clips[row, 0], "" if row else title)
        images.append((ax.images[0], clips[row]))
    frames = []
    for time in range(length):
        for image, clip in images:
            image.set_data(clip[time])
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return Animation(frames)
