"""A world model on a frozen encoder: only the predictor is trained.

Read in lesson 12.  A small V-JEPA 2-AC (arXiv 2506.09985, section 3): the encoder learned from clips without actions and is
frozen; the action-conditioned predictor learns what each action does.  To plan within seconds, a frame's features are first
reduced to their main directions (PCA, which is linear and learns nothing about actions).
"""

import torch
from einops import rearrange
from torch import Tensor, nn

from minivjepa.encoder import Encoder
from minivjepa.objective import normalise_targets
from minivjepa.transformer import init_linear
from minivjepa.tubelets import Grid
from minivjepa.world.action_predictor import ActionPredictor, RawPixels, action_loss, encode_frames, rollout


class MainDirections(nn.Module):
    """Features of a frame [n, D] -> its latent [Z]: standardize each feature over frames, keep Z main directions, normalize.

    They are fitted in the same way for every encoder, before any action is seen.
    """

    mean: Tensor
    std: Tensor
    directions: Tensor

    def __init__(self, tokens: int, dim: int, latent: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(tokens, dim))
        self.register_buffer("std", torch.ones(tokens, dim))
        self.register_buffer("directions", torch.zeros(tokens * dim, latent))

    def fit(self, features: Tensor) -> None:
        """Fit to features [B, n, D] of example frames.  Raises ValueError for fewer than Z frames."""
        latent = self.directions.shape[1]
        if len(features) < latent:
            raise ValueError(f"{latent} main directions need as many frames, given {len(features)}")
        self.mean, self.std = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
        standard = ((features - self.mean) / self.std).flatten(1)
        self.directions = torch.linalg.svd(standard, full_matrices=False).Vh[:latent].T.contiguous()

    def forward(self, features: Tensor) -> Tensor:
        """[..., n, D] -> [..., Z]."""
        return normalise_targets(((features - self.mean) / self.std).flatten(-2) @ self.directions)


class FrozenWorldModel(nn.Module):
    """A frozen encoder, its main directions, and V-JEPA 2's action-conditioned predictor on one token per frame.

    encoder: one tubelet long, as encode_frames needs it.  examples: frames [B, C, H, W] to fit the main directions to.
    actions: A.  pooled: whether a frame's tokens are averaged to one vector first.
    """

    def __init__(
        self,
        encoder: Encoder | RawPixels,
        examples: Tensor,
        latent: int,
        dim: int,
        depth: int,
        heads: int,
        actions: int,
        pooled: bool,
    ):
        super().__init__()
        grid = encoder.grid
        self.encoder, self.pooled = encoder.eval().requires_grad_(False), pooled
        self.directions = MainDirections(1 if pooled else grid.tokens, encoder.dim, latent)
        self.directions.fit(self.features(examples[:, :, None])[:, 0])
        whole = Grid(grid.tubelet, grid.height, grid.height, grid.tubelet, grid.height)  # one token a frame
        # the robot does not report its state, so that input is a constant 0: the model knows only pixels
        self.predictor = ActionPredictor(whole, latent, dim, depth, heads, actions, states=1)
        init_linear(self.predictor, "xavier")

    def embed(self, clip: Tensor) -> Tensor:
        """clip [B, C, T, H, W] -> latents [B, T, Z]."""
        return self.directions(self.features(clip))

    def features(self, clip: Tensor) -> Tensor:
        """clip [B, C, T, H, W] -> features [B, T, n, D]; n is 1 if they are pooled."""
        tokens = encode_frames(self.encoder, clip)
        return tokens.mean(dim=2, keepdim=True) if self.pooled else tokens

    def losses(self, clip: Tensor, actions: Tensor, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """(teacher-forcing loss, rollout loss) of action_loss; train on their sum.  Nothing is random: seed and step are unused."""
        z = rearrange(self.embed(clip), "B T Z -> B T 1 Z")
        states = z.new_zeros(*actions.shape[:2], 1)
        return action_loss(self.predictor, z, actions, states, lambda state, action: state, steps=actions.shape[1])

    def imagine(self, z: Tensor, actions: Tensor) -> Tensor:
        """latents [n, Z], actions [n, H, A] -> the latents that follow [n, H, Z].

        Each is imagined from just the latent before it: a frame of the rooms shows the whole state, and a memory would cost
        several times as much.
        """
        seen, state = [z[:, None]], z.new_zeros(len(z), 1)
        for action in actions.split(1, dim=1):
            seen.append(rollout(self.predictor, seen[-1], action, state, lambda state, action: state)[:, 0])
        return torch.cat(seen[1:], dim=1)
