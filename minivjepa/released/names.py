"""Three layouts of the same weights, translated into the names of this package.

Read in lesson 10.  The layouts are Hugging Face's VJEPA2Model and Meta's checkpoints of V-JEPA 2 and V-JEPA 1.  They
differ from ours in names, in whether query, key and value are one matrix, and in the tubelet embedding: theirs is a
Conv3d [D, C, tubelet, patch, patch], ours has the same numbers as a Linear [D, values].
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from minivjepa.tubelets import Grid, sincos_positions

State = dict[str, Tensor]
# prefixes: theirs -> ours
HUGGING_FACE = {
    "encoder.embeddings.patch_embeddings.proj.": "encoder.embed.project.",
    "encoder.layernorm.": "encoder.norm.",
    "encoder.layer.": "encoder.blocks.",
    "predictor.embeddings.predictor_embeddings.": "predictor.enter.",
    "predictor.embeddings.mask_tokens": "predictor.mask_tokens",
    "predictor.layernorm.": "predictor.norm.",
    "predictor.layer.": "predictor.blocks.",
    "predictor.proj.": "predictor.leave.",
}
ORIGINAL = {"patch_embed.proj.": "embed.project."}
ORIGINAL_PREDICTOR = {
    "predictor_embed.": "enter.",
    "action_encoder.": "enter_action.",
    "state_encoder.": "enter_state.",
    "predictor_blocks.": "blocks.",
    "predictor_norm.": "norm.",
    "predictor_proj.": "leave.",
}
POSITION_TABLES = ("pos_embed", "predictor_pos_embed")  # V-JEPA 1 stores its fixed sine-cosine table
CAMERA = "extrinsics_encoder."  # V-JEPA 2-AC stores a layer for the camera's place, which it does not use


def swap(key: str, prefixes: Mapping[str, str]) -> str:
    """A key with its first matching prefix replaced."""
    for old, new in prefixes.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key


def unwrapped(key: str) -> str:
    """A key without what DistributedDataParallel, torch.compile, and wrappers of the model put before it."""
    return re.sub(r"^(module\.|backbone\.|vjepa2\.)+", "", key.replace("_orig_mod.", ""))


def check_tensors(state: Mapping[str, Any]) -> None:
    """Raise ValueError unless every key is a name and every value a tensor."""
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise ValueError(f"has {key!r} = {type(value).__name__}, expected names with tensors")


def from_hugging_face(state: Mapping[str, Tensor]) -> State:
    """VJEPA2Model's state dict under our names, without the parts of a classifier on top of it.

    Raises ValueError if one of query, key and value is missing, or if a value is not a tensor.
    """
    check_tensors(state)
    ours: State = {}
    kept = {unwrapped(key): value for key, value in state.items()}
    for key, value in kept.items():
        if key.startswith(("pooler.", "classifier.")):
            continue
        if ".attention.query." in key:
            three = [key.replace(".query.", f".{name}.") for name in ("query", "key", "value")]
            if not all(name in kept for name in three):
                raise ValueError(f"{', '.join(name for name in three if name not in kept)} is missing")
            key, value = key.replace(".query.", ".qkv."), torch.cat([kept[name] for name in three])
        elif ".attention.key." in key or ".attention.value." in key:
            continue
        elif key.endswith("mask_tokens"):
            value = value[:, 0, 0]
        ours[swap(key, HUGGING_FACE)] = value
    return ours


def from_original(checkpoint: Mapping[str, Any]) -> State:
    """Meta's checkpoint {"encoder", "target_encoder", "predictor"} of V-JEPA 1, 2 or 2-AC under our names.

    2-AC's unused layer for the camera is left out.  Raises ValueError if a part is not a dict of tensors.
    """
    ours: State = {}
    for part in ("encoder", "target_encoder", "predictor"):
        held, tokens = checkpoint.get(part, {}), {}
        if not isinstance(held, Mapping):
            raise ValueError(f"has a {type(held).__name__} as its {part}, expected a dict of tensors")
        check_tensors(held)
        for key, value in held.items():
            key = unwrapped(key)
            if re.fullmatch(r"mask_tokens\.\d+", key):
                tokens[int(key.removeprefix("mask_tokens."))] = value.flatten()
            elif not key.startswith(CAMERA):
                ours[f"{part}." + swap(key, ORIGINAL | ORIGINAL_PREDICTOR).replace(".attn.", ".attention.")] = value
        if tokens:
            ours[f"{part}.mask_tokens"] = torch.stack([tokens[number] for number in sorted(tokens)])
    return ours


def to_original(ours: Mapping[str, Tensor], grid: Grid, positions: str = "rotary-tiled") -> dict[str, State]:
    """The inverse of from_original.  positions: with "sincos", V-JEPA 1's tables of positions are written, too.

    2-AC's layer for the camera is written as zeros: its strict load asks for it.
    """
    theirs: dict[str, State] = {}
    for key, value in ours.items():
        part, _, name = key.partition(".")
        back = {new: old for old, new in (ORIGINAL_PREDICTOR if part == "predictor" else ORIGINAL).items()}
        own = theirs.setdefault(part, {})
        if name == "mask_tokens":
            own |= {f"module.backbone.mask_tokens.{number}": row[None, None] for number, row in enumerate(value)}
        else:
            if name == "embed.project.weight":
                value = value.reshape(len(value), grid.channels, grid.tubelet, grid.patch, grid.patch)
            own["module.backbone." + swap(name, back).replace(".attention.", ".attn.")] = value
        if name.startswith("enter_action."):
            camera = value[:, :-1] if name.endswith("weight") else value  # as wide as an action without its last number
            own["module.backbone." + CAMERA + name.removeprefix("enter_action.")] = torch.zeros_like(camera)
        if positions == "sincos" and name in ("embed.project.bias", "enter.bias"):
            table = "predictor_pos_embed" if part == "predictor" else "pos_embed"
            own["module.backbone." + table] = sincos_positions(grid, len(value))[None]
    return theirs
