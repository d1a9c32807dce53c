"""Rotary positions: attention depends on how far two tubelets are apart, and the released quirk does not."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minivjepa.rotary import rotary_angles, rotate
from minivjepa.tubelets import Grid

GRID = Grid(12, 40, 56, 2, 8)  # t, h, w = 6, 5, 7


def similarity(a: int, b: int, head: int, scheme: str) -> torch.Tensor:
    """q . k of one random query at tubelet a and one random key at tubelet b."""
    generator = torch.Generator().manual_seed(head)
    q, k = torch.randn(2, 1, 1, 1, head, generator=generator, dtype=torch.float64)
    turned = []
    for x, i in ((q, a), (k, b)):
        angles = rotary_angles(GRID, torch.tensor([[i]]), head, scheme, torch.float64)
        assert angles is not None
        turned.append(rotate(x, angles))
    return (turned[0] * turned[1]).sum()


@given(
    st.integers(6, 40),
    st.integers(0, 104),
    st.integers(0, 104),
    st.integers(0, 2),
    st.integers(0, 1),
    st.integers(0, 2),
)
def test_similarity_depends_on_the_distance_along_each_axis(head: int, a: int, b: int, t: int, y: int, x: int) -> None:
    """Catches: axes swapped, rows counted with the height, a pair whose numbers turn by different angles."""
    (ta, ya, xa), (tb, yb, xb) = ((i // 35, i // 7 % 5, i % 7) for i in (a, b))
    if max(ya, yb) + y < 5 and max(xa, xb) + x < 7:
        moved = [(ti + t) * 35 + (yi + y) * 7 + xi + x for ti, yi, xi in ((ta, ya, xa), (tb, yb, xb))]
        torch.testing.assert_close(similarity(a, b, head, "rotary"), similarity(*moved, head, "rotary"))


def test_the_released_quirk_does_not() -> None:
    """Catches: the two schemes confused. What the released weights compute depends on where the pair is, too."""
    assert (similarity(0, 1, 24, "rotary-tiled") - similarity(3, 4, 24, "rotary-tiled")).abs() > 1e-3
    assert (similarity(0, 1, 24, "rotary") - similarity(3, 4, 24, "rotary")).abs() < 1e-12


@pytest.mark.parametrize("head", [6, 13, 24, 64])
def test_each_axis_turns_a_third_and_the_rest_stays(head: int) -> None:
    """Catches: numbers left over that are turned, lengths that change, frequencies of another base."""
    ids = torch.arange(GRID.tokens)[None]
    angles = rotary_angles(GRID, ids, head, "rotary", torch.float64)
    assert angles is not None
    pairs = head // 6
    assert angles.shape == (1, GRID.tokens, 6 * pairs)
    assert angles[0, 35, : 2 * pairs].tolist() == pytest.approx([10000 ** -(i // 2 / pairs) for i in range(2 * pairs)])
    assert angles[0, 35, 2 * pairs :].abs().max() == 0  # one step in time, none in height and width
    x = torch.randn(1, 2, GRID.tokens, head, dtype=torch.float64)
    turned = rotate(x, angles)
    assert torch.equal(turned[..., 6 * pairs :], x[..., 6 * pairs :])
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[:, :, 0], x[:, :, 0])  # the first tubelet stays where it is


def test_angles_stay_exact_in_bfloat16() -> None:
    """Catches: positions rounded to 8 bits under autocast; queries that come back in another type."""
    ids = torch.arange(GRID.tokens)[None]
    coarse = rotary_angles(GRID, ids, 24, "rotary", torch.bfloat16)
    fine = rotary_angles(GRID, ids, 24, "rotary", torch.float64)
    assert coarse is not None
    assert fine is not None
    torch.testing.assert_close(coarse.double(), fine, rtol=1e-6, atol=1e-6)
    assert rotate(torch.randn(1, 1, GRID.tokens, 24).bfloat16(), coarse).dtype == torch.bfloat16
    assert rotary_angles(GRID, ids, 24, "sincos", torch.float32) is None


def released_counting(ids: torch.Tensor, side: int) -> torch.Tensor:
    """Ids [n] -> (t, y, x) [n, 3] as V-JEPA 2's predictor counts, which takes its frames for squares of this side."""
    return torch.stack([ids // side**2, ids % side**2 // side, ids % side], dim=1)


@pytest.mark.parametrize(("height", "width", "equal"), [(4, 4, True), (4, 6, False), (6, 4, False)])
def test_positions_are_the_released_predictors_on_squares_only(height: int, width: int, equal: bool) -> None:
    """Catches: a row of our table on fidelity that is wrong; rows counted by the height."""
    grid = Grid(6, height * 8, width * 8, 2, 8)
    ids = torch.arange(grid.tokens)
    ours = torch.stack(torch.meshgrid(*map(torch.arange, grid.shape), indexing="ij"), dim=-1).view(-1, 3)
    assert torch.equal(released_counting(ids, height), ours) is equal
    angles = rotary_angles(grid, ids[None], 12, "rotary", torch.float64)[0]
    theirs = rotary_angles(Grid(200, height * 8, height * 8, 2, 8), ids[None], 12, "rotary", torch.float64)[0]
    assert torch.equal(angles, theirs) is equal
