"""The decoder and `minivjepa imagine` paint predictions, nothing that was visible, and refuse what they cannot do."""

from pathlib import Path

import pytest
import torch

from minivjepa.data.digits import DigitClips
from minivjepa.evaluation import decoder
from minivjepa.training.arms import with_arm
from minivjepa.training.config import Config
from minivjepa.training.recipe import build_model, sample_masks
from minivjepa.tubelets import gather_tokens, patchify
from tests.test_cli import TINY, call, refused

CPU = torch.device("cpu")


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "STEPS", 30)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("arm", ["vjepa", "no-ema", "pixels"])
def test_imagined_clips_keep_what_the_encoder_saw_and_paint_the_rest(tiny: Config, arm: str) -> None:
    """Catches: the truth shown in place of a prediction; visible tubelets repainted; targets of another width than the decoder's."""
    config = with_arm(tiny, arm)
    model, source = build_model(config), DigitClips(config.grid)
    painter = decoder.train_decoder(model, config, source, CPU)
    clip, _ = source.batch(1, torch.arange(4))
    [mask] = sample_masks(config, 1, torch.arange(4))
    painted = patchify(decoder.imagine(model, painter, clip, mask), config.grid)
    pixels = patchify(clip, config.grid)
    assert torch.equal(gather_tokens(painted, mask[0]), gather_tokens(pixels, mask[0]))
    assert (gather_tokens(painted, mask[1]) - gather_tokens(pixels, mask[1])).abs().min(dim=-1).values.max() > 0
    hidden = pixels.clone().scatter_(1, mask[1][..., None].expand(-1, -1, pixels.shape[-1]), 9.0)
    again = decoder.imagine(model, painter, decoder.unpatchify(hidden, config.grid), mask)
    torch.testing.assert_close(gather_tokens(patchify(again, config.grid), mask[1]), gather_tokens(painted, mask[1]))


@pytest.mark.usefixtures("few_steps")
def test_a_decoder_learns_and_leaves_the_model_as_it_was(tiny: Config) -> None:
    """Catches: an encoder that is trained along, and flatters; a decoder that paints the mean for everything."""
    model, source = build_model(tiny), DigitClips(tiny.grid)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    painter = decoder.train_decoder(model, tiny, source, CPU)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    clip, _ = source.batch(50, torch.arange(64))
    [mask] = sample_masks(tiny, 50, torch.arange(64))
    errors = decoder.imagination_errors(model, painter, clip, mask)
    assert list(errors) == ["imagined", "other_context", "true_features", "mean_clip"]
    assert errors["true_features"] < 0.9 * errors["mean_clip"]
    assert errors["imagined"] != errors["other_context"]


@pytest.mark.usefixtures("few_steps")
def test_imagine_writes_a_film_with_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a film without motion, or one that hides how large its errors are."""
    from PIL import Image

    for arm in ("vjepa", "neither"):
        assert call("train", *TINY, "--arm", arm, "--steps", "10", "--out", str(tmp_path / arm)) == 0
    film = tmp_path / "film.gif"
    assert (
        call("imagine", str(tmp_path / "vjepa"), str(tmp_path / "neither"), "--picture", str(film), "--clips", "2") == 0
    )
    said = capsys.readouterr().out
    assert all(name in said for name in ("vjepa", "neither", "untrained", "imagined", "other context", "mean clip"))
    with Image.open(film) as image:
        assert image.n_frames == 4


def test_imagine_refuses_what_it_cannot_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: runs of other clips in one film, a film that is overwritten, an old run without a checkpoint."""
    assert call("train", *TINY, "--steps", "4", "--out", str(tmp_path / "plain")) == 0
    behind = ("--clips.background", "still", "--clips.strength", "1")
    assert call("train", *TINY, "--steps", "4", *behind, "--out", str(tmp_path / "still")) == 0
    film = ("--picture", str(tmp_path / "film.gif"))
    both = (str(tmp_path / "plain"), str(tmp_path / "still"))
    assert "trained on other clips or masks" in refused(capsys, "imagine", *both, *film)
    assert "expected 1 run or more" in refused(capsys, "imagine", *film)
    assert "1 to 256 clips" in refused(capsys, "imagine", both[0], *film, "--clips", "0")
    assert "expected a name ending in .gif" in refused(capsys, "imagine", both[0], "--picture", "a.png")
    assert not (tmp_path / "film.gif").exists()


def test_rules_for_digits_are_refused_where_there_are_no_digits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a nuisance that is asked for and silently left out."""
    behind = ("--clips.background", "new", "--clips.strength", "1", "--out", str(tmp_path / "out"))
    assert "says what digits look like" in refused(capsys, "train", *TINY, "--data", "film.mp4", *behind)
    assert not (tmp_path / "out").exists()
