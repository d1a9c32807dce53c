"""Features as colors (lesson 10), and films, also of imagined clips."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from sklearn.decomposition import PCA

from minivjepa.figures import Picture, frame_of, strip

SIDE = 224  # pixels of an animation's panels, about


def component_colors(features: np.ndarray) -> np.ndarray:
    """Tokens [t, h, w, D] -> colors 0..1 [t, h, w, 3]: the first three principal components over all tokens of the clip.

    Each component is stretched from its 2nd to its 98th percentile.
    """
    flat = features.reshape(-1, features.shape[-1])
    count = min(3, *flat.shape)  # of a very small clip there are fewer
    with np.errstate(invalid="ignore"):  # the tokens of a collapsed encoder have no variance to explain
        scores = PCA(n_components=count, svd_solver="full").fit_transform(flat)
    scores = np.pad(scores, ((0, 0), (0, 3 - count)))
    low, high = np.percentile(scores, (2, 98), axis=0)
    stretched = np.clip((scores - low) / np.maximum(high - low, 1e-12), 0, 1)
    return stretched.reshape(*features.shape[:3], 3)


def feature_strip(frames: np.ndarray, features: np.ndarray, title: str) -> Picture:
    """uint8 [T, H, W, 3] and tokens [t, h, w, D]: the first frame of every tubelet, above its tokens' components."""
    colors, t = component_colors(features), len(features)
    first = frames[np.arange(t) * len(frames) // t]
    figure, _ = strip([first, colors], [f"time step {number}" for number in range(t)], 1.6, 3.5)
    figure.suptitle(title, fontsize=10)
    _, h, w, d = features.shape
    return Picture(
        figure,
        f"{title}: two rows of {t} pictures, frames of a clip, and below each its {h} by {w} tokens as colored squares.",
        f"{title}. Above: one frame per time step. Below: its {h} x {w} tokens; the first three of {d} principal components are red, green and blue, "
        "so tokens of one color are alike to the encoder.",
    )


def feature_animation(frames: np.ndarray, features: np.ndarray) -> np.ndarray:
    """uint8 [T, H, W, 3] and tokens [t, h, w, D] -> uint8 [T, H', W', 3]: every frame beside its tokens' components."""
    colors = (255 * component_colors(features)).astype(np.uint8)
    for axis in range(3):  # a token is as long, high and wide as its tubelet
        colors = colors.repeat(frames.shape[axis] // colors.shape[axis], axis)
    zoom = max(1, SIDE // frames.shape[1])
    return np.concatenate([frames, colors], axis=2).repeat(zoom, axis=1).repeat(zoom, axis=2)


def imagination_film(
    columns: Mapping[str, np.ndarray],
    notes: Sequence[Sequence[str]] = (),
    inches: float = 1.35,
    rows: Sequence[str] = (),
) -> np.ndarray:
    """What models imagine, uint8 [T, H, W, 3]: one row per clip, one column per title, all clips playing together.

    columns: title, which may have several lines -> clips [B, T, H, W, 3], colors 0..1.  notes: for each of the T
    frames, words below every column.  inches: side of a clip.  rows: a name beside each row.
    """
    clips = np.stack([*columns.values()], axis=1)  # [B, columns, T, H, W, 3]
    height = inches * len(clips) + (0.7 if notes else 0.45)
    figure, axes = strip(list(clips[:, :, 0]), list(columns), inches, height, rows)
    canvas, frames = FigureCanvasAgg(figure), []
    for time in range(clips.shape[2]):
        for ax, clip in zip(axes, clips[:, :, time].reshape(-1, *clips.shape[3:])):
            ax.images[0].set_data(clip)
        for ax, words in zip(axes[-len(columns) :], notes[time] if notes else ()):
            ax.set_xlabel(words, fontsize=10)
        frames.append(frame_of(canvas))
    return np.stack(frames)


def gif(frames: np.ndarray) -> bytes:
    """Frames uint8 [T, H, W, 3] as a GIF of five frames a second that repeats forever."""
    from PIL import Image  # comes with matplotlib

    buffer = io.BytesIO()
    how = Image.Quantize.FASTOCTREE  # the default gives a small robot no color; MAXCOVERAGE lets a plain gray flicker
    first, *others = (Image.fromarray(frame).quantize(method=how) for frame in frames)
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=200, loop=0)
    return buffer.getvalue()
