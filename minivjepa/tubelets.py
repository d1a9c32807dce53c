"""From pixels to tokens: cut a clip into tubelets, embed them, and add their positions.

Built in lesson 1.  V-JEPA section 3 (arXiv 2404.08471); the 3-D positions follow its released code.
Axes, here and in every module: B clips, C channels, T H W frames and pixels, t h w the tubelet grid,
N = t*h*w tokens, K context tokens, M target tokens, D encoder width, P predictor width.
"""

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn


@dataclass(frozen=True)
class Grid:
    """The size of a clip and of its tubelets.  Raises ValueError if the tubelets don't tile the clip."""

    frames: int = 16  # Frames in a clip.
    height: int = 224  # Height of a frame, in pixels.
    width: int = 224  # Width of a frame, in pixels.
    tubelet: int = 2  # Frames in a tubelet.
    patch: int = 16  # Side of a tubelet, in pixels.
    channels: int = 3  # Color channels.

    def __post_init__(self) -> None:
        sides = {"frames": self.tubelet, "height": self.patch, "width": self.patch}
        for name, part in sides.items():
            whole = getattr(self, name)
            if part < 1 or whole < 1:
                raise ValueError(f"clip {name} is {whole} and its tubelet {part}; expected 1 or more for both")
            if whole % part:
                raise ValueError(
                    f"clip {name} is {whole}, which a tubelet of {part} does not divide; "
                    f"choose a multiple of {part}, for example {max(1, round(whole / part)) * part}"
                )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(t, h, w): tubelets along time, height and width."""
        return self.frames // self.tubelet, self.height // self.patch, self.width // self.patch

    @property
    def tokens(self) -> int:
        """N = t*h*w, the number of tubelets in a clip."""
        return math.prod(self.shape)

    @property
    def values(self) -> int:
        """Numbers in one tubelet: channels * tubelet * patch * patch."""
        return self.channels * self.tubelet * self.patch**2

    def check(self, clip: Tensor) -> None:
        """Raise ValueError unless `clip` is [B, C, T, H, W] of this grid's size."""
        expected = (self.channels, self.frames, self.height, self.width)
        if clip.ndim != 5 or tuple(clip.shape[1:]) != expected:
            raise ValueError(
                f"clip has shape {tuple(clip.shape)}, expected (B, C, T, H, W) = (B, {', '.join(map(str, expected))})"
            )


def patchify(clip: Tensor, grid: Grid) -> Tensor:
    """[B, C, T, H, W] -> [B, N, values]: one row of pixels per tubelet, ordered by time, height, width."""
    grid.check(clip)
    return rearrange(
        clip,
        "B C (t dt) (h dh) (w dw) -> B (t h w) (C dt dh dw)",
        dt=grid.tubelet,
        dh=grid.patch,
        dw=grid.patch,
    )


def unpatchify(tubelets: Tensor, grid: Grid) -> Tensor:
    """[B, N, values] -> [B, C, T, H, W]: the inverse of patchify."""
    t, h, w = grid.shape
    return rearrange(
        tubelets,
        "B (t h w) (C dt dh dw) -> B C (t dt) (h dh) (w dw)",
        t=t,
        h=h,
        w=w,
        dt=grid.tubelet,
        dh=grid.patch,
        dw=grid.patch,
    )


def gather_tokens(tokens: Tensor, ids: Tensor) -> Tensor:
    """[B, N, D] and ids [B, K] -> [B, K, D]: keep the tokens that a mask names.

    Raises ValueError unless the ids are int64 [B, K] with the same B as the tokens.
    """
    if ids.ndim != 2 or ids.dtype != torch.int64 or len(ids) != len(tokens):
        raise ValueError(
            f"mask has shape {tuple(ids.shape)} and type {ids.dtype}, expected int64 [B, K] with "
            f"B = {len(tokens)}: one row of kept token ids per clip"
        )
    return tokens.gather(1, ids[..., None].expand(-1, -1, tokens.shape[-1]))


def axis_positions(length: int, dims: int) -> Tensor:
    """[length, dims]: positions 0..length-1 as [sin | cos] at wavelengths from 2 pi to just under 10000 * 2 pi."""
    half = dims // 2
    omega = 10000.0 ** -(torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(length, dtype=torch.float64)[:, None] * omega
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def sincos_positions(grid: Grid, dims: int) -> Tensor:
    """float32 [N, dims]: fixed 3-D sine-cosine positions, dims in the order [time, height, width].

    Each axis gets ceil(dims / 6) * 2 numbers.  Then the table is cut to `dims`, as in the released code, so the
    width axis is complete only if 6 divides `dims`.
    """
    per_axis = math.ceil(dims / 6) * 2
    axes = [axis_positions(length, per_axis) for length in grid.shape]
    spread = torch.meshgrid(*(torch.arange(length) for length in grid.shape), indexing="ij")
    table = torch.cat([axis[where.flatten()] for axis, where in zip(axes, spread)], dim=1)
    return table[:, :dims].float()


def added_positions(grid: Grid, dims: int, scheme: str) -> Tensor:
    """What to add to the tokens: sincos_positions [N, dims], or zeros [N, 1] for the schemes in rotary.py."""
    return sincos_positions(grid, dims) if scheme == "sincos" else torch.zeros(grid.tokens, 1)


class TubeletEmbedding(nn.Module):
    """Tubelets -> vectors with positions.  The linear layer equals V-JEPA's Conv3d with kernel = stride."""

    positions: Tensor

    def __init__(self, grid: Grid, dim: int, positions: str = "sincos"):
        super().__init__()
        self.grid = grid
        self.project = nn.Linear(grid.values, dim)
        self.register_buffer("positions", added_positions(grid, dim, positions), persistent=False)

    def forward(self, clip: Tensor, ids: Tensor | None = None) -> Tensor:
        """[B, C, T, H, W] -> [B, N, D], or [B, K, D] with ids [B, K] of the tubelets to keep.

        Pixels are gathered before they're embedded, so a hidden tubelet costs nothing and can't leak.
        """
        tubelets = patchify(clip, self.grid)  # [B, N, values]
        if ids is None:
            return self.project(tubelets) + self.positions
        return self.project(gather_tokens(tubelets, ids)) + self.positions[ids]
