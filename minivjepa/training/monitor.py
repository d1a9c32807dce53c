"""The collapse metrics during training, always on the same clips."""

from typing import Any, Protocol

import torch
from torch import Tensor

from minivjepa.collapse import margin, token_metrics
from minivjepa.masking import MaskPair
from minivjepa.training.config import Config
from minivjepa.training.recipe import sample_masks
from minivjepa.tubelets import gather_tokens
from minivjepa.vjepa import VJEPA

MONITOR_STEP = -1  # the step whose clips and masks the metrics use; training never uses it
CLIPS_AT_ONCE = 64  # clips per forward pass without gradients


class ClipSource(Protocol):
    """Anything that renders clips by (step, global sample index)."""

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, Any]:
        """Sample indices int64 [B] -> clips [B, C, T, H, W] and their factors, if known."""
        ...


def monitor_clips(config: Config, source: ClipSource, device: torch.device) -> list[Tensor]:
    """The fixed clips [B, C, T, H, W] of the metrics, in parts that are encoded together."""
    index = torch.arange(config.monitor_clips, device=device)
    return [source.batch(MONITOR_STEP, part)[0] for part in index.split(CLIPS_AT_ONCE)]


@torch.no_grad()
def collapse_metrics(model: VJEPA, config: Config, clips: list[Tensor]) -> dict[str, float]:
    """Metrics of the online encoder, of the target encoder as target_*, and the margin on the first part of the clips."""
    encoders = [encoder for encoder in (model.encoder, model.target_encoder) if encoder is not None]
    found = [token_metrics(torch.cat([encoder(clip).float().cpu() for clip in clips])) for encoder in encoders]
    masks = sample_masks(config, MONITOR_STEP, torch.arange(len(clips[0]), device=clips[0].device))
    target = {f"target_{name}": value for name, value in found[-1].items()}  # the only encoder's, if there is one
    return {**found[0], **target, "margin": prediction_margin(model, clips[0], masks)}


@torch.no_grad()
def prediction_margin(model: VJEPA, clip: Tensor, masks: list[MaskPair]) -> float:
    """collapse.margin of the model's predictions for at least 2 clips, mean over mask groups."""
    h = model.normalised(model.targets(clip))
    pairs = zip(model.predict(clip, masks), masks, strict=True)
    # h.roll(1, 0) holds, for every clip, the targets of the clip before it in the batch
    values = [margin(z, gather_tokens(h, ids), gather_tokens(h.roll(1, 0), ids)) for z, (_, ids) in pairs]
    return sum(values) / len(values)
