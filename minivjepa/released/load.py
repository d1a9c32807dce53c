"""Released weights in the classes of this package.

Read in lesson 10.  weight_files.py reads files and names.py translates names and shapes; this module builds the networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from minivjepa.encoder import Encoder
from minivjepa.predictor import Predictor
from minivjepa.released.names import POSITION_TABLES, State, from_hugging_face, from_original
from minivjepa.released.weight_files import read_weights
from minivjepa.training.runs import few, load_weights
from minivjepa.tubelets import Grid, sincos_positions
from minivjepa.world.action_predictor import ActionPredictor

HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16, 1408: 22}  # of the published encoders, by width
PARTS = ("encoder", "target_encoder", "predictor")
COMPUTED = {"hidden_act": "gelu", "layer_norm_eps": 1e-6, "qkv_bias": True}  # here, and by every released model
GROUPS_OF_V1 = 2  # mask tokens of V-JEPA 1's predictor; V-JEPA 2's has ten


@dataclass(frozen=True)
class Pretrained:
    """Released networks in evaluation mode; None if the file lacks one or it was not requested.

    encoder: the online encoder; Hugging Face has one encoder, which is here.  action_predictor: V-JEPA 2-AC's,
    in place of a predictor.  layout: hugging-face or original.
    """

    encoder: Encoder | None
    target_encoder: Encoder | None
    predictor: Predictor | None
    action_predictor: ActionPredictor | None
    layout: str


def load_pretrained(
    source: str,
    clip: tuple[int, int, int] | None = None,
    heads: int | None = None,
    predictor_heads: int | None = None,
    positions: str | None = None,
    parts: Sequence[str] = PARTS,
) -> Pretrained:
    """Encoders and predictor with released weights, in evaluation mode.

    source: as for read_weights.  clip: (frames, height, width) that they will see; by default what config.json says,
    else 16 x 256 x 256 (V-JEPA 1: 16 x 224 x 224).  heads: needed for widths that no released model has.  positions:
    needed if the file does not show whether it is V-JEPA 1 or 2.  parts: which networks to load.  Raises ValueError if
    anything does not fit.
    """
    held, config = read_weights(source)
    if "ema_encoder" in held and "encoder" not in held:
        raise ValueError(f"{source} has an ema_encoder only, as files of V-JEPA 2.1; give one of V-JEPA 1 or 2")
    layout = "original" if "encoder" in held or "target_encoder" in held else "hugging-face"
    try:
        state = from_original(held) if layout == "original" else from_hugging_face(held)
        scheme = choose_positions(state, positions)
        tables = {key: state.pop(key) for key in list(state) if key.endswith(POSITION_TABLES)}
        networks = split_parts(state)
        shapes = [w.shape for key, w in state.items() if key.endswith("embed.project.weight") and w.ndim == 5]
        if not shapes:
            raise ValueError(f"holds no tubelet embedding [D, C, tubelet, patch, patch], but {list(held)[:3]} ...")
        dim, channels, tubelet, patch, _ = shapes[0]
        found = {"in_chans": channels, "tubelet_size": tubelet, "patch_size": patch, **COMPUTED}
        side = agreed(None, config, "crop_size", 224 if scheme == "sincos" else 256, "side")
        frames = agreed(None, config, "frames_per_clip", 16, "frames")
        grid = Grid(*(clip or (frames, side, side)), tubelet, patch, channels)
        heads = agreed(heads, config, "num_attention_heads", HEADS.get(dim), f"heads of an encoder {dim} wide")
        if scheme == "sincos":
            check_tables(tables, grid)
        built: dict[str, Any] = {}
        for part in parts:
            # our embedding has the same numbers as a Linear
            given = {k: v.flatten(1) if k == "embed.project.weight" else v for k, v in networks[part].items()}
            if not given:
                continue
            hidden = len(given.get("blocks.0.mlp.fc1.bias", [])) or None
            depth = len({key.split(".")[1] for key in given if key.startswith("blocks.")})
            if part == "predictor":
                usual = heads if scheme == "sincos" else 16 if "enter_action.weight" in given else 12
                own = agreed(predictor_heads, config, "pred_num_attention_heads", usual, "heads of the predictor")
                built[part] = build_predictor(given, grid, dim, depth, own, scheme, hidden)
            else:
                built[part] = Encoder(grid, dim, depth, heads, scheme, hidden)
            load_weights(built[part], given, part)
            built[part].eval()
            width, prefix = len(given["norm.weight"]), "pred_" if part == "predictor" else ""
            sizes = {"hidden_size": width, "num_hidden_layers": depth, "mlp_ratio": (hidden or 0) / width}
            found |= {prefix + name: size for name, size in sizes.items()}
        check_config(config, found)
    except (IndexError, RuntimeError, ValueError) as error:  # a tensor of another shape raises any of these
        raise ValueError(f"{source}, read in the {layout} layout, {error}") from None
    if isinstance(built.get("predictor"), ActionPredictor):
        built["action_predictor"] = built.pop("predictor")
    return Pretrained(layout=layout, **{part: built.get(part) for part in (*PARTS, "action_predictor")})


def build_predictor(
    given: State, grid: Grid, dim: int, depth: int, heads: int, scheme: str, hidden: int | None
) -> Predictor | ActionPredictor:
    """An untrained predictor of the kind and the sizes that its weights have.  hidden: width inside its MLPs."""
    inner = len(given.get("enter.bias", []))
    if "enter_action.weight" not in given:
        return Predictor(grid, dim, inner, depth, heads, len(given.get("mask_tokens", [])), scheme, hidden)
    if scheme == "sincos":
        raise ValueError("has V-JEPA 2-AC's predictor, whose positions are rotary; leave positions out")
    actions, states = (
        given.get(f"{name}.weight", torch.empty(1, 1)).shape[-1] for name in ("enter_action", "enter_state")
    )
    return ActionPredictor(replace(grid, frames=grid.tubelet), dim, inner, depth, heads, actions, states, scheme)


def choose_positions(state: State, asked: str | None) -> str:
    """sincos for V-JEPA 1, rotary-tiled for V-JEPA 2 and 2-AC, whose files may hold V-JEPA 1's table without using it.

    asked: the scheme to use, if it is given.  Raises ValueError if it is not, and the file has that table but no predictor,
    which would show the version.
    """
    plain = "predictor.enter_action.weight" in state or not any(key.endswith(POSITION_TABLES) for key in state)
    if asked is not None or plain:
        return asked or "rotary-tiled"
    if "predictor.mask_tokens" not in state:
        raise ValueError(
            "has a position table, as V-JEPA 1 and some files of V-JEPA 2 do; give positions sincos or rotary-tiled"
        )
    return "sincos" if len(state["predictor.mask_tokens"]) <= GROUPS_OF_V1 else "rotary-tiled"


def split_parts(state: State) -> dict[str, State]:
    """{"encoder.norm.weight": ...} -> {"encoder": {"norm.weight": ...}, ...}.  Raises ValueError for an unknown part."""
    parts: dict[str, State] = {part: {} for part in PARTS}
    for key, value in state.items():
        part, _, name = key.partition(".")
        if part not in parts:
            raise ValueError(f"has the unknown key {key}")
        parts[part][name] = value
    return parts


def agreed(asked: int | None, config: dict[str, Any], name: str, usual: int | None, what: str) -> int:
    """The first known of: what was asked for, the entry `name` of config.json, what is usual.

    Raises ValueError if the first two differ, if one is not a whole number above 0, or if none is known.
    """
    if asked is not None and asked < 1:
        raise ValueError(f"was asked for {asked} {what}, expected a whole number above 0")
    stored = config.get(name)
    if name in config and not (isinstance(stored, int) and stored > 0):
        raise ValueError(f"has {name} {stored!r} in its config.json, expected a whole number above 0")
    if asked and stored and asked != stored:
        raise ValueError(f"has {stored} {what} by its config.json, and {asked} were asked for; leave that option out")
    found = asked or stored or usual
    if not found:
        raise ValueError(f"does not say how many attention {what}, as no released model is; give their number")
    return found


def check_config(config: dict[str, Any], found: dict[str, Any]) -> None:
    """Raise ValueError for entries of config.json that the file, or what this package computes, contradicts."""
    wrong = [name for name, value in found.items() if config.get(name, value) != value]
    if wrong:
        owner = {name: "this package" if name in COMPUTED else "the file" for name in wrong}
        lines = [f"{name} {config[name]!r} where {owner[name]} has {found[name]!r}" for name in wrong]
        raise ValueError(f"has a config.json that says {few(lines)}; give the config.json that belongs to the file")


def check_tables(tables: State, grid: Grid) -> None:
    """Raise ValueError if V-JEPA 1's stored position tables differ from those this package computes for the clip."""
    for key, table in tables.items():
        expected = sincos_positions(grid, table.shape[-1])
        if table.shape[1:] != expected.shape or not torch.allclose(table[0].float(), expected, atol=1e-5):
            given, size = tuple(table.shape), f"{grid.frames} x {grid.height} x {grid.width}"
            raise ValueError(f"has {key} {given}, not the sine-cosine table for a clip of {size}; give the clip size")
