"""Another implementation of the encoder, to measure ours against: VJEPA2Model of the library transformers.

It encodes the whole clip and then picks the context, so a context of it costs as much as a target.
"""

import importlib.util

from torch import Tensor, nn

from minivjepa.predictor import Predictor
from minivjepa.training.config import Config
from minivjepa.training.recipe import build_predictor
from minivjepa.tubelets import gather_tokens, unpatchify
from minivjepa.vjepa import VJEPA


def installed() -> bool:
    """Whether there is a peer to measure."""
    return importlib.util.find_spec("transformers") is not None


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
        self.grid = config.grid
        self.encoder = VJEPA2Model(theirs).encoder

    def forward(self, tubelets: Tensor, ids: Tensor | None = None, sizes: list[int] | None = None) -> Tensor:
        """tubelets [B, N, values] -> [B, N, D]; with ids [B, K] -> [B, K, D], of tokens that have seen the whole clip."""
        clip = unpatchify(tubelets, self.grid)
        tokens = self.encoder(clip.transpose(1, 2)).last_hidden_state
        return tokens if ids is None else gather_tokens(tokens, ids)


def their_vjepa(config: Config) -> VJEPA:
    """Their encoder and its EMA copy with our predictor and loss."""
    predictor = build_predictor(config)
    assert isinstance(predictor, Predictor)
    return VJEPA(TheirEncoder(config), predictor, config.prevention, config.loss)  # type: ignore[arg-type]
