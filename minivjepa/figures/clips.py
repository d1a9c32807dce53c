"""Lessons 1 and 2: what clips and masks look like."""

from matplotlib.figure import Figure
from torch import Tensor

from minivjepa.figures import Picture
from minivjepa.protocol import CLIPS


def film_strip(clip: Tensor, rows: list[str]) -> Picture:
    """Frames of digit clips [B, C, T, H, W] side by side, one row a clip; rows: what to write beside each."""
    shown = (clip * CLIPS.std + CLIPS.mean).clamp(0, 1).permute(0, 2, 3, 4, 1).cpu().numpy()  # [B, T, H, W, C]
    clips, frames = shown.shape[:2]
    figure = Figure(figsize=(1.2 * frames, 1.35 * clips), layout="constrained")
    for number, ax in enumerate(figure.subplots(clips, frames, squeeze=False).flat):
        clip_number, frame = divmod(number, frames)
        ax.imshow(shown[clip_number, frame], interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        if frame == 0:
            ax.set_ylabel(rows[clip_number], fontsize=8)
        if clip_number == 0:
            ax.set_title(f"frame {frame}", fontsize=8)
    return Picture(
        figure,
        f"{clips} clips of {frames} frames. " + "; ".join(rows) + ".",
        "Real handwriting moving at constant speed over a noisy frame whose ends are joined.",
    )
