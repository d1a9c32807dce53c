"""What happens next if I do this?  The action-conditioned predictor of V-JEPA 2.

Read in lesson 12.  V-JEPA 2-AC (arXiv 2506.09985, section 3): the encoder is trained, then frozen, and sees one frame at a
time; a second, causal transformer predicts the features of the next frame from all frames so far, the actions, and the
robot's states.  Axes: T frames, n tokens per frame, A numbers in an action, S in a state.
"""

from collections.abc import Callable

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from minivjepa.encoder import Encoder
from minivjepa.objective import normalise_targets
from minivjepa.rotary import check_scheme, rotary_angles
from minivjepa.transformer import EPS, Block, head_width
from minivjepa.tubelets import Grid, patchify

FRAMES = 256  # encoded at once
Advance = Callable[[Tensor, Tensor], Tensor]  # (states [B, S], actions [B, A]) -> the states that follow [B, S]


class RawPixels(nn.Module):
    """In place of an encoder: a picture's pixels as one token, so that the main directions are those of pixels.

    height: of a square picture, in pixels.
    """

    def __init__(self, height: int):
        super().__init__()
        self.grid = Grid(1, height, height, 1, height)
        self.dim = self.grid.values

    def forward(self, clip: Tensor) -> Tensor:
        """[B, C, 1, H, W] -> [B, 1, C * H * W]."""
        return patchify(clip, self.grid)


@torch.no_grad()
def encode_frames(encoder: Encoder | RawPixels, clip: Tensor) -> Tensor:
    """clip [B, C, T, H, W] -> normalized features [B, T, n, D], each frame encoded separately.

    A frame is repeated to fill a tubelet, as in the released code.  Raises ValueError if the encoder's clip is longer than
    one tubelet.
    """
    grid = encoder.grid
    if grid.frames != grid.tubelet:
        raise ValueError(f"the encoder sees clips of {grid.frames} frames, expected one tubelet of {grid.tubelet}")
    still = repeat(clip, "B C T H W -> (B T) C dt H W", dt=grid.tubelet)
    tokens = torch.cat([encoder(part) for part in still.split(FRAMES)])
    return normalise_targets(rearrange(tokens, "(B T) n D -> B T n D", B=len(clip)))


class ActionPredictor(nn.Module):
    """Features, actions and states so far -> features of the next frame.

    frame: grid of one frame.  dim: D.  inner: the predictor's width P.  actions: A.  states: S.  positions: rotary, or
    rotary-tiled as in the released weights.
    """

    def __init__(
        self,
        frame: Grid,
        dim: int,
        inner: int,
        depth: int,
        heads: int,
        actions: int,
        states: int,
        positions: str = "rotary",
    ):
        super().__init__()
        self.head_dim = head_width(inner, heads)
        check_scheme(positions, self.head_dim)
        self.frame, self.positions = frame, positions
        self.enter = nn.Linear(dim, inner)
        self.enter_action = nn.Linear(actions, inner)
        self.enter_state = nn.Linear(states, inner)
        self.blocks = nn.ModuleList(Block(inner, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(inner, eps=EPS)
        self.leave = nn.Linear(inner, dim)

    def forward(self, z: Tensor, actions: Tensor, states: Tensor) -> Tensor:
        """z [B, T, n, D], actions [B, T, A], states [B, T, S] -> [B, T, n, D]: for each frame, a prediction of the next.

        Frame k reads frames 0 .. k, their actions and their states, and nothing later.  Raises ValueError if n is not the
        number of tokens of `frame`.
        """
        T, n = z.shape[1:3]
        if n != self.frame.tokens:
            raise ValueError(f"frames have {n} tokens each, expected {self.frame.tokens} of a grid {self.frame.shape}")
        first = [self.enter_action(actions)[:, :, None], self.enter_state(states)[:, :, None]]
        x = torch.cat([*first, self.enter(z)], dim=2)  # [B, T, 2 + n, P]: action, state, patches
        when = torch.arange(T, device=z.device).repeat_interleave(2 + n)  # the frame of every token
        allowed = when[:, None] >= when[None, :]  # frame-causal: within a frame, every token sees every other
        angles = self.angles(T, n, z)
        x = rearrange(x, "B T m P -> B (T m) P")
        for block in self.blocks:
            x = block(x, angles, allowed)
        x = rearrange(x, "B (T m) P -> B T m P", T=T)
        return self.leave(self.norm(x[:, :, 2:]))

    def angles(self, T: int, n: int, z: Tensor) -> Tensor | None:
        """Rotary angles [1, T (2 + n), r]: patches turn by time, row and column; actions and states only by time."""
        _, h, w = self.frame.shape
        clip = Grid(T, h, w, tubelet=1, patch=1)
        within = torch.cat([torch.zeros(2, dtype=torch.int64), torch.arange(n)])  # row 0 and column 0: no turn
        ids = torch.arange(T)[:, None] * n + within
        return rotary_angles(clip, ids.flatten()[None].to(z.device), self.head_dim, self.positions, z.dtype)


def rollout(predictor: ActionPredictor, z: Tensor, actions: Tensor, state: Tensor, advance: Advance) -> Tensor:
    """Imagine: first frame z [B, n, D], actions [B, T, A], first state [B, S] -> frames 1 .. T [B, T, n, D].

    Each prediction is fed back as if it had been seen; `advance` tells how an action changes the state.
    """
    seen, states = [z], [state]
    for step in range(actions.shape[1]):
        next_frame = predictor(torch.stack(seen, 1), actions[:, : step + 1], torch.stack(states, 1))[:, -1]
        seen.append(normalise_targets(next_frame))
        states.append(advance(states[-1], actions[:, step]))
    return torch.stack(seen[1:], dim=1)


def action_loss(
    predictor: ActionPredictor, z: Tensor, actions: Tensor, states: Tensor, advance: Advance, steps: int = 2
) -> tuple[Tensor, Tensor]:
    """(teacher-forcing loss, rollout loss), each a mean |.|; train on their sum (equations 2 to 4 of the paper).

    z [B, T + 1, n, D]: true frames; actions [B, T, A] and states [B, T, S] of the first T.  Teacher forcing predicts each
    next frame from true ones; the rollout imagines `steps` frames from the first, and only the last of them counts.  Raises
    ValueError for fewer than `steps` actions.
    """
    if actions.shape[1] < steps:
        raise ValueError(f"a rollout of {steps} steps needs as many actions, given {actions.shape[1]}")
    forced = normalise_targets(predictor(z[:, :-1], actions, states))
    imagined = rollout(predictor, z[:, 0], actions[:, :steps], states[:, 0], advance)
    return (forced - z[:, 1:]).abs().mean(), (imagined[:, -1] - z[:, steps]).abs().mean()
