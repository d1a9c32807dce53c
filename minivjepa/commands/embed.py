"""`minivjepa embed`: the features of a video clip, from a run of ours or from released weights, as a file and a picture.

Read in lesson 10.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import tyro

from minivjepa.ablation import versions
from minivjepa.data.video import IMAGENET_MEAN, IMAGENET_STD, read_clip
from minivjepa.devices import pick_device
from minivjepa.encoder import Encoder
from minivjepa.figures import require_matplotlib
from minivjepa.options import parse, plain_errors
from minivjepa.pretrained import load_pretrained
from minivjepa.protocol import CLIPS
from minivjepa.recipe import build_model
from minivjepa.runs import Run, write_atomically


@dataclass(frozen=True)
class EmbedOptions:
    """Write the features of one clip of a video file: an .npz with features float32 [t, h, w, D], the seconds [t, tubelet]
    of the frames in every tubelet, and where all of it came from.
    """

    clip: tyro.conf.Positional[Path]
    """Video file."""
    weights: str
    """Folder that `minivjepa train` left; or released V-JEPA weights: a folder, a .safetensors or .pt file, a hub name."""
    out: Path
    """The .npz to write; it must not exist yet."""
    picture: Path | None = None
    """Also draw the features: their first three principal components as colours, as a .png, or a .gif over the frames."""
    target: bool = False
    """Use the target encoder instead of the online one."""
    size: tuple[int, int, int] | None = None
    """Frames, height and width (pixels) that released weights see; None: what they were made for."""
    heads: int | None = None
    """Attention heads of released weights of an unusual width."""
    start: float = 0.0
    """Second of the video at which the clip starts."""
    stride: int = 2
    """Source frames per clip frame."""
    device: str = "auto"
    """auto (cuda if there is one, else cpu), cpu, cuda or mps."""


@dataclass(frozen=True)
class Eye:
    """An encoder, how pixels are normalised for it, and what it is."""

    encoder: Encoder
    mean: tuple[float, ...]
    std: tuple[float, ...]
    made_of: dict[str, object]


def open_weights(options: EmbedOptions) -> Eye:
    """The encoder that was asked for.  Raises ValueError if there is none such."""
    folder = Path(options.weights)
    if (folder / "config.json").exists() and (folder / "metrics.jsonl").exists():
        if options.size or options.heads:
            raise ValueError(f"{folder} is a run of minivjepa, which knows its --size and --heads; leave them out")
        run = Run(folder)
        config, data = run.config()
        model = build_model(config)
        state = run.restore(model, config)
        if state is None:
            raise ValueError(f"{folder} holds no checkpoint.pt yet; train further with --resume, then embed")
        online, target, layout = model.encoder, model.target_encoder, f"minivjepa, step {state['step']}"
        mean, std = ((CLIPS.mean,) * 3, (CLIPS.std,) * 3) if data == "digits" else (IMAGENET_MEAN, IMAGENET_STD)
    else:
        released = load_pretrained(options.weights, options.size, options.heads)
        online, target, layout = released.encoder, released.target_encoder, released.layout
        mean, std = IMAGENET_MEAN, IMAGENET_STD
    if options.target and target is None:
        raise ValueError(f"{options.weights} holds no target encoder; leave out --target")
    encoder = target if options.target and target is not None else online
    which = "target" if options.target else "online"
    return Eye(encoder.eval(), mean, std, {"weights": options.weights, "layout": layout, "encoder": which})


def check_new_file(path: Path, suffixes: tuple[str, ...], option: str) -> None:
    """Raise ValueError unless a new file of that kind can be written there."""
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
        mean, std = (torch.tensor(v).reshape(-1, 1, 1) for v in (eye.mean, eye.std))
        pixels = ((frames / 255 - mean) / std).transpose(0, 1)[None]  # [1, C, T, H, W]
        tokens = eye.encoder.to(device)(pixels.to(device))[0].float().cpu()
        features = tokens.reshape(*grid.shape, -1).numpy()
        source = {
            "clip": options.clip.name, "start": options.start, "stride": options.stride, "grid": asdict(grid), **eye.made_of,
            "date": time.strftime("%Y-%m-%d"), "versions": versions(),
        }  # fmt: skip
        arrays = {
            "features": features, "seconds": np.array(seconds).reshape(-1, grid.tubelet), "provenance": np.array(json.dumps(source)),
        }  # fmt: skip
        write_atomically(options.out, lambda file: np.savez(file, **arrays))
        if options.picture is not None:
            from minivjepa.figures.features import feature_animation, feature_strip

            shown = frames.permute(0, 2, 3, 1).numpy()
            draw = feature_strip if options.picture.suffix.lower() == ".png" else feature_animation
            draw(shown, features).save(options.picture)
    t, h, w, d = features.shape
    print(
        f"{options.out}: features [{t}, {h}, {w}, {d}] of {options.clip.name}, {seconds[0]:.2f} to {seconds[-1]:.2f} s"
    )
    return 0
