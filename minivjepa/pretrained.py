"""Released weights in the classes of this package: from a file, a folder or the Hugging Face hub.

Read in lesson 10.  layouts.py says how their names and shapes become ours.
"""

import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from minivjepa.encoder import Encoder
from minivjepa.layouts import POSITION_TABLES, State, from_hugging_face, from_original
from minivjepa.predictor import Predictor
from minivjepa.tubelets import Grid, sincos_positions

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
EXTRA = "pip install 'minivjepa[parity]'"
HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16, 1408: 22}  # of the published encoders, by width


@dataclass(frozen=True)
class Pretrained:
    """Released networks in evaluation mode.  layout: hugging-face or original; source: where they came from."""

    encoder: Encoder
    target_encoder: Encoder | None
    predictor: Predictor | None
    layout: str
    source: str


def read_weights(source: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """(what the file holds, the config.json beside it or {}) of a folder, a .safetensors or .pt file, or a hub name.

    Nothing in a file is ever executed.  Raises ValueError for what is missing, unreadable or not only weights.
    """
    path = Path(source)
    if not path.exists():
        if not HUB_NAME.fullmatch(source) or source.endswith((".pt", ".pth", ".safetensors")):
            raise ValueError(f"{source} does not exist; give a folder, a .safetensors or .pt file, or a hub name")
        path = fetch(source)
    try:
        if path.is_dir():
            files = sorted(path.glob("*.safetensors"))
            if not files or not (path / "config.json").exists():
                raise ValueError(
                    f"{path} holds no config.json with .safetensors beside it; give the weights file itself"
                )
            config = json.loads((path / "config.json").read_text(encoding="utf-8"))
            return {key: value for file in files for key, value in read_safetensors(file).items()}, config
        if path.suffix == ".safetensors":
            return read_safetensors(path), {}
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True), {}
    except (OSError, RuntimeError, json.JSONDecodeError, pickle.UnpicklingError) as error:
        raise ValueError(
            f"{path} cannot be read as weights ({str(error).splitlines()[0]}). A pickle that holds more than tensors is "
            "refused, never executed; convert it to safetensors where you trust it"
        ) from None


def read_safetensors(path: Path) -> State:
    """The tensors of one file.  Raises ValueError where safetensors is missing, or the file is damaged."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise ValueError(f"{path} needs safetensors, which is not installed; run: {EXTRA}") from None
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file ({error}); fetch it again") from None


def fetch(name: str) -> Path:
    """Download a model from the Hugging Face hub, or find it in its cache.  Raises ValueError where that fails."""
    by_hand = "download its config.json and model.safetensors by hand into a folder, and give that folder"
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ValueError(f"{name} is no path here, and for the hub run: {EXTRA}; or {by_hand}") from None
    try:
        return Path(snapshot_download(name, allow_patterns=["config.json", "*.safetensors"]))
    except Exception as error:  # offline, unknown name, no permission: the hub has many kinds
        raise ValueError(f"{name} could not be fetched from the hub ({type(error).__name__}); {by_hand}") from None


def load_pretrained(
    source: str, clip: tuple[int, int, int] | None = None, heads: int | None = None, predictor_heads: int | None = None
) -> Pretrained:
    """Encoders and predictor with released weights, in evaluation mode.

    clip: (frames, height, width) that they will see; default: what config.json says, else 16 x 256 x 256 (V-JEPA 1:
    16 x 224 x 224).  heads: needed for widths that no released model has.  Raises ValueError for what does not fit.
    """
    held, config = read_weights(source)
    if not isinstance(held, Mapping):
        raise ValueError(f"{source} holds a {type(held).__name__}, expected a dict of tensors")
    layout = "original" if "encoder" in held or "target_encoder" in held else "hugging-face"
    where = f"{source}, read in the {layout} layout,"
    try:
        state = from_original(held) if layout == "original" else from_hugging_face(held)
    except ValueError as error:
        raise ValueError(f"{where} {error}") from None
    tables = {key: state.pop(key) for key in list(state) if key.endswith(POSITION_TABLES)}
    embedding = next((state[key] for key in state if key.endswith("encoder.embed.project.weight")), None)
    if embedding is None or embedding.ndim != 5:
        raise ValueError(
            f"{where} holds no tubelet embedding [D, C, tubelet, patch, patch]; it begins with {list(held)[:3]}"
        )
    side = config.get("crop_size", 224 if tables else 256)
    frames, height, width = clip or (config.get("frames_per_clip", 16), side, side)
    dim, channels, tubelet, patch, _ = embedding.shape
    grid = Grid(frames, height, width, tubelet, patch, channels)
    scheme = "sincos" if tables else "rotary-tiled"
    heads = heads or config.get("num_attention_heads") or HEADS.get(dim)
    if heads is None:
        raise ValueError(f"{where} is {dim} wide, as no released model is; say how many attention heads it has")
    check_tables(tables, grid, where)
    parts: dict[str, State] = {name: {} for name in ("encoder", "target_encoder", "predictor")}
    for key, value in state.items():
        part, _, name = key.partition(".")
        if part not in parts:
            raise ValueError(f"{where} has the unknown key {key}")
        parts[part][name] = value
    networks: dict[str, Any] = {}
    for name in ("encoder", "target_encoder"):
        if parts[name]:
            networks[name] = Encoder(grid, dim, blocks_in(parts[name]), heads, scheme)
    if parts["predictor"]:
        inner, groups = (len(parts["predictor"].get(key, [])) for key in ("enter.bias", "mask_tokens"))
        predictor_heads = predictor_heads or config.get("pred_num_attention_heads") or (heads if tables else 12)
        depth = blocks_in(parts["predictor"])
        networks["predictor"] = Predictor(grid, dim, inner, depth, predictor_heads, groups, scheme)
    for name, network in networks.items():
        fill(network, parts[name], f"{where} {name}:")
        network.eval()
    encoder = networks.get("encoder") or networks["target_encoder"]
    return Pretrained(encoder, networks.get("target_encoder"), networks.get("predictor"), layout, source)


def blocks_in(state: State) -> int:
    """How many blocks a network has, by its keys."""
    return len({key.split(".")[1] for key in state if key.startswith("blocks.")})


def check_tables(tables: State, grid: Grid, where: str) -> None:
    """Raise ValueError if V-JEPA 1's stored position tables are not what this package computes for the clip."""
    for key, table in tables.items():
        expected = sincos_positions(grid, table.shape[-1])
        if table.shape[1:] != expected.shape or not torch.allclose(table[0].float(), expected, atol=1e-5):
            raise ValueError(
                f"{where} has {key} of shape {tuple(table.shape)}, which is not the sine-cosine table {tuple(expected.shape)} of "
                f"a clip of {grid.frames} x {grid.height} x {grid.width}; say which clip the weights are for"
            )


def fill(network: nn.Module, given: State, where: str) -> None:
    """Load weights strictly.  Raises ValueError with the first keys that are missing, unknown or of another shape."""
    own = network.state_dict()
    given = {key: value.flatten(1) if key == "embed.project.weight" else value for key, value in given.items()}
    problems = [f"{key} is missing" for key in own if key not in given]
    problems += [f"{key} is unknown" for key in given if key not in own]
    problems += [
        f"{key} is {tuple(value.shape)}, expected {tuple(own[key].shape)}"
        for key, value in given.items()
        if key in own and value.shape != own[key].shape
    ]
    if problems:
        more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
        raise ValueError(f"{where} {'; '.join(problems[:4])}{more}")
    network.load_state_dict(given)
