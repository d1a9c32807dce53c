"""Clips with a background, and windows that slide over photographs: what is in them, and that nothing leaks."""

import math

import pytest
import torch

from minivjepa.data.digits import CLIPS, ClipRules, DigitClips
from minivjepa.data.photographs import PHOTOGRAPHS, PhotoClips, photographs
from minivjepa.data.protocol import SPLITS, Budget
from minivjepa.evaluation.controls import first_frame, pixel_direction, shuffled_frames
from minivjepa.evaluation.judge import Alter
from minivjepa.training.config import Config
from minivjepa.tubelets import Grid

GRID = Grid(frames=8, height=32, width=32, tubelet=2, patch=8)
CPU = torch.device("cpu")
KINDS = ("new", "still", "drifting")


def rules(background: str, strength: float = 1.0) -> ClipRules:
    return ClipRules(background=background, strength=strength)


def background(kind: str, count: int = 512, grid: Grid = GRID) -> torch.Tensor:
    """The background of clips, [B, T, H, W]: what they have, and clips without it have not."""
    index, behind = torch.arange(count), rules(kind)
    with_it, without = (
        DigitClips(grid, rules=found).batch(0, index)[0] * found.pixel_scale[1] for found in (behind, CLIPS)
    )
    assert torch.allclose((with_it - without).std(dim=1), torch.zeros(()), atol=1e-5)  # the same in all colors
    return (with_it - without).mean(dim=1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_background_is_added_to_the_same_digits_and_the_same_noise(kind: str) -> None:
    """Catches: a nuisance that draws from the digits' random stream, so that strengths show other digits."""
    index = torch.arange(6)
    plain, factors = DigitClips(GRID, seed=3).batch(2, index)
    behind, far = rules(kind, 0.5), rules(kind, 1.0)
    (clip, same), (more, _) = (DigitClips(GRID, seed=3, rules=found).batch(2, index) for found in (behind, far))
    assert torch.equal(factors.position, same.position)
    added, twice = clip * behind.pixel_scale[1] - plain * CLIPS.std, more * far.pixel_scale[1] - plain * CLIPS.std
    torch.testing.assert_close(2 * added, twice, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_strength_is_the_standard_deviation_in_units_of_the_clips_own(kind: str) -> None:
    """Catches: a background that interpolation makes weaker than its number says, and pixels that are not normalised by it."""
    assert math.isclose(float(background(kind).std()), CLIPS.std, rel_tol=0.02)
    clip, _ = DigitClips(GRID, rules=rules(kind, 2.0)).batch(0, torch.arange(256))
    assert 0.9 < float(clip.std()) < 1.1


def test_a_new_background_has_nothing_to_do_with_the_frame_before() -> None:
    """Catches: a pattern that is drawn once per clip."""
    found = background("new")
    alike = torch.nn.functional.cosine_similarity(found[:, 1:].flatten(2), found[:, :-1].flatten(2), dim=2)
    assert abs(float(alike.mean())) < 0.02


def test_a_still_background_never_moves_and_differs_between_clips() -> None:
    """Catches: a nuisance shared by all clips, which features could ignore."""
    found = background("still", 8)
    torch.testing.assert_close(found, found[:, :1].expand_as(found), atol=1e-5, rtol=0)
    assert len(found[:, 0, 0, 0].unique()) == 8


def test_a_drifting_background_keeps_its_pattern_and_moves_independently_of_the_digit() -> None:
    """Catches: a drift that gives the digit's direction away."""
    found = background("drifting", 2000)
    turn = (
        torch.fft.fft2(found[:, 1])[:, 0, 1] * torch.fft.fft2(found[:, 0])[:, 0, 1].conj()
    )  # phase of a step to the right
    directions = DigitClips(GRID).factors(0, torch.arange(2000)).direction
    right = torch.tensor([turn.imag[directions == d].sign().mean() for d in range(8)])
    assert right.abs().max() < 0.2
    power = torch.fft.fft2(found).abs()[:, :, 0, 1]
    torch.testing.assert_close(power[:, 1:], power[:, :1].expand_as(power[:, 1:]), rtol=0.2, atol=3.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"background": "fog", "strength": 1.0}, "unknown background 'fog'; choose from none, new, still, drifting"),
        ({"background": "new", "strength": -1.0}, "strength is -1.0, expected 0 or more"),
        ({"background": "new", "strength": math.inf}, "strength is inf"),
        ({"background": "new"}, "background is new and strength 0.0"),
        ({"strength": 1.0}, "background is none and strength 1.0"),
        ({"shows": "fotos"}, "unknown clips 'fotos'; choose from digits, photographs"),
        (
            {"shows": "photographs", "noise": 0.1, "digit": 9.0},
            "digit, noise would change nothing in clips of photographs",
        ),
    ],
)
def test_a_background_that_would_do_nothing_is_refused(values: dict[str, float], message: str) -> None:
    """Catches: a run that believes it had a nuisance."""
    with pytest.raises(ValueError, match=message):
        ClipRules(**values)


@pytest.mark.parametrize("clips", [*map(rules, KINDS), PHOTOGRAPHS], ids=[*KINDS, "photographs"])
@pytest.mark.parametrize("alter", [first_frame, shuffled_frames])
def test_neither_one_frame_nor_frames_out_of_order_give_the_direction_away(clips: ClipRules, alter: Alter) -> None:
    """Catches: a leak. The same reader finds the direction in whole clips of today."""
    budget = Budget(1500, 100, 800)
    assert abs(pixel_direction(Config(clips=clips), budget, CPU, alter) - 1 / 8) < 0.05


def test_a_window_shows_the_photograph_where_it_stands() -> None:
    """Catches: windows off by half a pixel, x and y exchanged, or moving with what is seen."""
    source, (mean, std) = PhotoClips(GRID, "test"), PHOTOGRAPHS.pixel_scale
    right, down = torch.tensor([0]), torch.tensor([2])
    start = source.reach
    for heading, (y, x) in ((right, (0, -3)), (down, (-3, 0))):
        clip = source.slide(torch.tensor([1]), heading, torch.zeros(1, 2), torch.ones(1))
        expected = photographs()[1][:, start + y : start + y + 32, 512 + start + x : 512 + start + x + 32]
        torch.testing.assert_close(clip[0, :, 3] * std + mean, expected, atol=1e-4, rtol=0)


def test_windows_of_different_splits_never_share_a_pixel() -> None:
    """Catches: a window that reaches over the border of its stripe, on either side."""
    for split in SPLITS:
        source = PhotoClips(GRID, split)
        assert source.reach >= CLIPS.fastest * 7  # else an index below 0 would read the other side
        for direction in range(8):
            last, fast = torch.full((1, 2), 1.0 - 2**-24), torch.tensor([CLIPS.fastest])
            source.slide(torch.tensor([0]), torch.tensor([direction]), last, fast)  # IndexError past the far border
    edges = [PhotoClips(GRID, split).stripe.shape[-1] for split in SPLITS]
    assert sum(edges) == photographs().shape[-1]


def test_photographs_refuse_what_does_not_fit() -> None:
    """Catches: windows that wrap around the other side."""
    with pytest.raises(ValueError, match="does not fit into a stripe"):
        PhotoClips(Grid(frames=16, height=128, width=128, tubelet=2, patch=16), "test")
    with pytest.raises(ValueError, match="unknown split 'tets'"):
        PhotoClips(GRID, "tets")


def test_a_clip_of_a_photograph_depends_on_its_index_alone() -> None:
    """Catches: clips that differ when a batch is split over processes."""
    source = PhotoClips(GRID, seed=1)
    whole, factors = source.batch(4, torch.arange(6))
    part, some = source.batch(4, torch.tensor([2, 5]))
    torch.testing.assert_close(part, whole[[2, 5]])
    assert torch.equal(some.direction, factors.direction[[2, 5]])
