"""V-JEPA wired together, with switches for collapse prevention.

Built in lesson 5.  Equation 1 of V-JEPA (arXiv 2404.08471):
minimize | P(E(x), positions of y) - stop_gradient(E_ema(y)) |_1 over E and P.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minivjepa.ema import ema_update, target_copy
from minivjepa.encoder import Encoder
from minivjepa.masking import MaskPair
from minivjepa.objective import SIGReg, VICReg, all_clips, latent_distance, normalise_targets
from minivjepa.predictor import Predictor
from minivjepa.tubelets import gather_tokens, patchify


@dataclass(frozen=True)
class CollapsePrevention:
    """Everything that keeps V-JEPA from collapse.  An arm of an ablation is one value of this class.

    Raises ValueError for unknown values, and for combinations in which a switch would do nothing.
    """

    target: str = "ema"
    """What to predict: features of an EMA copy of the online encoder, of the online encoder itself, or pixels."""
    stop_gradient: bool = True  # Whether targets are detached.  If not, the optimizer also trains the EMA copy.
    momentum: float | None = None
    """A constant EMA momentum instead of the run's schedule; 1 freezes the copy, 0 means no EMA."""
    normalise: bool = True  # Whether targets get a LayerNorm over features (pixels: of a tubelet), without affine.
    regulariser: VICReg | SIGReg | None = None  # A term on the targets before normalization; needs stop_gradient=False.
    projector: int = 0
    """Width of a small network between the online encoder and its targets; 0 = none.  Only for target="online"."""

    def __post_init__(self) -> None:
        if self.target not in ("ema", "online", "pixels"):
            raise ValueError(f"unknown target {self.target!r}; choose from ema, online, pixels")
        if self.target == "pixels" and not self.stop_gradient:
            raise ValueError("pixels have no gradient to let through; leave stop_gradient=True")
        if self.projector < 0 or (self.projector and self.target != "online"):
            raise ValueError(f"projector is {self.projector}, expected 0, or a width above 0 with target='online'")
        if self.projector and self.stop_gradient:
            raise ValueError("a projector behind a stop-gradient would never be trained; set stop_gradient=False too")
        if self.regulariser is not None and self.stop_gradient:
            raise ValueError(
                f"{type(self.regulariser).__name__} acts on the targets, which stop_gradient=True detaches, so it would "
                "do nothing; set stop_gradient=False too"
            )
        if self.momentum is not None and self.target != "ema":
            raise ValueError(
                f"momentum belongs to the EMA copy, which target={self.target!r} does not have; leave momentum out or use target='ema'"
            )
        if self.momentum is not None and not 0 <= self.momentum <= 1:
            raise ValueError(f"momentum is {self.momentum}, expected a number from 0 to 1")


ARMS: dict[str, CollapsePrevention] = {
    "vjepa": CollapsePrevention(),
    "frozen": CollapsePrevention(momentum=1.0),
    "no-ema": CollapsePrevention(target="online"),
    "no-stopgrad": CollapsePrevention(stop_gradient=False),
    "neither": CollapsePrevention(target="online", stop_gradient=False),
    "vicreg": CollapsePrevention(target="online", stop_gradient=False, regulariser=VICReg()),
    "sigreg": CollapsePrevention(target="online", stop_gradient=False, regulariser=SIGReg()),
}


class VJEPA(nn.Module):
    """Online encoder, predictor and, if the targets come from an EMA copy, target encoder.

    loss: "l1" (V-JEPA) or "l2" (squared error).  projector: [B, N, D] -> [B, N, any width], from features to targets.
    The predictor's outputs must be as wide as the targets.
    """

    def __init__(
        self, encoder: Encoder, predictor: Predictor, prevention: CollapsePrevention, loss: str = "l1",
        projector: nn.Module | None = None,
    ):  # fmt: skip
        super().__init__()
        self.projector = projector or nn.Identity()
        self.encoder, self.predictor, self.prevention, self.loss = encoder, predictor, prevention, loss
        self.target_encoder = (
            target_copy(encoder, trainable=not prevention.stop_gradient) if prevention.target == "ema" else None
        )

    def targets(self, clip: Tensor) -> Tensor:
        """clip [B, C, T, H, W] -> what to predict for every tubelet, before normalization: features [B, N, D], or pixels [B, N, values]."""
        if self.prevention.target == "pixels":
            return patchify(clip, self.encoder.grid)  # [B, N, values]: not V-JEPA, but what MAE predicts
        encoder = self.encoder if self.target_encoder is None else self.target_encoder
        if self.prevention.stop_gradient:
            with torch.no_grad():  # <- this line is the stop-gradient
                return self.projector(encoder(clip))
        return self.projector(encoder(clip))

    def normalised(self, h: Tensor) -> Tensor:
        """Targets as the loss sees them, [B, N, D] -> [B, N, D]."""
        return normalise_targets(h) if self.prevention.normalise else h

    def predict(self, clip: Tensor, masks: Sequence[MaskPair]) -> list[Tensor]:
        """One prediction [B, M, D] per mask group; the encoder sees only the context."""
        predictions = []
        for group, (context, target) in enumerate(masks):
            z = self.encoder(clip, context)  # [B, K, D]
            predictions.append(self.predictor(z, context, target, group))
        return predictions

    def forward(self, clip: Tensor, masks: Sequence[MaskPair], seed: int = 0, step: int = 0) -> Tensor:
        """The training loss, a scalar.

        clip [B, C, T, H, W]; masks: one (context ids [B, K], target ids [B, M]) pair per mask group.  seed and step
        set SIGReg's random directions; the other arms don't use them.
        """
        h = self.targets(clip)  # once per clip, for all mask groups
        wanted = self.normalised(h)
        loss = latent_distance(
            self.predict(clip, masks), [gather_tokens(wanted, target) for _, target in masks], self.loss
        )
        if self.prevention.regulariser is None:
            return loss
        with torch.autocast(h.device.type, enabled=False):  # statistics over a batch need float32 or better
            h = all_clips(h.to(torch.promote_types(h.dtype, torch.float32)))
            return loss + self.prevention.regulariser(h, seed, step)

    def update_target(self, momentum: float) -> None:
        """EMA update, after the optimizer's step; does nothing without a target encoder."""
        if self.target_encoder is not None:
            ema_update(self.target_encoder, self.encoder, momentum)

    def step_flops(self, sizes: Sequence[tuple[int, int]]) -> dict[str, int]:
        """FLOPs of one clip's training step for mask groups of sizes (K, M), by component.

        The target encoder runs forward on all tokens; pixels as targets cost nothing.  Encoder and predictor also run
        backward, at three times the forward cost in all; so does the target encoder if its targets aren't detached.
        Softmax, norms, the projector, the regularizer and the optimizer aren't counted.
        """
        passes = 0 if self.prevention.target == "pixels" else 1 if self.prevention.stop_gradient else 3
        return {
            "target encoder": passes * self.encoder.flops(self.encoder.grid.tokens),
            "context encoder": 3 * sum(self.encoder.flops(k) for k, _ in sizes),
            "predictor": 3 * sum(self.predictor.flops(k, m) for k, m in sizes),
        }
