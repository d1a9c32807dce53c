"""LeWorldModel: a world model without target encoder, stop-gradient or mask.

Built in lesson 11.  LeWorldModel (arXiv 2603.19312) uses LeJEPA's SIGReg (arXiv 2511.08544): encode each frame separately, predict
the next latent from the latents and actions so far, and keep the latents normally distributed.  Nothing else prevents collapse.
Axes: T frames, A numbers of an action, Z latent width, P predictor width.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from minivjepa.encoder import Encoder
from minivjepa.objective import SIGReg
from minivjepa.transformer import EPS, MLP, Attention, init_linear
from minivjepa.tubelets import axis_positions


class Projector(nn.Module):
    """Pooled features [n, D] -> latents [n, Z] through one hidden layer.

    The encoder ends in a LayerNorm, which puts its vectors on a sphere; BatchNorm in the hidden layer brings
    back the differences between frames.  norm: False leaves BatchNorm out.
    """

    def __init__(self, dim: int, hidden: int, latent: int, norm: bool = True):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, latent)
        self.norm = nn.BatchNorm1d(hidden) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[n, D] -> [n, Z]."""
        return self.fc2(F.gelu(self.norm(self.fc1(x))))


class ActionBlock(nn.Module):
    """A transformer block steered by the action: AdaLN-zero, from DiT (arXiv 2212.09748).

    The action sets shift, scale and gate of both halves.  `steer`, the layer that computes them, starts at 0, so the block
    starts as the identity and learns to use actions as far as they help.
    """

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(dim, eps=EPS, elementwise_affine=False) for _ in range(2))
        self.attention, self.mlp = Attention(dim, heads), MLP(dim)
        self.steer = nn.Linear(dim, 6 * dim)

    def start(self) -> None:
        """Zero `steer`: both gates closed, no shift, no scale."""
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)

    def forward(self, x: Tensor, action: Tensor, allowed: Tensor) -> Tensor:
        """x [B, T, P], action [B, T, P], allowed bool [T, T] -> [B, T, P]."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.steer(action).chunk(6, dim=-1)
        x = x + gate1 * self.attention(self.norm1(x) * (1 + scale1) + shift1, None, allowed)
        return x + gate2 * self.mlp(self.norm2(x) * (1 + scale2) + shift2)


class LatentPredictor(nn.Module):
    """Latents and actions so far -> the next latent.

    latent: Z.  dim: P, an even number.  actions: A.  memory: how many frames it sees, the current one included.
    It predicts the change in the latent, which starts at 0: untrained, it predicts no change.
    """

    positions: Tensor

    def __init__(self, latent: int, dim: int, depth: int, heads: int, actions: int, memory: int):
        super().__init__()
        self.memory = memory
        self.enter, self.leave = nn.Linear(latent, dim), nn.Linear(dim, latent)
        self.enter_action = nn.Sequential(nn.Linear(actions, dim), nn.GELU(), nn.Linear(dim, dim), nn.GELU())
        self.register_buffer("positions", axis_positions(memory, dim).float(), persistent=False)
        self.blocks = nn.ModuleList(ActionBlock(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=EPS)
        init_linear(self, "xavier")
        nn.init.zeros_(self.leave.weight)
        for module in self.modules():
            if isinstance(module, ActionBlock):
                module.start()

    def forward(self, z: Tensor, actions: Tensor) -> Tensor:
        """z [B, T, Z], actions [B, T, A] -> [B, T, Z]: for each frame, the latent of the next.

        Frame k reads frames 0 .. k and their actions, and nothing later.  Raises ValueError for more frames than the
        memory holds.
        """
        T = z.shape[1]
        if self.memory < T:
            raise ValueError(f"given {T} frames, expected at most the {self.memory} of the predictor's memory")
        when = torch.arange(T, device=z.device)
        allowed = when[:, None] >= when[None, :]  # causal
        x, action = self.enter(z) + self.positions[:T], self.enter_action(actions)  # [B, T, P] each
        for block in self.blocks:
            x = block(x, action, allowed)
        return z + self.leave(self.norm(x))


class LeWorldModel(nn.Module):
    """Encoder, projector and predictor, trained together on the sum of two terms.

    encoder: of single frames, so its grid is one frame long, with one frame per tubelet.  weight: lambda of SIGReg.  SIGReg
    includes its factor n, here the clips of a batch: see objective.sigreg.
    """

    def __init__(self, encoder: Encoder, projector: Projector, predictor: LatentPredictor, regulariser: SIGReg):
        super().__init__()
        self.encoder, self.projector, self.predictor, self.regulariser = encoder, projector, predictor, regulariser

    def embed(self, clip: Tensor) -> Tensor:
        """clip [B, C, T, H, W] -> latents [B, T, Z], each frame encoded separately."""
        frames = rearrange(clip, "B C T H W -> (B T) C 1 H W")
        pooled = self.encoder(frames).mean(dim=1)  # [B * T, D]
        return rearrange(self.projector(pooled), "(B T) Z -> B T Z", B=len(clip))

    def losses(self, clip: Tensor, actions: Tensor, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """(next-latent squared error, lambda * SIGReg): train on their sum.

        clip [B, C, T, H, W]; actions [B, T - 1, A]; seed, step: they set SIGReg's random directions.  Nothing is detached
        or masked.  SIGReg's samples are the clips, with one test for each time step.
        """
        z = self.embed(clip)
        error = F.mse_loss(self.predictor(z[:, :-1], actions), z[:, 1:])
        return error, self.regulariser(z, seed, step)

    def imagine(self, z: Tensor, actions: Tensor) -> Tensor:
        """latents [n, Z], actions [n, H, A] -> the latents that follow [n, H, Z]; predictions are fed back as if seen."""
        seen = [z]
        for step in range(actions.shape[1]):
            first = max(0, step + 1 - self.predictor.memory)
            seen.append(self.predictor(torch.stack(seen[first:], dim=1), actions[:, first : step + 1])[:, -1])
        return torch.stack(seen[1:], dim=1)
