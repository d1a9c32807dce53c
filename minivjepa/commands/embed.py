"""`minivjepa embed`: a clip's features, from a run or released weights, as a file and a picture.  Read in lesson 10."""

import io
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro

from minivjepa.commands.options import check_new_file, parse
from minivjepa.data import pixel_scale
from minivjepa.data.video import IMAGENET_MEAN, IMAGENET_STD, Color, normalise, read_clip
from minivjepa.encoder import Encoder
from minivjepa.figures import require_matplotlib
from minivjepa.released.load import load_pretrained
from minivjepa.training.devices import pick_device
from minivjepa.training.files import versions, write_bytes
from minivjepa.training.runs import trained

IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)


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


def open_weights(options: EmbedOptions) -> tuple[Encoder, tuple[Color, Color], dict[str, str]]:
    """The requested encoder, mean and std of its pixels, and its provenance.  Raises ValueError if there is none."""
    folder = Path(options.weights)
    if (folder / "config.json").exists() and (folder / "metrics.jsonl").exists():
        if any(option is not None for option in (options.size, options.heads, options.positions)):
            raise ValueError(f"{folder} is a run, which knows its --size, --heads and --positions; leave them out")
        model, config, data, step = trained(folder)
        have = {"online": model.encoder, "target": model.target_encoder}
        usual, layout, pixels = "online", f"minivjepa, step {step}", pixel_scale(data, config.clips)
    else:
        parts = ("encoder", "target_encoder")
        found = load_pretrained(options.weights, options.size, options.heads, positions=options.positions, parts=parts)
        have = {"online": found.encoder, "target": found.target_encoder}
        usual, layout, pixels = "online" if found.target_encoder is None else "target", found.layout, IMAGENET
    which = usual if options.which == "auto" else options.which
    encoder = have[which]
    if encoder is None:
        other = "online" if which == "target" else "target"
        raise ValueError(f"{options.weights} holds no {which} encoder; use --which {other}")
    name = "the only one" if layout == "hugging-face" else which  # Hugging Face has one encoder, the EMA copy
    return encoder.eval(), pixels, {"weights": options.weights, "layout": layout, "encoder": name}


@torch.no_grad()
def embed(argv: list[str]) -> int:
    """The embed command."""
    options = parse(EmbedOptions, argv, "embed")
    check_new_file(options.out, (".npz",), "--out")
    picture = options.picture
    if picture is not None:
        require_matplotlib()
        check_new_file(picture, (".png", ".gif"), "--picture")
    if options.stride < 1 or options.start < 0:
        raise ValueError(f"--stride is {options.stride} and --start {options.start}; expected 1 or more, and 0 or more")
    device = pick_device(options.device)
    encoder, (mean, std), made_of = open_weights(options)
    grid = encoder.grid
    frames, seconds = read_clip(options.clip, grid, options.start, options.stride)
    pixels = normalise(frames, mean, std)[None]  # [1, C, T, H, W]
    tokens = encoder.to(device)(pixels.to(device))[0].float().cpu()
    if not bool(tokens.isfinite().all()):
        raise ValueError(f"{options.weights} gives features that are not finite; are these weights damaged?")
    features = tokens.reshape(*grid.shape, -1).numpy()
    source = {
        "clip": options.clip.name, "start": options.start, "stride": options.stride, "grid": asdict(grid), **made_of,
        "date": time.strftime("%Y-%m-%d"), "versions": versions(),
    }  # fmt: skip
    times, packed = np.array(seconds).reshape(-1, grid.tubelet), io.BytesIO()
    np.savez(packed, features=features, seconds=times, provenance=np.array(json.dumps(source)))
    files = {options.out: packed.getvalue()}
    if picture is not None:
        from minivjepa.figures.feature_colors import feature_animation, feature_strip, gif

        shown, title = frames.permute(0, 2, 3, 1).numpy(), picture.stem.encode(errors="replace").decode()
        still = picture.suffix.lower() == ".png"
        drawn = feature_strip(shown, features, title).png() if still else gif(feature_animation(shown, features))
        files[picture] = drawn
    for path, data in files.items():  # all of them are made before anything is written
        write_bytes(path, data)
    span = f"{seconds[0]:.2f} to {seconds[-1]:.2f} s"
    print(f"{options.out}: features {list(features.shape)} of {options.clip.name}, {span}")
    return 0
