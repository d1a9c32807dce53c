"""What a world model imagines, painted by a decoder that learned to paint frames from their true latents."""

from dataclasses import replace

import torch
from torch import Tensor

from minivjepa.evaluation.decoder import Decoder
from minivjepa.tubelets import unpatchify
from minivjepa.world.planner import WorldModel


@torch.no_grad()
def painted_rollouts(model: WorldModel, painter: Decoder, clip: Tensor, actions: Tensor) -> dict[str, Tensor]:
    """Frames 1 .. T of clips [B, C, T + 1, H, W] with actions [B, T, A], as painted [B, C, T, H, W] by a decoder of whole frames.

    imagined: from the first frame and the actions.  other actions: those of the clip before it in the batch.  true latents: of
    the frames themselves, so any error is the decoder's fault.
    """
    z = model.embed(clip)
    found = {"imagined": model.imagine(z[:, 0], actions), "other actions": model.imagine(z[:, 0], actions.roll(1, 0))}
    first = torch.zeros_like(z[:, 1:, 0], dtype=torch.int64)  # each frame is painted as if it were the first of a clip
    grid = replace(painter.grid, frames=actions.shape[1])
    return {name: unpatchify(painter(each, first), grid) for name, each in (found | {"true latents": z[:, 1:]}).items()}


def step_errors(painted: Tensor, clip: Tensor) -> list[float]:
    """Mean squared error after each step, in normalized pixels.  painted [B or 1, C, T or 1, H, W], clip [B, C, T + 1, H, W]."""
    return [float(error) for error in (painted - clip[:, :, 1:]).square().mean(dim=(0, 1, 3, 4))]
