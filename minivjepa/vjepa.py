"""V-JEPA wired together, with the switches of collapse prevention.

Built in lesson 5.  Equation 1 of V-JEPA (arXiv 2404.08471):
minimise | P(E(x), positions of y) - stop_gradient(E_ema(y)) |_1 over E and P.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from minivjepa.ema import ema_update, target_copy
from minivjepa.encoder import Encoder
from minivjepa.masking import MaskPair
from minivjepa.objective import latent_distance, normalise_targets, sigreg, vicreg_terms
from minivjepa.predictor import LinearPredictor, Predictor
from minivjepa.tubelets import gather_tokens, patchify


@dataclass(frozen=True)
class CollapsePrevention:
    """Everything that stands between V-JEPA and collapse.  An arm of an ablation is one value of this class."""

    target: str = "ema"
    """Who makes the targets: ema (a copy that follows the online encoder) or online (that encoder itself)."""
    stop_gradient: bool = True
    """Detach the targets.  An EMA copy that is not detached also goes to the optimiser."""
    momentum: float | None = None
    """A constant EMA momentum in place of the run's schedule; 1 freezes the copy, 0 is no EMA."""
    normalise: bool = True
    """LayerNorm the targets over features, without affine."""
    regulariser: str = "none"
    """A term on the targets before normalisation: none, vicreg or sigreg; only without stop_gradient."""
    weights: tuple[float, float] = (1.0, 0.04)
    """Of the regulariser's terms: (variance, covariance) for vicreg; (lambda, unused) for sigreg."""

    def __post_init__(self) -> None:
        for name, known in {"target": ("ema", "online"), "regulariser": ("none", "vicreg", "sigreg")}.items():
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; choose from {', '.join(known)}")
        if self.regulariser != "none" and self.stop_gradient:
            raise ValueError(
                f"regulariser {self.regulariser!r} acts on the targets, which stop_gradient=True detaches, so it would "
                "do nothing; give stop_gradient=False with it"
            )
        if self.momentum is not None and self.target == "online":
            raise ValueError(
                "momentum is of the EMA copy, and target='online' has none; leave momentum out or use target='ema'"
            )
        if self.momentum is not None and not 0 <= self.momentum <= 1:
            raise ValueError(f"momentum is {self.momentum}, expected a number from 0 to 1")


ARMS: dict[str, CollapsePrevention] = {
    "vjepa": CollapsePrevention(),
    "frozen": CollapsePrevention(momentum=1.0),
    "no-ema": CollapsePrevention(target="online"),
    "no-stopgrad": CollapsePrevention(stop_gradient=False),
    "neither": CollapsePrevention(target="online", stop_gradient=False),
    "vicreg": CollapsePrevention(target="online", stop_gradient=False, regulariser="vicreg"),
    "sigreg": CollapsePrevention(target="online", stop_gradient=False, regulariser="sigreg", weights=(0.1, 0.0)),
}


class VJEPA(nn.Module):
    """Online encoder, predictor and (for most arms) target encoder.  Raises ValueError from its parts."""

    def __init__(
        self, encoder: Encoder, predictor: Predictor | LinearPredictor, prevention: CollapsePrevention, loss: str = "l1"
    ):
        super().__init__()
        self.encoder, self.predictor, self.prevention, self.loss = encoder, predictor, prevention, loss
        self.target_encoder = (
            target_copy(encoder, trainable=not prevention.stop_gradient) if prevention.target == "ema" else None
        )

    def targets(self, clip: Tensor) -> Tensor:
        """clip [B, C, T, H, W] -> what the predictor should say, [B, N, D], before normalisation."""
        encoder = self.encoder if self.target_encoder is None else self.target_encoder
        if self.prevention.stop_gradient:
            with torch.no_grad():  # <- this line is the stop-gradient
                return encoder(clip)
        return encoder(clip)

    def predict(self, clip: Tensor, masks: Sequence[MaskPair]) -> Sequence[Tensor]:
        """One prediction [B, M, D] for every (context, target) pair; the encoder sees the context only.

        Equal to predictor(encoder(clip, context), context, target, group) for each pair, in one pass for all of them.
        """
        sizes = [context.shape[1] for context, _ in masks]
        contexts = self.encoder(clip, torch.cat([context for context, _ in masks], dim=1), sizes)
        return self.predictor.all_groups(contexts.split(sizes, dim=1), masks)

    def normalised(self, h: Tensor) -> Tensor:
        """Targets as the loss sees them, [B, N, D] -> [B, N, D]."""
        return normalise_targets(h) if self.prevention.normalise else h

    def forward(
        self, clip: Tensor, masks: Sequence[MaskPair], directions: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The prediction loss and the weighted regulariser (0 for most arms); train on their sum.

        clip [B, C, T, H, W]; masks: one (context ids [B, K], target ids [B, M]) pair per group;
        directions [D, A]: this step's random unit columns, for sigreg only.
        """
        tubelets = patchify(clip, self.encoder.grid)  # cut once for both encoders, which take them like a clip
        h = self.targets(tubelets)  # one pass a clip, whatever the number of mask groups
        wanted = self.normalised(h)
        distance = latent_distance(
            self.predict(tubelets, masks), [gather_tokens(wanted, target) for _, target in masks], self.loss
        )
        with torch.autocast(h.device.type, enabled=False):  # statistics over a batch need float32
            return distance, self.regulariser(h, directions)

    def regulariser(self, h: Tensor, directions: Tensor | None) -> Tensor:
        """The arm's term on un-normalised whole-clip tokens h [B, N, D], across clips at fixed positions."""
        first, second = self.prevention.weights
        h = h.float()
        if self.prevention.regulariser == "vicreg":
            variance, covariance = vicreg_terms(h)
            return first * variance + second * covariance
        if self.prevention.regulariser == "sigreg":
            if directions is None:
                raise ValueError("sigreg needs random directions [D, A] with unit columns, given None")
            by_position = h.transpose(0, 1)  # [N, B, D]: the samples are the clips, one test per position
            return first * sigreg(by_position, directions)
        return h.new_zeros(())

    def update_target(self, momentum: float) -> None:
        """EMA after the optimiser's step; nothing to do where the online encoder is its own target."""
        if self.target_encoder is not None:
            ema_update(self.target_encoder, self.encoder, momentum)

    def step_flops(self, sizes: Sequence[tuple[int, int]]) -> dict[str, int]:
        """FLOPs of one clip's training step for mask groups of sizes (K, M), by component.

        Forward of the target encoder on all tokens; forward and backward (three times the forward) of encoder
        and predictor, and of the targets too where nothing detaches them.  Softmax, norms and the optimiser are
        not counted.
        """
        passes = 1 if self.prevention.stop_gradient else 3
        return {
            "target encoder": passes * self.encoder.flops(self.encoder.grid.tokens),
            "context encoder": 3 * sum(self.encoder.flops(k) for k, _ in sizes),
            "predictor": 3 * sum(self.predictor.flops(k, m) for k, m in sizes),
        }
