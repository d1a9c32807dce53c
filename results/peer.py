"""Another implementation of the encoder to measure ours against: python results/peer.py GEOMETRY DTYPE DEVICE

Times one training step with VJEPA2Model of the library transformers as the encoder, with our predictor, loss, clips and masks, and
prints its seconds.  It encodes the whole clip and then picks the context, so a context costs as much as a target.
"""

import statistics
import sys

import torch
from torch import Tensor, nn

from minivjepa.predictor import Predictor
from minivjepa.speed.step_time import find_geometry, prepare, seconds
from minivjepa.training.config import Config
from minivjepa.training.recipe import build_predictor
from minivjepa.tubelets import gather_tokens
from minivjepa.vjepa import VJEPA

STEPS = 4  # timed; one more before them is not


class TheirEncoder(nn.Module):
    """VJEPA2Model's encoder behind the interface of ours, with random weights.  config: square frames."""

    def __init__(self, config: Config):
        super().__init__()
        from transformers import VJEPA2Config, VJEPA2Model

        theirs = VJEPA2Config(
            patch_size=config.grid.patch, crop_size=config.grid.height, frames_per_clip=config.grid.frames, tubelet_size=config.grid.tubelet,
            hidden_size=config.dim, num_attention_heads=config.heads, num_hidden_layers=config.depth, mlp_ratio=4.0,
            pred_hidden_size=config.predictor_heads * 12, pred_num_attention_heads=config.predictor_heads, pred_num_hidden_layers=1,
        )  # fmt: skip
        theirs._attn_implementation = "sdpa"
        self.encoder = VJEPA2Model(theirs).encoder

    def forward(self, clip: Tensor, ids: Tensor | None = None) -> Tensor:
        """clip [B, C, T, H, W] -> [B, N, D]; with ids [B, K] -> [B, K, D], of tokens that have seen the whole clip."""
        tokens = self.encoder(clip.transpose(1, 2)).last_hidden_state
        return tokens if ids is None else gather_tokens(tokens, ids)


def their_vjepa(config: Config) -> VJEPA:
    """Their encoder and its EMA copy with our predictor and loss."""
    predictor: Predictor = build_predictor(config)
    return VJEPA(TheirEncoder(config), predictor, config.prevention, config.loss)  # type: ignore[arg-type]


def main(geometry: str, dtype: str, device: str) -> None:
    """Print the median seconds of a step."""
    found, where = find_geometry(geometry, None), torch.device(device)
    step = prepare(found, dtype, where, model=their_vjepa(found.config))
    spent = [seconds(step, where) for _ in range(STEPS + 1)]
    print(statistics.median(spent[1:]))


if __name__ == "__main__":
    main(*sys.argv[1:])
