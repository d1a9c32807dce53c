"""Lesson 6: kinds of collapse, and a loss that lies."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from minivjepa.collapse import token_metrics
from minivjepa.figures import Picture, curves, panels

SHOWN = 40  # clips that are drawn


def kinds_of_collapse(features: Mapping[str, Tensor]) -> Picture:
    """Features [B, N, D] by name: one clip per row, first token and last token side by side, and the metrics below."""
    figure, axes = panels((2.4 * len(features), 4.4), len(features))
    said = []
    for ax, (name, h) in zip(axes, features.items()):
        pair = h[:SHOWN, [0, -1]].flatten(1).numpy()  # [clips, 2 D]
        ax.imshow(pair, cmap="cividis", aspect="auto", interpolation="nearest", vmin=-2, vmax=2)
        ax.axvline(h.shape[2] - 0.5, color="white", lw=2)
        numbers = token_metrics(h)
        lines = (
            f"feature std {numbers['feature_std']:.3f}\nwithin-clip std {numbers['position_std']:.3f}\n"
            f"effective rank {numbers['effective_rank']:.0f} of {h.shape[2]}"
        )
        ax.set(title=name, xticks=[], yticks=[], xlabel=lines)
        said.append(f"{name}: {lines}".replace("\n", ", "))
    figure.supylabel("clips")
    return Picture(
        figure,
        f"{len(features)} panels of features, one row per clip, first and last token beside each other. {'; '.join(said)}.",
        "Each row is a clip: its first token left of the white line, its last token right of it. Look down a column: if it doesn't change, "
        "you can't tell the clips apart.",
    )


def loss_and_spread(histories: Mapping[str, Sequence[tuple[int, float, float]]], until: int | None = None) -> Picture:
    """Per name, (step, loss, feature std) over training: two panels.  until: the last step, if it's still to come."""
    titles = ("Loss: lower is better?", "Feature std across clips: 0 is collapse")
    columns = {name: tuple(zip(*rows)) for name, rows in histories.items()}
    figure, axes = curves((10, 3.6), titles, columns, "training step")
    for ax in axes:
        ax.set_yscale("log")
        low, high = ax.get_ylim()
        ax.set(
            xlim=(None, until), ylim=(min(low, 0.01), max(high, 1.5))
        )  # so that slightly less spread does not look like collapse
    axes[0].get_legend().remove()  # it would lie on a curve
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(histories))
    ends = "; ".join(
        f"{name}: loss {rows[-1][1]:.3f}, feature std {rows[-1][2]:.3f}" for name, rows in histories.items()
    )
    return Picture(
        figure,
        f"Two panels over training steps, loss and feature standard deviation. At the end: {ends}.",
        "On the left, what training sees. On the right, what it doesn't: how much features of different clips differ. "
        f"At the end: {ends}.",
    )
