"""What a model imagines: a small decoder paints its predictions of hidden tubelets as pixels.

Lesson 6 shows what it paints.  The decoder learns, with everything else frozen, to paint a tubelet from its target vector; then it is
given predictions instead.  It can flatter: it paints what is usual where features say nothing.  So look at the errors beside it.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minivjepa.masking import MaskPair
from minivjepa.training.loop import ClipSource
from minivjepa.tubelets import Grid, gather_tokens, patchify, unpatchify
from minivjepa.vjepa import VJEPA

STEPS, BATCH, RATE, HIDDEN = 800, 32, 2e-3, 256  # how a decoder is trained, and its width


class Decoder(nn.Module):
    """A target vector and its position in, the tubelet's pixels out: two layers, each tubelet for itself."""

    def __init__(self, grid: Grid, width: int):
        super().__init__()
        self.grid = grid
        self.positions = nn.Parameter(torch.zeros(grid.tokens, width))
        self.layers = nn.Sequential(nn.Linear(width, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, grid.values))

    def forward(self, z: Tensor, ids: Tensor) -> Tensor:
        """Target vectors or predictions [B, M, D] of tubelets ids [B, M] -> pixels [B, M, values]."""
        return self.layers(z + self.positions[ids])


def train_decoder(
    features: Callable[[Tensor], Tensor],
    grid: Grid,
    width: int,
    source: ClipSource,
    seed: int,
    device: torch.device,
    progress: Callable[[], object] = lambda: None,
) -> Decoder:
    """Train on frozen features of clips, squared error.  progress: called after each of STEPS steps.

    features: clip [B, C, T, H, W] -> [B, N, D], a vector of this width for each tubelet of the grid.  seed: of first weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decoder = Decoder(grid, width).to(device)
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=RATE, fused=device.type != "mps")
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=STEPS)
    index = torch.arange(BATCH, device=device)
    every = torch.arange(grid.tokens, device=device).expand(BATCH, -1)
    for step in range(STEPS):
        clip, _ = source.batch(step, index)
        with torch.no_grad():
            z = features(clip)
        loss = F.mse_loss(decoder(z, every), patchify(clip, grid))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        progress()
    return decoder.eval()


@torch.no_grad()
def targets_without_gradient(model: VJEPA, clip: Tensor) -> Tensor:
    """clip [B, C, T, H, W] -> the targets as the loss sees them [B, N, D]."""
    return model.normalised(model.targets(clip))


@torch.no_grad()
def painted(model: VJEPA, decoder: Decoder, clip: Tensor, mask: MaskPair) -> dict[str, Tensor]:
    """Pixels for the hidden tubelets [B, M, values] of at least 2 clips, by what they are painted from.

    imagined: predictions.  other_context: those for the same places, made from the clip before it in the batch.  true_features: the
    targets that were to be predicted, which shows the decoder's own error.  mean_clip: the mean of all these clips.
    """
    (z,), (other,), (_, hidden) = model.predict(clip, [mask]), model.predict(clip.roll(1, 0), [mask]), mask
    pixels = patchify(clip, decoder.grid)
    return {
        "imagined": decoder(z, hidden),
        "other_context": decoder(other, hidden),
        "true_features": decoder(gather_tokens(targets_without_gradient(model, clip), hidden), hidden),
        "mean_clip": gather_tokens(pixels.mean(dim=0, keepdim=True).expand_as(pixels), hidden),
    }


def with_hidden(clip: Tensor, hidden: Tensor, pixels: Tensor | float, grid: Grid) -> Tensor:
    """clip [B, C, T, H, W] with other pixels [B, M, values], or one number, in its hidden tubelets [B, M]."""
    where = hidden[..., None].expand(-1, -1, grid.values)
    return unpatchify(patchify(clip, grid).scatter(1, where, pixels), grid)


def painting_errors(paintings: dict[str, Tensor], clip: Tensor, hidden: Tensor, grid: Grid) -> dict[str, float]:
    """Mean squared error of each of `painted` on the hidden tubelets, in normalized pixels."""
    truth = gather_tokens(patchify(clip, grid), hidden)
    return {name: float(F.mse_loss(pixels, truth)) for name, pixels in paintings.items()}
