"""Everything that decides the weights of a run, and the presets to start from."""

import dataclasses
import sys
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

from minivjepa.data.digits import CLIPS, ClipRules
from minivjepa.data.protocol import DATA_SEED
from minivjepa.masking import MASKS, parse_mask
from minivjepa.rotary import check_scheme
from minivjepa.transformer import INITS, head_width
from minivjepa.tubelets import Grid
from minivjepa.vjepa import CollapsePrevention

C = TypeVar("C")
to_dict = dataclasses.asdict  # a config as plain JSON values
SEEDS = f"a whole number from 0 to {2**32 - 1}"


@dataclass(frozen=True)
class Config:
    """One training run.  Frozen: change a copy with dataclasses.replace.  Raises ValueError for values that cannot train."""

    grid: Grid = field(default_factory=lambda: Grid(frames=8, height=32, width=32, tubelet=2, patch=8))
    """Size of a clip and its tubelets."""
    clips: ClipRules = CLIPS
    """What clips show, and how, where --data is digits."""
    prevention: CollapsePrevention = field(default_factory=CollapsePrevention)
    """The switches of collapse prevention; --arm sets them all at once."""
    teacher: str = ""
    """The arm whose trained encoder becomes the first target encoder, from the folder ARM-SEED beside this run; "": this run's own encoder."""
    masks: tuple[str, ...] = ("future",)  # One mask group per name, optionally with the share to hide, as in tube:0.75.
    share_mask_token: bool = False  # One mask token for all groups, as in V-JEPA 2's recipes, not one for each.
    loss: str = "l1"  # Distance in latent space: l1 or l2 (squared error).

    dim: int = 64  # Width D of the encoder.
    depth: int = 3  # Transformer blocks of the encoder.
    heads: int = 2  # Attention heads of the encoder; they must divide the width.
    predictor_dim: int = 48  # Width P of the predictor.
    predictor_depth: int = 2  # Transformer blocks of the predictor; 0 = a predictor that is linear in the context.
    predictor_heads: int = 2  # Attention heads of the predictor.
    positions: str = "sincos"
    """Positions of tubelets: sincos (V-JEPA), rotary (plain RoPE), or rotary-tiled (V-JEPA 2, as released)."""
    init: str = "xavier"  # Initialization of Linear weights: xavier, official (V-JEPA 1's) or official-2 (V-JEPA 2's).

    steps: int = 2600  # Optimizer steps.
    batch: int = 16  # Clips per step, over all processes together.
    lr: float = 2.5e-3  # Peak learning rate of AdamW.
    predictor_lr: float = 2.0  # The predictor's learning rate, as a multiple of the encoder's.
    warmup: int = 40  # Steps of linear warm-up of the learning rate.
    start_lr: float = 0.0  # Learning rate at the start of the warm-up, as a share of the peak.
    final_lr: float = 0.05  # Learning rate at the end of the cosine, as a share of the peak.
    weight_decay: float = 0.1  # Weight decay at the first step; biases and other 1-D parameters have none.
    final_weight_decay: float = 0.1  # Weight decay at the end of its cosine.
    clip_grad: float = 0.0
    """Largest gradient norm, of encoder and predictor separately, after the warm-up; 0 = no clipping."""
    momentum: float = 0.996  # EMA momentum at the first step.
    final_momentum: float = 1.0  # EMA momentum at the end of its linear ramp.
    stretch: float = 1.0
    """Length of the three schedules as a multiple of the steps; 1.25 in the released code, so they do not reach their ends."""

    seed: int = 0  # Seed of the weights, clips and masks.
    log_every: int = 200  # Steps between lines of metrics.jsonl; steps 1, 2, 5, 10, 20 and 50 also get one.
    monitor_clips: int = 640  # Clips for the collapse metrics during training; the ranks need 10 times the width.
    checkpoint_every: int = 100  # Steps between checkpoints.
    precision: str = "auto"  # fp32, bf16 (autocast), or auto: bf16 on a GPU that has it, else fp32.

    def __post_init__(self) -> None:
        """Refuse what cannot train, with the value given, the values expected and what to do."""
        choices = {"loss": ("l1", "l2"), "init": INITS, "precision": ("auto", "fp32", "bf16")}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; choose from {', '.join(known)}")
        positive = (
            "dim", "depth", "heads", "predictor_dim", "predictor_heads", "steps", "batch", "lr", "predictor_lr", "log_every",
            "checkpoint_every", "stretch",
        )  # fmt: skip
        check_numbers(self, positive, "a number above 0", lambda value: value > 0)
        shares = ("momentum", "final_momentum", "start_lr", "final_lr")
        check_numbers(self, shares, "a number from 0 to 1", lambda value: 0 <= value <= 1)
        others = ("predictor_depth", "warmup", "clip_grad", "weight_decay", "final_weight_decay")
        check_numbers(self, others, "0 or more", lambda value: value >= 0)
        check_numbers(self, ("seed",), SEEDS, lambda value: 0 <= value < 2**32)
        judged = f"another number: {DATA_SEED} to {DATA_SEED + 2} are seeds of the clips that judge every run"
        check_numbers(self, ("seed",), judged, lambda value: not DATA_SEED <= value <= DATA_SEED + 2)
        check_numbers(self, ("monitor_clips",), "2 or more: one clip has no spread", lambda value: value >= 2)
        if self.prevention.regulariser is not None:
            weights = tuple(vars(self.prevention.regulariser))
            check_numbers(self.prevention.regulariser, weights, "0 or more", lambda value: value >= 0)
            check_numbers(self, ("batch",), "2 or more: a regularizer compares clips", lambda value: value >= 2)
        check_scheme(self.positions, head_width(self.dim, self.heads, "encoder "))
        check_scheme(self.positions, head_width(self.predictor_dim, self.predictor_heads, "predictor "))
        if self.teacher and self.prevention.target != "ema":
            raise ValueError(f"teacher {self.teacher} needs a target encoder, such as that of --arm frozen")
        if self.predictor_depth == 0 and (self.prevention.target == "pixels" or self.prevention.projector):
            raise ValueError("predictor_depth 0 predicts features only; pixels and a projector need 1 or more")
        if not self.masks:
            raise ValueError(f"no mask is given; choose at least one from {', '.join(MASKS)}")
        for text in self.masks:  # draw a small batch now, so that an impossible ratio is found before training starts
            parse_mask(text).sample(self.grid, self.seed, 0, torch.arange(2))


def check_numbers(config: Any, names: Sequence[str], expected: str, fits: Callable[[float], bool]) -> None:
    """Raise ValueError for the first field of a config that is not finite, or does not fit."""
    for name in names:
        value = getattr(config, name)
        if not (abs(value) <= sys.float_info.max and fits(value)):  # refuses NaN, too
            raise ValueError(f"{name} is {value}, expected {expected}")


def from_dict(kind: type[C], values: dict[str, Any]) -> C:
    """The inverse of to_dict.  A field that an older version did not know has its default.  Raises ValueError for unknown keys."""
    hints = typing.get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"{kind.__name__} has unknown keys {unknown}; expected {sorted(hints)}")
    parsed = {}
    for name, value in values.items():
        kinds = [one for one in (hints[name], *typing.get_args(hints[name])) if dataclasses.is_dataclass(one)]
        if isinstance(value, dict) and kinds:
            fitting = [one for one in kinds if {f.name for f in dataclasses.fields(one)} == set(value)] or kinds[:1]
            value = from_dict(typing.cast(type, fitting[0]), value)
        parsed[name] = tuple(value) if isinstance(value, list) else value
    return kind(**parsed)


def differences(saved: Any, given: Any) -> list[str]:
    """One line per field in which two configs differ, such as "lr: 0.002 saved, 0.001 given"."""
    lines = []
    for name in (f.name for f in dataclasses.fields(saved)):
        old, new = getattr(saved, name), getattr(given, name)
        if dataclasses.is_dataclass(old) and type(old) is type(new):
            lines += [f"{name}.{line}" for line in differences(old, new)]
        elif old != new:
            lines.append(f"{name}: {old} saved, {new} given")
    return lines


def changed_fields(base: Config, config: Config) -> dict[str, Any]:
    """The fields of a config that differ from a base, whole and as in to_dict; their seeds may differ."""
    old = to_dict(base)
    return {name: value for name, value in to_dict(config).items() if value != old[name] and name != "seed"}


PRESETS: dict[str, Config] = {
    "tiny": Config(
        grid=Grid(frames=4, height=16, width=16, tubelet=2, patch=8), dim=24, depth=1, predictor_dim=24, predictor_depth=1,
        steps=60, batch=16, warmup=5, log_every=10, checkpoint_every=20, monitor_clips=240,
    ),
    "cpu": Config(),
    "cpu-long": Config(steps=7000, heads=4, predictor_heads=4, momentum=0.98, log_every=600),
    "cuda": Config(
        grid=Grid(frames=16, height=64, width=64, tubelet=2, patch=8), dim=192, depth=6, heads=6, predictor_dim=96, predictor_depth=4,
        predictor_heads=4, steps=6000, batch=128, lr=1e-3, warmup=300, checkpoint_every=500, log_every=200, monitor_clips=1920,
    ),
    "vitl": Config(
        grid=Grid(frames=16, height=224, width=224, tubelet=2, patch=16), masks=("official-short", "official-long"), init="official",
        dim=1024, depth=24, heads=16, predictor_dim=384, predictor_depth=12, predictor_heads=16,
        steps=90_000, batch=24, lr=6.25e-4, predictor_lr=1.0, warmup=12_000, start_lr=0.32, final_lr=0.0016,
        weight_decay=0.04, final_weight_decay=0.4, clip_grad=10.0, momentum=0.998, stretch=1.25,
        checkpoint_every=1000, monitor_clips=64,
    ),
}  # fmt: skip
