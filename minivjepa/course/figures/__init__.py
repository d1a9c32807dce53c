"""Every picture of the course, each with alt text and a visible caption; what they share is here."""

import base64
import io
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colors, which people with any color vision can tell apart
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", "-.", ":")


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure with what it shows: `alt` for people who cannot see it, `caption` for all."""

    figure: "Figure"
    alt: str
    caption: str

    def png(self) -> bytes:
        """The figure as a PNG file."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", facecolor="white")
        return buffer.getvalue()

    def save(self, path: Path) -> None:
        """Write the PNG to a path."""
        path.write_bytes(self.png())

    def html(self) -> str:
        """A <figure> with the picture inside it: needs no file and no network."""
        data = base64.b64encode(self.png()).decode()
        return (
            f'<figure><img alt="{escape(self.alt)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(self.caption)}</figcaption></figure>"
        )


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
        ax.legend(fontsize=8)


def show(ax: "Axes", image: Any, title: str = "") -> None:
    """Draw an image without blurring its pixels, without ticks, under a small title."""
    ax.imshow(image, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_title(title, fontsize=8)


def require_matplotlib() -> None:
    """Raise ValueError if matplotlib is missing, before anything is computed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ValueError(
            "pictures need matplotlib, which is not installed; run: pip install 'minivjepa[figures]'"
        ) from None
