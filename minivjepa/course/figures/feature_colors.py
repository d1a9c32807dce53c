"""Lessons 9 and 10: which clips features bring together, and features as colors; films, also of imagined clips."""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from sklearn.decomposition import PCA

from minivjepa.course.figures import COLORS, Picture, strip

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
    columns: Mapping[str, np.ndarray], notes: Sequence[Sequence[str]] = (), inches: float = 1.35
) -> np.ndarray:
    """What models imagine, uint8 [T, H, W, 3]: one row per clip, one column per title, all clips playing together.

    columns: title, which may have several lines -> clips [B, T, H, W, 3], colors 0..1.  notes: for each of the T
    frames, words below every column.  inches: side of a clip.
    """
    clips = np.stack([*columns.values()], axis=1)  # [B, columns, T, H, W, 3]
    figure, axes = strip(list(clips[:, :, 0]), list(columns), inches, inches * len(clips) + (0.7 if notes else 0.45))
    canvas, frames = FigureCanvasAgg(figure), []
    for time in range(clips.shape[2]):
        for ax, clip in zip(axes, clips[:, :, time].reshape(-1, *clips.shape[3:])):
            ax.images[0].set_data(clip)
        for ax, words in zip(axes[-len(columns) :], notes[time] if notes else ()):
            ax.set_xlabel(words, fontsize=10)
        canvas.draw()
        frames.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    return np.stack(frames)


def gif(frames: np.ndarray) -> bytes:
    """Frames uint8 [T, H, W, 3] as a GIF of five frames a second that repeats forever."""
    from PIL import Image  # comes with matplotlib

    buffer = io.BytesIO()
    how = Image.Quantize.FASTOCTREE  # the default gives a small robot no color; MAXCOVERAGE lets a plain gray flicker
    first, *others = (Image.fromarray(frame).quantize(method=how) for frame in frames)
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=200, loop=0)
    return buffer.getvalue()


def trail(clips: np.ndarray) -> np.ndarray:
    """Brightness 0..1 [B, T, H, W] -> one picture a clip [B, H, W, 3]: early frames blue, late ones orange."""
    early, late = (np.array(color) for color in ((0.2, 0.5, 1.0), (1.0, 0.55, 0.1)))
    share = np.linspace(0, 1, clips.shape[1])[:, None]
    colors = (1 - share) * early + share * late  # [T, 3]
    return (clips[..., None] * colors[None, :, None, None]).max(axis=1).clip(0, 1)


def neighbours_strip(trails: np.ndarray, labels: list[str], found: np.ndarray, title: str) -> Picture:
    """Queries and the clips that are nearest to them, one query a row.

    trails [B, H, W, 3]: one picture a clip, 0..1.  labels: one per clip, such as "7 down".  found int [queries, 1 + k]: the
    clip itself, then its nearest.
    """
    rows, nearest = len(found), found.shape[1] - 1
    titles = ["query", *(f"nearest {number}" for number in range(1, nearest + 1))]
    figure, axes = strip(trails[found], titles, 1.5, 1.7 * rows + 0.3)
    kinds = np.array([label.split(maxsplit=1) for label in labels])  # [clips, 2]: digit and way
    same = kinds[found] == kinds[found[:, :1]]  # [queries, 1 + k, 2]
    for ax, clip, agrees in zip(axes, found.flat, same.reshape(-1, 2)):
        words = " and ".join(np.array(["digit", "way"])[agrees]) or "nothing"
        ax.set_xlabel(f"{labels[clip]}\nsame {words}", fontsize=10)
    for ax, clip in zip(axes[:: 1 + nearest], found[:, 0]):  # the queries themselves
        ax.set_xlabel(labels[clip], fontsize=10)
        ax.spines[:].set(color=COLORS[1], linewidth=2)
    figure.suptitle(f"{title} encoder", fontsize=10)
    digits, ways = same[:, 1:].sum(axis=(0, 1))
    result = f"of {rows * nearest} neighbours, {ways} move the query's way and {digits} show its digit"
    said = [f"{labels[clip]}: {', '.join(labels[other] for other in others)}" for clip, *others in found]
    return Picture(
        figure,
        f"{rows} rows of clips drawn as trails, a query and its {nearest} nearest by the {title} encoder; {result}. {'; '.join(said)}.",
        f"{title.capitalize()} encoder: {result}. Each picture is a whole clip, early frames blue and late ones orange; left the query, then the "
        "clips whose features are nearest.",
    )
