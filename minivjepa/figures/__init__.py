"""What all pictures share: alt text, a visible caption, colors.  In this folder are those of reports and commands, in minivjepa_course/pictures/ those of lessons."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

# Okabe and Ito's colors, which people with any color vision can tell apart
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
ROLES = {"online encoder": COLORS[0], "predictor": COLORS[2], "target encoder": COLORS[1]}  # in every picture
STYLES = ("-", "--", "-.", ":")
DPI = 200  # pixels an inch in a file
SHOWN = 110  # the same on a page, where a screen may have two dots a pixel
HIDDEN = COLORS[5]  # the cover of hidden tubelets


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure with what it shows: `alt` for people who cannot see it, `caption` for all."""

    figure: "Figure"
    alt: str
    caption: str

    def png(self, dpi: int = DPI) -> bytes:
        """The figure as a PNG file of 256 colors, on white, so that it can be read in a dark notebook too."""
        from PIL import Image

        buffer, small = io.BytesIO(), io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
        Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "png", optimize=True)
        return small.getvalue()

    def save(self, path: Path) -> None:
        """Write the PNG to a path."""
        path.write_bytes(self.png())

    def html(self) -> str:
        """A <figure> with the picture inside it: needs no file and no network."""
        png = self.png()
        data = base64.b64encode(png).decode()
        return (
            f'<figure><img alt="{escape(self.alt)}" width="{shown_width(png)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(self.caption)}</figcaption></figure>"
        )


def shown_width(png: bytes) -> int:
    """How many pixels wide a picture is on a page.  A PNG file has its own width in bytes 16 to 19."""
    return int.from_bytes(png[16:20], "big") * SHOWN // DPI


def panels(size: tuple[float, float], columns: int = 1, rows: int = 1) -> tuple["Figure", np.ndarray]:
    """A new figure of `size` inches (width, height) and its panels, row after row in a flat array."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False).flatten()


def curve(ax: "Axes", number: int, x: Any, y: Any, name: str, marker: str = "") -> None:
    """Draw curve `number` of a picture: the number picks its color and line style."""
    ax.plot(x, y, marker + STYLES[number % len(STYLES)], color=COLORS[number % len(COLORS)], label=name, lw=1.8)


def finish(ax: "Axes", xlabel: str, ylabel: str = "", title: str = "", legend: bool = True) -> None:
    """Name the axes of a panel of curves, and add a grid and a legend."""
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.grid(alpha=0.25)
    if legend:
        ax.legend()


def curves(
    size: tuple[float, float],
    titles: Sequence[str],
    columns: Mapping[str, Sequence[Any]],
    xlabel: str,
    ylabel: str = "",
    marker: str = "",
) -> tuple["Figure", np.ndarray]:
    """A figure with one panel of curves per title.  columns: name -> its x, then its y in each panel."""
    figure, axes = panels(size, len(titles))
    for panel, (ax, title) in enumerate(zip(axes, titles), 1):
        for number, (name, column) in enumerate(columns.items()):
            curve(ax, number, column[0], column[panel], name, marker)
        finish(ax, xlabel, ylabel, title, legend=panel == 1)
    return figure, axes


def strip(
    rows: Sequence[Iterable[Any]],
    titles: Sequence[str],
    width: float,
    height: float,
    labels: Sequence[str] = (),
    limits: tuple[float | None, float | None] = (None, None),
) -> tuple["Figure", np.ndarray]:
    """A figure with rows of images, titles above the first row and a label beside each row; its panels in a flat array.

    rows: images [H, W] or [H, W, 3], not blurred; each reaches from 0 to 1 both down and right, whatever its size.
    width: of one column, in inches.  height: of the figure.  limits: values of the darkest and the brightest color of
    images [H, W].
    """
    figure, axes = panels((width * len(titles), height), len(titles), len(rows))
    least, most = limits
    for ax, image in zip(axes, (image for row in rows for image in row)):
        tall = image.shape[0] / image.shape[1]
        ax.imshow(image, interpolation="nearest", vmin=least, vmax=most, extent=(0, 1, 1, 0), aspect=tall)
        ax.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
    for ax, title in zip(axes, titles):
        ax.set_title(title, fontsize=10)
    for ax, label in zip(axes[:: len(titles)], labels):
        ax.set_ylabel(label, fontsize=10)
    return figure, axes


def frame_of(canvas: "FigureCanvasAgg") -> np.ndarray:
    """Draw a canvas; what it shows now, uint8 [H, W, 3], as a frame of a film."""
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def require_matplotlib() -> None:
    """Raise ValueError if matplotlib is missing, before anything is computed."""
    if find_spec("matplotlib") is None:
        raise ValueError("pictures need matplotlib, which is not installed; run: pip install 'minivjepa[figures]'")
