"""Reading weights: a safetensors or torch.save file, a folder, or a model on the Hugging Face hub.

Read in lesson 10.  Nothing in a file is ever executed.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from minivjepa.released.names import State
from minivjepa.training.files import read_json

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
EXTRA = "pip install 'minivjepa[parity]'"


def read_weights(source: str) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """A folder, a .safetensors or .pt file, or a hub name -> (its contents, the config.json beside .safetensors or {}).

    Raises ValueError if it is missing or unreadable, or holds more than weights.
    """
    path = Path(source)
    if not path.exists():
        if not HUB_NAME.fullmatch(source) or source.endswith((".pt", ".pth", ".safetensors")) or path.parent.is_dir():
            raise ValueError(f"{source} does not exist; give a folder, a .safetensors or .pt file, or a hub name")
        path = fetch(source)
    folder = path if path.is_dir() else path.parent
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files or (path.is_dir() and not (path / "config.json").exists()):
        raise ValueError(f"{path} holds no config.json with .safetensors beside it; give the weights file itself")
    if files[0].suffix != ".safetensors":
        return read_pickle(path), {}
    held = {key: value for file in files for key, value in read_safetensors(file).items()}
    config = read_json(folder / "config.json") if (folder / "config.json").exists() else {}
    if not isinstance(config, dict):
        raise ValueError(f"{folder}/config.json holds a {type(config).__name__}, expected an object with the sizes")
    return held, config


def read_pickle(path: Path) -> Mapping[str, Any]:
    """Tensors in plain containers, from a torch.save file.  Raises ValueError for anything else."""
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a file that is not a checkpoint or holds more than tensors
        more = "Weights only" in str(error)
        why = "it holds more than tensors, which is refused, never executed" if more else "torch.save did not write it"
        raise ValueError(f"{path} cannot be read as weights: {why}; give a .safetensors or .pt file") from None
    if not isinstance(held, Mapping):
        raise ValueError(f"{path} holds a {type(held).__name__}, expected a dict of tensors")
    if {"config", "step", "model"} <= set(held):
        raise ValueError(f"{path} is a checkpoint of minivjepa; give its folder instead")
    return held


def read_safetensors(path: Path) -> State:
    """The tensors in a file.  Raises ValueError if safetensors is not installed, or if the file is damaged."""
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise ValueError(f"{path} needs safetensors, which is not installed; run: {EXTRA}") from None
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is not a complete safetensors file ({error}); fetch it again") from None


def fetch(name: str) -> Path:
    """Download a model from the Hugging Face hub, or find it in the hub's cache.  Raises ValueError if that fails."""
    by_hand = "download its config.json and model.safetensors by hand into a folder, and give that folder"
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise ValueError(f"{name} is not a path here; to fetch it from the hub run: {EXTRA}; or {by_hand}") from None
    try:
        return Path(snapshot_download(name, allow_patterns=["config.json", "*.safetensors*"]))
    except Exception as error:  # offline, unknown name, no permission: the hub raises many types
        raise ValueError(f"{name} could not be fetched from the hub ({type(error).__name__}); {by_hand}") from None
