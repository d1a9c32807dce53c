"""What models imagine, as a film: README and `minivjepa imagine`."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from minivjepa.course.figures import strip


def imagination_film(columns: Mapping[str, np.ndarray], notes: Sequence[Sequence[str]] = ()) -> np.ndarray:
    """uint8 [T, H, W, 3]: one row per clip, one column per title, all clips playing together.

    columns: title, which may have several lines -> clips [B, T, H, W, 3], colors 0..1.  notes: for each of the T frames, words
    below every column.
    """
    clips = np.stack([*columns.values()], axis=1)  # [B, columns, T, H, W, 3]
    figure, axes = strip(list(clips[:, :, 0]), list(columns), 1.35, 1.35 * len(clips) + (0.7 if notes else 0.45))
    canvas, frames = FigureCanvasAgg(figure), []
    for time in range(clips.shape[2]):
        for ax, clip in zip(axes, clips[:, :, time].reshape(-1, *clips.shape[3:])):
            ax.images[0].set_data(clip)
        for ax, words in zip(axes[-len(columns) :], notes[time] if notes else ()):
            ax.set_xlabel(words, fontsize=9)
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return np.stack(frames)
