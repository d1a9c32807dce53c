"""The diagram of the whole course: built part by part in lesson 4, and small at the top of every lesson."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle

from minivjepa.figures import HIDDEN, ROLES, Picture, panels
from minivjepa.figures.film_strips import digit_frames
from minivjepa.masking import RandomMask
from minivjepa.tubelets import Grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCENE = Grid(frames=8, height=32, width=32, tubelet=2, patch=8)
CENTERED = 23  # a clip whose digit stays inside the frame
STUDENT, TEACHER = 3.6, 1.0  # the heights of both lanes
# of 3 context vectors, 5 predictions and 8 features of the teacher
SHADES = np.random.default_rng(0).uniform(0.25, 1, (16, 5))
GRADIENT, LINE, FADED = "#c00000", "#444444", 0.2
LESSONS = {  # what each lesson is about; the parts' names are those of _parts
    "00": ("the whole of V-JEPA", None),
    "01": ("how a clip becomes tubelets", {"clip"}),
    "02": ("what is hidden", {"visible tubelets"}),
    "03": ("what is inside these three, and what they cost", {"online encoder", "predictor", "target encoder"}),
    "04": ("three components and what flows between them", None),
    "05": ("the loss, the stop and the EMA", {"loss", "stop", "EMA", "gradient"}),
    "06": ("features that die", {"context", "features"}),
    "07": ("taking the stop and the EMA away", {"stop", "EMA"}),
    "08": ("training it", {"gradient", "EMA", "loss"}),
    "09": ("what the trained encoder knows", {"online encoder", "context"}),
    "10": ("the released networks", {"online encoder", "predictor", "target encoder"}),
    "11": ("doing without the teacher", {"target encoder", "stop", "EMA"}),
    "12": ("planning with the predictor", {"predictor", "prediction"}),
}


def three_components(shapes: Mapping[str, Sequence[int]], parts: int = 3) -> Picture:
    """The first parts of V-JEPA as one drawing: 1 the online encoder, 2 the predictor too, 3 all.

    shapes: of "clip" and "context"; from 2 parts on "prediction"; with 3 "features" and "target".
    """
    said = defaultdict(str, {name: str(list(shape)) for name, shape in shapes.items()})
    order = ["clip", "visible tubelets", "online encoder", "context", "predictor", "prediction"]
    figure, [ax] = panels((11, 3.9))
    _parts(ax, set(order[: 4 if parts == 1 else 6]) if parts < 3 else None, faded=0.0, said=said)
    alt = (
        f"Diagram. The student, above: the visible tubelets of a clip {said['clip']} go through the online encoder to {said['context']}",
        f", and with mask tokens through the predictor to {said['prediction']}",
        f". The teacher, below: the same clip goes through the target encoder to {said['features']}, of which {said['target']} are kept. "
        "Both meet in the loss. The gradient, in red, runs back from there through predictor and online encoder, and is stopped on its way "
        "to the target encoder, which follows the online encoder by EMA, drawn as a clock",
    )
    caption = (
        f"The online encoder turns the visible tubelets into context vectors {said['context']}.",
        f"The predictor gets the context vectors and the places of the hidden tubelets. Its predictions: {said['prediction']}.",
        "The student (above) sees the visible tubelets and guesses the features of the hidden ones. The teacher (below) sees everything, "
        f"gets no gradient (red), and follows the student slowly. Context {said['context']}, prediction {said['prediction']}.",
    )
    return Picture(figure, "".join(alt[:parts]) + ".", caption[parts - 1])


def you_are_here(lesson: str) -> Picture:
    """The same diagram, small, with what a lesson is about in full color and everything else faded."""
    about, lit = LESSONS[lesson]
    figure, [ax] = panels((8.4, 2.95))
    _parts(ax, lit, faded=FADED, said=defaultdict(str))
    bright = "everything" if lit is None else ", ".join(sorted(lit))
    words = f"You are here: {about}."
    return Picture(figure, f"{words} The diagram of V-JEPA. In full color: {bright}.", words)


def _parts(ax: "Axes", lit: set[str] | None, faded: float, said: Mapping[str, str]) -> None:
    """Draw all parts; those not in `lit` only as opaque as `faded`.  None lights all."""
    ax.axis("off")
    opaque = defaultdict(lambda: 1.0 if lit is None else faded, dict.fromkeys(lit or (), 1.0))
    _clips(ax, opaque, said["clip"])
    for name, x, y in (("online encoder", 5.2, STUDENT), ("predictor", 9.4, STUDENT), ("target encoder", 5.2, TEACHER)):
        _box(ax, x, y, name.replace(" ", "\n"), ROLES[name], opaque[name])
    _box(ax, 14.3, 2.3, "loss", LINE, opaque["loss"])
    for part, role, x, y, columns, shape in (
        ("context", "online encoder", 7.3, STUDENT, SHADES[:3], said["context"]),
        ("prediction", "predictor", 11.5, STUDENT, SHADES[3:8], said["prediction"]),
        ("features", "target encoder", 7.3, TEACHER, SHADES[8:], said["features"]),
        ("features", "target encoder", 11.5, TEACHER, SHADES[8:][[1, 2, 4, 6, 7]], said["target"]),
    ):
        _vectors(ax, x, y, ROLES[role], opaque[part], columns)
        _say(ax, x, y - 0.75, shape, opaque[part], family="monospace")
    for part, start, end in (
        ("visible tubelets", (3.4, STUDENT), (4.1, STUDENT)), ("context", (6.25, STUDENT), (6.9, STUDENT)), ("predictor", (7.7, STUDENT), (8.35, STUDENT)),
        ("prediction", (10.45, STUDENT), (11.0, STUDENT)), ("loss", (12.0, STUDENT), (13.2, 2.65)), ("target encoder", (3.4, TEACHER), (4.1, TEACHER)),
        ("features", (6.2, TEACHER), (6.55, TEACHER)), ("features", (8.05, TEACHER), (10.95, TEACHER)), ("loss", (12.0, TEACHER), (13.2, 1.95)),
        ("predictor", (9.4, 4.6), (9.4, 4.1)),
    ):  # fmt: skip
        _arrow(ax, start, end, opaque[part])
    _say(ax, 9.4, 4.75, "mask tokens with places", opaque["predictor"])
    if said["features"]:
        _say(ax, 9.5, TEACHER - 0.25, "LayerNorm, keep hidden ones", opaque["features"])
    _gradient(ax, opaque)
    _clock(ax, opaque["EMA"])


def _clips(ax: "Axes", opaque: Mapping[str, float], shape: str) -> None:
    """The clip's first frame of each time step: covered above, whole below."""
    frames = digit_frames(SCENE, CENTERED)[:: SCENE.tubelet]
    [(seen,), _] = RandomMask(hide=0.625).sample(SCENE, seed=0, step=0, index=torch.arange(1))
    window = torch.zeros(SCENE.tokens).index_fill(0, seen, 1).reshape(SCENE.shape).numpy()
    window = window.repeat(SCENE.patch, axis=1).repeat(SCENE.patch, axis=2)[..., None]
    covered = np.where(window > 0, frames, to_rgb(HIDDEN))
    for name, y, shown in (("visible tubelets", STUDENT, covered), ("clip", TEACHER, frames)):
        for number, frame in enumerate(1 - opaque[name] * (1 - shown)):
            x, low = 0.15 + 0.62 * number, y - 0.68 + 0.08 * number
            ax.imshow(frame, interpolation="nearest", extent=(x, x + 1.2, low, low + 1.2), zorder=2 + number)
            ax.add_patch(Rectangle((x, low), 1.2, 1.2, fill=False, edgecolor="white", zorder=2 + number))
    ax.set(xlim=(0, 15.6), ylim=(-0.5, 5))
    _arrow(ax, (1.7, 1.85), (1.7, 2.75), opaque["visible tubelets"])
    _say(ax, 2.55, 2.3, "hide most", opaque["visible tubelets"])
    _say(ax, 1.7, STUDENT + 1, "visible tubelets", opaque["visible tubelets"])
    _say(ax, 1.7, TEACHER - 0.95, f"the clip {shape}".strip(), opaque["clip"])


def _gradient(ax: "Axes", opaque: Mapping[str, float]) -> None:
    """The gradient's way back from the loss, through predictor and online encoder; and the bar that stops it below."""
    for start, end in (((13.9, 2.75), (10.2, 4.1)), ((8.6, 4.1), (6.0, 4.1))):
        _arrow(ax, start, end, opaque["gradient"], GRADIENT, bent=0.28)
    _say(ax, 13.6, 4.2, "gradient", opaque["gradient"], color=GRADIENT)
    _arrow(ax, (13.8, 1.85), (12.75, 1.2), opaque["stop"], GRADIENT, bent=-0.2)
    ax.plot([12.4, 12.85], [1.35, 0.85], color=GRADIENT, lw=5, alpha=opaque["stop"], solid_capstyle="butt", zorder=6)
    _say(ax, 13.3, 0.75, "stop", opaque["stop"], color=GRADIENT)


def _clock(ax: "Axes", alpha: float) -> None:
    """The EMA: from the online encoder down to the target encoder, slowly."""
    _arrow(ax, (5.2, 3.1), (5.2, 1.5), alpha)
    ax.add_patch(Circle((5.2, 2.35), 0.33, facecolor="white", zorder=5))
    ax.add_patch(Circle((5.2, 2.35), 0.33, fill=False, edgecolor=LINE, lw=1.6, alpha=alpha, zorder=6))
    ax.plot([5.2, 5.2, 5.38], [2.58, 2.35, 2.35], color=LINE, lw=1.6, alpha=alpha, zorder=6)
    _say(ax, 6.95, 2.35, "EMA: follows slowly", alpha)


def _box(ax: "Axes", x: float, y: float, words: str, color: str, alpha: float) -> None:
    """A box with words in it."""
    box = FancyBboxPatch((x - 0.95, y - 0.45), 1.9, 0.9, "round,pad=0.06", facecolor=color, edgecolor="none", alpha=alpha)  # fmt: skip
    ax.add_patch(box)
    ax.text(x, y, words, ha="center", va="center", color="white", fontsize=11)


def _vectors(ax: "Axes", x: float, y: float, color: str, alpha: float, columns: np.ndarray) -> None:
    """A column of small squares for each vector, as strong as their shades [vectors, 5]."""
    left = x - 0.085 * len(columns)
    for column, row in np.ndindex(columns.shape):
        place = (left + 0.17 * column, y - 0.5 + 0.2 * row)
        ax.add_patch(Rectangle(place, 0.13, 0.17, facecolor=color, alpha=alpha * columns[column, row]))


def _say(
    ax: "Axes", x: float, y: float, words: str, alpha: float, color: str = LINE, family: str = "sans-serif"
) -> None:
    """Words around a point."""
    ax.text(x, y, words, ha="center", va="center", fontsize=10, alpha=alpha, color=color, family=family)


def _arrow(ax: "Axes", start: tuple[float, float], end: tuple[float, float], alpha: float, color: str = LINE, bent: float = 0.0) -> None:  # fmt: skip
    """An arrow; bent: how far from straight."""
    look = {"arrowstyle": "-|>", "color": color, "lw": 1.4 if color == LINE else 2, "alpha": alpha, "connectionstyle": f"arc3,rad={bent}"}  # fmt: skip
    ax.annotate("", end, start, arrowprops=look)
