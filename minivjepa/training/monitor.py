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


class Monitor:
    """Computes collapse metrics during training, on `monitor_clips` fixed clips of the run's source."""

    def __init__(self, config: Config, source: ClipSource, device: torch.device):
        self.index = torch.arange(config.monitor_clips, device=device)
        self.clips = [source.batch(MONITOR_STEP, part)[0] for part in self.index.split(CLIPS_AT_ONCE)]
        self.config = config

    @torch.no_grad()
    def measure(self, model: VJEPA) -> dict[str, float]:
        """Metrics of the online encoder, of the target encoder as target_*, and the margin on the first 64 clips."""
        online = token_metrics(torch.cat([model.encoder(clip).float().cpu() for clip in self.clips]))
        target = online
        if model.target_encoder is not None:
            target = token_metrics(torch.cat([model.target_encoder(clip).float().cpu() for clip in self.clips]))
        clip, index = self.clips[0], self.index[: len(self.clips[0])]
        return {
            **online,
            **{f"target_{name}": value for name, value in target.items()},
            "margin": prediction_margin(model, clip, sample_masks(self.config, MONITOR_STEP, index)),
        }


@torch.no_grad()
def prediction_margin(model: VJEPA, clip: Tensor, masks: list[MaskPair]) -> float:
    """collapse.margin of the model's predictions for at least 2 clips, mean over mask groups."""
    h = model.normalised(model.targets(clip))
    pairs = zip(model.predict(clip, masks), masks, strict=True)
    # h.roll(1, 0) holds, for every clip, the targets of the clip before it in the batch
    values = [margin(z, gather_tokens(h, ids), gather_tokens(h.roll(1, 0), ids)) for z, (_, ids) in pairs]
    return sum(values) / len(values)
