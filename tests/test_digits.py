"""The clips: nothing about the motion may be read without seeing motion."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.linear_model import LogisticRegression

from minivjepa.data.digits import CLIPS, DigitClips, Factors
from minivjepa.data.protocol import DIRECTIONS, IDENTITIES, SPLITS, Budget, digit_split
from minivjepa.evaluation import judge as evaluation
from minivjepa.evaluation.controls import first_frame, pixel_direction, shuffled_frames
from minivjepa.evaluation.judge import Alter, encode_split, evaluation_clips
from minivjepa.figures.film_strips import HEADINGS, film_strip
from minivjepa.training.config import Config
from minivjepa.tubelets import Grid, patchify

GRID = Grid(8, 32, 32, 2, 8)
CLEAN = dataclasses.replace(CLIPS, noise=0.0)


def turned(factors: Factors, direction: int) -> Factors:
    """The same clips, all moving in one direction."""
    return dataclasses.replace(factors, direction=torch.full_like(factors.direction, direction))


def test_a_clip_alone_equals_the_same_clip_in_a_batch() -> None:
    """Catches: noise or factors drawn from a stream that the batch shares."""
    source = DigitClips(GRID)
    batch, factors = source.batch(5, torch.arange(7))
    clip, alone = source.batch(5, torch.tensor([3]))
    assert torch.equal(clip[0], batch[3])
    assert all(torch.equal(getattr(alone, f.name)[0], getattr(factors, f.name)[3]) for f in dataclasses.fields(factors))


def test_step_index_and_seed_give_other_clips() -> None:
    """Catches: an endless source that repeats itself."""
    first = DigitClips(GRID).batch(0, torch.arange(4))[0]
    assert not torch.equal(first, DigitClips(GRID).batch(1, torch.arange(4))[0])
    assert not torch.equal(first, DigitClips(GRID, seed=1).batch(0, torch.arange(4))[0])
    assert not torch.equal(first, DigitClips(GRID).batch(0, torch.arange(4) + 4)[0])


def test_the_first_frame_is_the_same_whatever_the_direction() -> None:
    """Catches: a start that depends on the direction, the leak that doubles every motion score. Bit for bit."""
    source, index = DigitClips(GRID), torch.arange(32)
    factors = source.factors(0, index)
    frames = [source.render(turned(factors, d), 0, index)[:, :, 0] for d in range(DIRECTIONS)]
    assert all(torch.equal(frames[0], other) for other in frames[1:])


def test_opposite_directions_are_the_same_frames_backwards() -> None:
    """Catches: anything but order that tells a direction from its opposite, which shuffled frames would leak."""
    source, index = DigitClips(GRID, rules=CLEAN), torch.arange(8)
    factors = turned(source.factors(0, index), 1)
    clip = source.render(factors, 0, index)
    moved = factors.speed[:, None] * 7 * torch.tensor([[2**-0.5, 2**-0.5]]) / 32
    back = turned(dataclasses.replace(factors, position=(factors.position + moved) % 1), 5)
    torch.testing.assert_close(source.render(back, 0, index).flip(2), clip, rtol=0, atol=2e-3)


def test_the_digit_moves_as_its_factors_say() -> None:
    """Catches: y and x swapped, a wrong speed or a wrong sense of rotation."""
    source, index = DigitClips(GRID, rules=CLEAN), torch.arange(64)
    factors = source.factors(0, index)
    ink = source.render(factors, 0, index).sum(dim=1) + 3 * CLIPS.mean / CLIPS.std  # [B, T, H, W]
    turn = torch.exp(2j * torch.pi * (torch.arange(32) + 0.5) / 32)
    angle = torch.stack([(ink.sum(3) @ turn.real + 1j * (ink.sum(3) @ turn.imag)).angle(),
                         (ink.sum(2) @ turn.real + 1j * (ink.sum(2) @ turn.imag)).angle()], dim=-1)  # fmt: skip
    step = (angle[:, 1:] - angle[:, :-1] + torch.pi) % (2 * torch.pi) - torch.pi
    velocity = step.mean(dim=1) * 32 / (2 * torch.pi)  # pixels a frame, (y, x)
    way = factors.direction * torch.pi / 4
    expected = factors.speed[:, None] * torch.stack([way.sin(), way.cos()], dim=1)
    assert (velocity - expected).abs().max() < 0.05


def test_the_frame_wraps_around() -> None:
    """Catches: a digit that is cut off at the edge, whose ink would then tell its position."""
    source, index = DigitClips(GRID, rules=CLEAN), torch.arange(16)
    clip = source.render(source.factors(0, index), 0, index) + CLIPS.mean / CLIPS.std
    ink = clip.sum(dim=(1, 3, 4))
    assert ((ink / ink[:, :1] - 1).abs() < 0.03).all()


def test_factors_are_uniform_and_independent() -> None:
    """Catches: a factor that gives another away."""
    found = DigitClips(GRID).factors(0, torch.arange(8000))
    assert stats.chisquare(torch.bincount(found.direction, minlength=DIRECTIONS)).pvalue > 1e-3
    table = np.zeros((DIRECTIONS, IDENTITIES))
    np.add.at(table, (found.direction.numpy(), found.identity.numpy()), 1)
    assert stats.chi2_contingency(table).pvalue > 1e-3
    for name in ("position", "color", "speed"):
        values = getattr(found, name).reshape(8000, -1)
        for column in values.T.numpy():
            groups = [column[found.direction.numpy() == d] for d in range(DIRECTIONS)]
            assert stats.f_oneway(*groups).pvalue > 1e-4
            assert stats.kstest((column - column.min()) / np.ptp(column), "uniform").pvalue > 1e-4


def test_splits_share_no_handwriting_and_hold_every_digit() -> None:
    """Catches: the same image in training and test, with which identity is memory."""
    parts = digit_split()
    pictures = {name: {image.tobytes() for image in images} for name, (images, _) in parts.items()}
    assert sum(len(images) for images, _ in parts.values()) == 1797
    for name in SPLITS:
        assert set(parts[name][1].tolist()) == set(range(10))
        for other in SPLITS:
            assert name == other or not pictures[name] & pictures[other]


def test_evaluation_clips_of_different_splits_have_different_factors() -> None:
    """Catches: one data seed for all splits, which would repeat motions between training and test clips."""
    drawn = [
        evaluation_clips(Config(grid=GRID), split, torch.device("cpu")).factors(0, torch.arange(9)).position
        for split in SPLITS
    ]
    for a, b in ((0, 1), (1, 2), (0, 2)):
        assert not torch.equal(drawn[a], drawn[b])


@pytest.mark.parametrize("grid", [Grid(4, 16, 16, 2, 8), Grid(4, 32, 64, 2, 8), Grid(2, 224, 224, 2, 16)])
def test_clips_scale_with_the_frame(grid: Grid) -> None:
    """Catches: a digit of 20 pixels on any frame."""
    clip, _ = DigitClips(grid, rules=CLEAN).batch(0, torch.arange(8))
    share = ((clip + CLIPS.mean / CLIPS.std).amax(dim=(1, 2)) > 0.2).float().mean()
    assert 0.05 < share * grid.width / grid.height < 0.5


def test_the_film_strip_says_in_words_what_it_shows() -> None:
    """Catches: alt text of other clips than those drawn; a heading that is upside down."""
    factors = evaluation_clips(Config(grid=GRID), "test", torch.device("cpu")).factors(0, torch.arange(3))
    picture = film_strip(GRID)
    for digit, direction in zip(factors.identity.tolist(), factors.direction.tolist()):
        assert f"{digit} moves {HEADINGS[direction]}" in picture.alt
    assert picture.png().startswith(b"\x89PNG")
    assert HEADINGS[2] == "down"  # y grows downwards on the screen and direction 2 is 90 degrees


def test_unknown_split_is_refused() -> None:
    """Catches: a misspelt split that falls back to training images."""
    with pytest.raises(ValueError, match="unknown split 'tets'"):
        DigitClips(GRID, "tets")


def read_direction(alter: Alter | None) -> tuple[float, float]:
    """(accuracy, share of right senses among right axes) of a motion detector on held-out altered clips."""
    budget = Budget(2000, 100, 1000)

    def encode(clip: torch.Tensor) -> torch.Tensor:
        ink = clip.sum(dim=1).clamp_min(0)  # [B, T, H, W]
        spectrum = torch.fft.fft2(ink)[:, :, :3, :3]
        turn = (spectrum[:, 1:] * spectrum[:, :-1].conj()).flatten(2)  # phase steps between frames
        return torch.cat([turn.real, turn.imag, ink[:, :-1, ::4, ::4].flatten(2)], dim=2).mean(dim=1, keepdim=True)

    train, test = (
        encode_split(encode, Config(grid=GRID), split, budget, torch.device("cpu"), alter)
        for split in ("train", "test")
    )
    x, y = (torch.nn.functional.normalize(part.pooled - train.pooled.mean(0), dim=1).numpy() for part in (train, test))
    said = LogisticRegression(max_iter=400, C=10).fit(x, train.direction.numpy()).predict(y)
    truth = test.direction.numpy()
    right_axis = said % 4 == truth % 4
    return float((said == truth).mean()), float((said == truth)[right_axis].mean())


def test_direction_is_at_chance_in_one_frame_even_for_a_motion_detector() -> None:
    """Catches: any leak. The same detector must read the direction when it sees frames in order."""
    accuracy, sense = read_direction(None)
    assert accuracy > 0.6
    assert sense > 0.9
    assert abs(read_direction(first_frame)[0] - 1 / 8) < 0.05


class LeakyClips(DigitClips):
    """The leak that costs every careless dataset its meaning: the start is chosen so that the digit is mid-frame mid-clip."""

    def factors(self, step: int, index: torch.Tensor) -> Factors:
        found = super().factors(step, index)
        angle = found.direction * torch.pi / 4
        way = torch.stack([angle.sin(), angle.cos()], dim=1) * found.speed[:, None] * self.grid.frames / 2
        return dataclasses.replace(found, position=(10 - 3 * way) / 32 + 0.3 * found.position)


def test_the_controls_find_a_planted_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a control that scores chance whatever the data do."""
    budget = Budget(1500, 100, 800)
    assert abs(pixel_direction(Config(grid=GRID), budget, torch.device("cpu"), first_frame) - 1 / 8) < 0.05
    monkeypatch.setattr(
        evaluation, "known_clips", lambda grid, split, seed, device, rules: LeakyClips(grid, split, seed)
    )
    assert pixel_direction(Config(grid=GRID), budget, torch.device("cpu"), first_frame) > 1 / 8 + 0.1


def test_shuffled_frames_do_not_tell_which_way_along_the_axis() -> None:
    """Catches: an order that survives shuffling. A set of frames shows a line, so an axis, and no sense on it."""
    accuracy, sense = read_direction(shuffled_frames)
    assert accuracy < 0.5
    assert abs(sense - 0.5) < 0.07


def test_shuffling_moves_whole_frames_and_depends_on_the_sample_only() -> None:
    """Catches: one permutation for all clips, with which a probe could learn the order back."""
    clip = torch.arange(6.0).reshape(1, 1, 6, 1, 1).expand(40, 3, 6, 2, 2)
    index = torch.arange(40)
    mixed = shuffled_frames(clip, index)
    assert torch.equal(mixed.sort(dim=2).values, clip)
    assert len(mixed[:, 0, :, 0, 0].unique(dim=0)) > 20
    assert torch.equal(shuffled_frames(clip[3:4], index[3:4])[0], mixed[3])


def test_altered_first_frame_has_no_motion() -> None:
    """Catches: a control that keeps some frames."""
    clip, _ = DigitClips(GRID).batch(0, torch.arange(3))
    tokens = patchify(first_frame(clip, torch.arange(3)), GRID).reshape(3, 4, 16, -1)
    assert torch.equal(tokens, tokens[:, :1].expand_as(tokens))
