"""Every picture of the course: one file a lesson, each picture with alt text and a visible caption."""

import base64
import io
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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


def require_matplotlib() -> None:
    """Raise ValueError, before anything is computed, where matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ValueError(
            "pictures need matplotlib, which is not installed; run: pip install 'minivjepa[figures]'"
        ) from None
