"""`minivjepa embed`: the features of a video clip, from a run or from released weights, as a file and a picture.

Read in lesson 10.
"""

import io
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro

from minivjepa.commands.options import parse, plain_errors
from minivjepa.course.figures import require_matplotlib
from minivjepa.data import PIXELS
from minivjepa.data.video import IMAGENET_MEAN, IMAGENET_STD, Color, normalise, read_clip
from minivjepa.encoder import Encoder
from minivjepa.released.load import load_pretrained
from minivjepa.training.devices import pick_device
from minivjepa.training.files import versions, write_bytes
from minivjepa.training.recipe import build_model
from minivjepa.training.runs import Run


@dataclass(frozen=True)
class EmbedOptions:
    """Write the features of one clip of a video file: an .npz with features float32 [t, h, w, D], the seconds [t, tubelet]
    of the frames in each tubelet, and their provenance.
    """

    clip: tyro.conf.Positional[Path]  # Video file.
    weights: str
    """A folder from `minivjepa train`; or released V-JEPA weights: a folder, a .safetensors or .pt file, a hub name."""
    out: Path  # The .npz to write; it must not exist yet.
    picture: Path | None = None
    """Also draw the features: their first three principal components as colors, as a .png, or a .gif over the frames."""
    which: Literal["auto", "online", "target"] = "auto"
    """Which encoder: auto is the online one for a run, and for released weights the target encoder if there is one."""
    size: tuple[int, int, int] | None = None
    """Frames, height and width (pixels) of the clip for released weights; None: the size they were trained on."""
    heads: int | None = None  # Attention heads, for released weights of an unusual width.
    positions: str | None = None  # sincos (V-JEPA 1) or rotary-tiled (V-JEPA 2), for released weights that do not say.
    start: float = 0.0  # Second of the video at which the clip starts.
    stride: int = 2  # Source frames per clip frame.
    device: str = "auto"  # auto (cuda if there is one, else cpu), cpu, cuda or mps.


@dataclass(frozen=True)
class Eye:
    """An encoder, the mean and standard deviation of its pixels, and its provenance."""

    encoder: Encoder
    mean: Color
    std: Color
    made_of: dict[str, object]


def open_weights(options: EmbedOptions) -> Eye:
    """The requested encoder.  Raises ValueError if the weights do not hold it."""
    folder = Path(options.weights)
    if (folder / "config.json").exists() and (folder / "metrics.jsonl").exists():
        return open_run(folder, options)
    released = load_pretrained(
        options.weights, options.size, options.heads, positions=options.positions, parts=("encoder", "target_encoder")
    )
    have = {"target": released.target_encoder, "online": released.encoder}
    which = options.which if options.which != "auto" else "target" if released.target_encoder is not None else "online"
    only = "the only one" if released.layout == "hugging-face" else which  # Hugging Face has one encoder, the EMA copy
    return pick(have, which, options.weights, IMAGENET_MEAN, IMAGENET_STD, {"layout": released.layout, "encoder": only})


def open_run(folder: Path, options: EmbedOptions) -> Eye:
    """An encoder of a run of minivjepa.  Raises ValueError if it has no checkpoint yet."""
    if options.size or options.heads or options.positions:
        raise ValueError(
            f"{folder} is a run of minivjepa, which knows its --size, --heads and --positions; leave them out"
        )
    run = Run(folder)
    config, data = run.config()
    model = build_model(config)
    state = run.restore(model, config)
    if state is None:
        raise ValueError(f"{folder} holds no checkpoint.pt yet; train further with --resume, then embed")
    have, which = {"online": model.encoder, "target": model.target_encoder}, options.which.replace("auto", "online")
    mean, std = PIXELS.get(data, (IMAGENET_MEAN, IMAGENET_STD))
    return pick(have, which, str(folder), mean, std, {"layout": f"minivjepa, step {state['step']}", "encoder": which})


def pick(
    have: dict[str, Encoder | None], which: str, source: str, mean: Color, std: Color, made_of: dict[str, object]
) -> Eye:
    """The encoder named `which`.  Raises ValueError if there is none."""
    encoder = have[which]
    if encoder is None:
        other = next(name for name in have if name != which)
        raise ValueError(f"{source} holds no {which} encoder; use --which {other}")
    return Eye(encoder.eval(), mean, std, {"weights": source, **made_of})


def check_new_file(path: Path, suffixes: tuple[str, ...], option: str) -> None:
    """Raise ValueError unless `path` is new, in an existing folder, and ends in one of the suffixes."""
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{option} is {path}, expected a name ending in {' or '.join(suffixes)}")
    if path.exists() or not path.absolute().parent.is_dir():
        trouble = "exists already" if path.exists() else "is in no existing folder"
        raise ValueError(f"{option} {path} {trouble}; choose another place")


@torch.no_grad()
def embed(argv: list[str]) -> int:
    """The embed command."""
    options = parse(EmbedOptions, argv, "embed")
    with plain_errors():
        check_new_file(options.out, (".npz",), "--out")
        if options.picture is not None:
            require_matplotlib()
            check_new_file(options.picture, (".png", ".gif"), "--picture")
        if options.stride < 1 or options.start < 0:
            raise ValueError(
                f"--stride is {options.stride} and --start {options.start}; expected 1 or more, and 0 or more"
            )
        device = pick_device(options.device)
        eye = open_weights(options)
        grid = eye.encoder.grid
        frames, seconds = read_clip(options.clip, grid, options.start, options.stride)
        pixels = normalise(frames, eye.mean, eye.std)[None]  # [1, C, T, H, W]
        tokens = eye.encoder.to(device)(pixels.to(device))[0].float().cpu()
        if not bool(tokens.isfinite().all()):
            raise ValueError(f"{options.weights} gives features that are not finite; are these weights damaged?")
        features = tokens.reshape(*grid.shape, -1).numpy()
        drawn = draw(options.picture, frames, features)  # before anything is written
        source = {
            "clip": options.clip.name, "start": options.start, "stride": options.stride, "grid": asdict(grid), **eye.made_of,
            "date": time.strftime("%Y-%m-%d"), "versions": versions(),
        }  # fmt: skip
        arrays = {
            "features": features, "seconds": np.array(seconds).reshape(-1, grid.tubelet), "provenance": np.array(json.dumps(source)),
        }  # fmt: skip
        packed = io.BytesIO()
        np.savez(packed, **arrays)
        write_bytes(options.out, packed.getvalue())
        if options.picture is not None:
            write_bytes(options.picture, drawn)
        t, h, w, d = features.shape
        print(
            f"{options.out}: features [{t}, {h}, {w}, {d}] of {options.clip.name}, {seconds[0]:.2f} to {seconds[-1]:.2f} s"
        )
    return 0


def draw(picture: Path | None, frames: torch.Tensor, features: np.ndarray) -> bytes:
    """The bytes of the picture's file, in the format of its suffix; empty if no picture is wanted."""
    if picture is None:
        return b""
    from minivjepa.course.figures.feature_colors import feature_animation, feature_strip

    shown = frames.permute(0, 2, 3, 1).numpy()
    return (
        feature_strip(shown, features, picture.stem).png()
        if picture.suffix.lower() == ".png"
        else feature_animation(shown, features).gif()
    )
