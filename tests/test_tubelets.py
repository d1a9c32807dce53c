import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from minivjepa.tubelets import Grid, TubeletEmbedding, gather_tokens, patchify, sincos_positions, unpatchify

sizes = st.integers(1, 3)
grids = st.builds(
    lambda t, h, w, tubelet, patch, channels: Grid(t * tubelet, h * patch, w * patch, tubelet, patch, channels),
    sizes, sizes, sizes, sizes, st.integers(1, 4), st.sampled_from([1, 3]),
)  # fmt: skip


@given(grids, st.integers(0, 2))
def test_unpatchify_undoes_patchify_for_any_grid(grid: Grid, clips: int) -> None:
    """Catches: a swapped axis in either einops pattern, which square grids would hide."""
    clip = torch.randn(clips, grid.channels, grid.frames, grid.height, grid.width)
    tubelets = patchify(clip, grid)
    assert tubelets.shape == (clips, grid.tokens, grid.values)
    assert torch.equal(unpatchify(tubelets, grid), clip)


def test_the_papers_clip_has_1568_tokens() -> None:
    """Catches: a wrong default geometry."""
    assert Grid(16, 224, 224).shape == (8, 14, 14)
    assert Grid(16, 224, 224).tokens == 8 * 14 * 14 == 1568


def test_tokens_are_in_time_height_width_order(grid: Grid) -> None:
    """Catches: any other flattening order; token i of a slow loop must be token i of patchify."""
    clip = torch.randn(1, 3, 4, 16, 24)
    rows = [
        clip[0, :, f : f + 2, y : y + 8, x : x + 8].flatten()
        for f in range(0, 4, 2)
        for y in range(0, 16, 8)
        for x in range(0, 24, 8)
    ]
    assert torch.equal(patchify(clip, grid)[0], torch.stack(rows))


def test_the_linear_embedding_is_the_papers_conv3d(grid: Grid) -> None:
    """Catches: pixels inside a tubelet in another order than Conv3d's weights, which would break released weights."""
    embed = TubeletEmbedding(grid, 12)
    conv = nn.Conv3d(3, 12, (2, 8, 8), (2, 8, 8))
    conv.weight.data = embed.project.weight.data.reshape(conv.weight.shape).clone()
    conv.bias.data = embed.project.bias.data.clone()
    clip = torch.randn(2, 3, 4, 16, 24)
    expected = conv(clip).flatten(2).transpose(1, 2) + embed.positions
    torch.testing.assert_close(embed(clip), expected)


def test_embedding_kept_tubelets_equals_keeping_embedded_tubelets(grid: Grid) -> None:
    """Catches: positions gathered with other ids than pixels."""
    embed, clip = TubeletEmbedding(grid, 12), torch.randn(2, 3, 4, 16, 24)
    ids = torch.tensor([[0, 5, 7], [11, 2, 3]])
    torch.testing.assert_close(embed(clip, ids), gather_tokens(embed(clip), ids))


@pytest.mark.parametrize("dims", [12, 16, 64, 96])
def test_positions_are_sines_and_cosines_in_time_height_width_order(dims: int) -> None:
    """Catches: axes in another order, sin and cos interleaved, a wrong cut where 6 does not divide the width."""
    table = sincos_positions(Grid(6, 16, 24, 2, 8), dims)  # t, h, w = 3, 2, 3
    per_axis = -(-dims // 6) * 2
    where = torch.tensor([(t, h, w) for t in range(3) for h in range(2) for w in range(3)])
    for number in range(dims):
        axis, rest = divmod(number, per_axis)
        wave, half = rest % (per_axis // 2), per_axis // 2
        angle = where[:, axis] * 10000.0 ** (-wave / half)
        torch.testing.assert_close(table[:, number], angle.sin() if rest < half else angle.cos())


def test_every_position_is_its_own() -> None:
    """Catches: two tokens with the same position, which attention could not tell apart."""
    table = sincos_positions(Grid(8, 32, 32, 2, 8), 48)
    assert len(table.unique(dim=0)) == 64


@pytest.mark.parametrize(("sizes", "name"), [((5, 16, 24), "frames"), ((4, 15, 24), "height"), ((4, 16, 20), "width")])
def test_a_clip_that_tubelets_do_not_divide_is_refused_by_name(sizes: tuple[int, int, int], name: str) -> None:
    """Catches: silent cropping of the last frames or pixels."""
    with pytest.raises(ValueError, match=f"clip {name} is .* does not divide; choose a multiple of"):
        Grid(*sizes, 2, 8)


@pytest.mark.parametrize("sizes", [(0, 16, 24, 2, 8), (4, 16, 24, 0, 8), (4, 16, 24, 2, 0), (4, -16, 24, 2, 8)])
def test_sizes_of_nothing_are_refused(sizes: tuple[int, ...]) -> None:
    """Catches: a division by zero, or advice to choose a multiple of 0."""
    with pytest.raises(ValueError, match="expected 1 or more for both"):
        Grid(*sizes)


def test_a_clip_of_another_size_is_refused(grid: Grid) -> None:
    """Catches: an einops message that names no expectation."""
    with pytest.raises(ValueError, match=r"expected \(B, C, T, H, W\)"):
        patchify(torch.zeros(1, 3, 4, 24, 16), grid)


@pytest.mark.parametrize("ids", [torch.tensor([0, 1]), torch.tensor([[0, 1]]), torch.tensor([[0.0], [1.0]])])
def test_a_mask_that_is_not_one_row_of_ids_per_clip_is_refused(ids: torch.Tensor) -> None:
    """Catches: a 1-D mask that would broadcast over the batch and give wrong tokens without a word."""
    with pytest.raises(ValueError, match=r"expected int64 \[B, K\]"):
        gather_tokens(torch.zeros(2, 4, 3), ids)
