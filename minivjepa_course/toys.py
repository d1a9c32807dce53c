"""Toys: pages that run in the reader's browser, with or without a kernel: lesson 2 paints, 5 drags, 7 walks, 12 plans, 0 and 6 train.

A toy is one HTML page in the folder toys/, with its own script and no network.
"""

import base64
import io
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from minivjepa.figures.film_strips import digit_frames
from minivjepa.tubelets import Grid
from minivjepa.world.rooms import Rooms

PLACES = 22  # in a row, and in a column, of the table of latents behind watched_plans


def page(name: str, data: Mapping[str, object]) -> str:
    """The page of a toy, with its data in it."""
    text = (Path(__file__).parent / "toys" / f"{name}.html").read_text(encoding="utf-8")
    return text.replace(">DATA<", f">{json.dumps(data, separators=(',', ':'))}<")


def toy(name: str, height: int, alt: str, caption: str, data: Mapping[str, object]) -> None:
    """Display a toy in a frame of its own, `height` pixels high; its alt text where scripts can't run, and a caption below."""
    from IPython.display import Markdown, display

    frame = (
        f'<iframe title="{escape(alt)}" sandbox="allow-scripts" style="width: 100%; height: {height}px; border: 0" '
        f'srcdoc="{escape(page(name, data))}">{escape(alt)} Run this cell to play with it.</iframe>'
    )
    display({"text/html": frame, "text/plain": alt}, raw=True)
    display(Markdown(f"*{caption}*"))


def mask_painter(grid: Grid, index: int, samples: Mapping[str, Tensor]) -> None:
    """A clip of moving handwriting on which one paints a tube mask.

    samples: what the buttons show, "short" and "long" -> bool [any number, h*w], True where a patch is hidden.
    """
    frames = (255 * digit_frames(grid, index)).round().astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(np.hstack(list(frames))).quantize(64).save(png, "png")
    data = {
        "shape": grid.shape,
        "frames": grid.frames,
        "size": grid.height,
        "strip": f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}",
        "samples": {name: [mask.nonzero().flatten().tolist() for mask in masks] for name, masks in samples.items()},
    }
    toy(
        "painter",
        600,
        f"A clip of moving handwriting, cut into {grid.shape[1]} by {grid.shape[2]} patches that you can hide, and the tubes that they make.",
        "Paint a mask. A hidden patch is hidden in all frames, so it's a tube. The buttons show blocks from V-JEPA's sampler.",
        data,
    )


def dragged_dots() -> None:
    """V-JEPA with two clips and two numbers a feature: does the student collapse?"""
    toy(
        "dots",
        540,
        "Two dots, the student's features of two clips, and two rings, the teacher's; they move by gradient descent, and meet or stay apart.",
        "Two clips, A and B, and two numbers per feature. The predictor multiplies a feature by a slope and adds a shift; both are learned. "
        "15 % of the time what's visible misleads: the predictor gets the other clip's feature. The loss is a squared error on raw features. "
        "After Tian et al., arXiv 2102.06810.",
        {},
    )


def collapse_page(arm: str) -> None:
    """The Collapse Page (its source is page/), with the switches of an arm: "vjepa", "neither", ..."""
    toy(
        "collapse",
        1550,
        "A small V-JEPA that trains in your browser, with switches for stop-gradient, EMA, predictor and what is predicted, and curves of what happens.",
        "A small V-JEPA trains here, in your browser. Press play, then flip a switch.",
        {"arm": arm},
    )


def walked_hills() -> None:
    """The smallest V-JEPA, two numbers w and e: the update as arrows, with and without the stop, and walks along them."""
    toy(
        "hills",
        500,
        "A plane of arrows over w and e: the way an update moves them. Walks start where you click and end at a right prediction, w = 1, or in collapse, e = 0.",
        "Click to start a walk, then flip the stop: every walk starts again from its place. The loss is zero on both lines: dashed, the prediction is right; "
        "dotted, the encoder ignores its clip. Arrows show directions only; all are equally long.",
        {},
    )


def places(rooms: Rooms) -> Tensor:
    """Where the robot stands in the table of watched_plans, [PLACES * PLACES, 2], row by row."""
    line = torch.linspace(rooms.robot, 1 - rooms.robot, PLACES)
    return torch.cartesian_prod(line, line)


def watched_plans(rooms: Rooms, radius: float, views: Mapping[str, Tensor]) -> None:
    """Click a start and a goal, and watch the cross-entropy method plan.  views: what judges -> latents [PLACES * PLACES, Z] of `places`."""
    width = {latents.shape[1] for latents in views.values()}.pop()
    tables = []
    for name, z in views.items():
        whole = (127 * z / z.abs().max()).round().to(torch.int8).numpy()
        tables.append({"name": name, "latents": base64.b64encode(whole.tobytes()).decode()})
    lengths = {"robot": rooms.robot, "wall": rooms.wall, "door": rooms.door, "speed": rooms.speed, "radius": radius}
    data = {
        "world": {**lengths, "side": PLACES, "width": width},
        "views": tables,
        "start": [0.2, 0.25],
        "goal": [0.3, 0.8],
    }
    toy(
        "plans",
        640,
        "Two rooms in which you choose a start and a goal: a planner's clouds of imagined paths narrow round by round, then the robot walks.",
        "Click a start, then a goal. Four rounds: white paths are tried, yellow ones kept. Then the robot acts and plans anew at every step. The paths are true "
        "here, as if imagination were perfect; the menu says what measures the distance to the goal.",
        data,
    )
