"""The decoder and `minivjepa imagine` paint predictions, nothing that was visible, and refuse what they cannot do."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from minivjepa.data.digits import DigitClips
from minivjepa.evaluation import decoder
from minivjepa.training.arms import with_arm
from minivjepa.training.config import Config, from_dict
from minivjepa.training.recipe import build_model, sample_masks, target_width
from minivjepa.tubelets import Grid, gather_tokens, patchify
from minivjepa.vjepa import VJEPA
from minivjepa.world.painted import painted_rollouts, step_errors
from minivjepa.world.world_clips import WorldClips
from minivjepa.world.world_recipe import WorldConfig, build_lewm
from minivjepa.world.world_trainer import open_clips
from tests.test_cli import TINY, call, refused
from tests.test_world_command import SMALL, SMALL_UNTRAINED

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder, "STEPS", 30)


def trained_painter(model: VJEPA, config: Config, source: DigitClips) -> decoder.Decoder:
    features = partial(decoder.targets_without_gradient, model)
    return decoder.train_decoder(features, config.grid, target_width(config), source, config.seed, CPU)


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("arm", ["vjepa", "no-ema", "pixels"])
def test_imagined_clips_keep_what_the_encoder_saw_and_paint_the_rest(tiny: Config, arm: str) -> None:
    """Catches: the truth shown in place of a prediction; visible tubelets repainted; targets of another width than the decoder's."""
    config = with_arm(tiny, arm)
    model, source = build_model(config), DigitClips(config.grid)
    painter = trained_painter(model, config, source)
    clip, _ = source.batch(1, torch.arange(4))
    [mask] = sample_masks(config, 1, torch.arange(4))

    def imagined(seen: torch.Tensor) -> torch.Tensor:
        found = decoder.painted(model, painter, seen, mask)["imagined"]
        return patchify(decoder.with_hidden(seen, mask[1], found, config.grid), config.grid)

    painted = imagined(clip)
    pixels = patchify(clip, config.grid)
    assert torch.equal(gather_tokens(painted, mask[0]), gather_tokens(pixels, mask[0]))
    assert (gather_tokens(painted, mask[1]) - gather_tokens(pixels, mask[1])).abs().min(dim=-1).values.max() > 0
    hidden = pixels.clone().scatter_(1, mask[1][..., None].expand(-1, -1, pixels.shape[-1]), 9.0)
    again = imagined(decoder.unpatchify(hidden, config.grid))
    torch.testing.assert_close(gather_tokens(again, mask[1]), gather_tokens(painted, mask[1]))


@pytest.mark.usefixtures("few_steps")
def test_a_decoder_learns_and_leaves_the_model_as_it_was(tiny: Config) -> None:
    """Catches: an encoder that is trained along, and flatters; a decoder that paints the mean for everything."""
    model, source = build_model(tiny), DigitClips(tiny.grid)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    painter = trained_painter(model, tiny, source)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    clip, _ = source.batch(50, torch.arange(64))
    [mask] = sample_masks(tiny, 50, torch.arange(64))
    errors = decoder.painting_errors(decoder.painted(model, painter, clip, mask), clip, mask[1], tiny.grid)
    assert list(errors) == ["imagined", "other_context", "true_features", "mean_clip"]
    assert errors["true_features"] < 0.9 * errors["mean_clip"]
    assert errors["imagined"] != errors["other_context"]


def test_another_context_is_asked_for_the_same_places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: predictions for the places that are hidden in another clip, which look worse than they are."""
    config = Config(grid=Grid(4, 16, 16, 2, 8), masks=("tube:0.5",))
    model = build_model(config)
    clip, _ = DigitClips(config.grid).batch(0, torch.arange(8))
    [mask] = sample_masks(config, 0, torch.arange(8))
    assert not torch.equal(mask[1], mask[1].roll(1, 0))

    class Off(torch.nn.Module):
        """Paints how far a prediction is from the place that was asked for."""

        grid = config.grid

        def forward(self, z: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
            return z[..., :1] - ids[..., None]

    monkeypatch.setattr(model, "predict", lambda clip, masks: [ids[..., None].float() for _, ids in masks])
    found = decoder.painted(model, Off(), clip, mask)
    assert not found["imagined"].any()
    assert not found["other_context"].any()


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


def test_a_world_model_imagines_what_actions_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: actions of another clip for a clip's own, a step compared with its neighbour, a decoder that is given true latents.

    The model is the LeWorldModel that lesson 12 loads.
    """
    monkeypatch.setattr(decoder, "BATCH", 16)
    saved = torch.load(ROOT / "results" / "world.pt", weights_only=True)["lewm"]
    config = from_dict(WorldConfig, saved["config"])
    model = build_lewm(config)
    model.load_state_dict(saved["model"])
    model.eval().requires_grad_(False)
    grid, source = replace(config.clips, patch=config.size), open_clips(config, CPU)
    painters = []
    for steps in (5, 5, 150):
        monkeypatch.setattr(decoder, "STEPS", steps)
        painters.append(decoder.train_decoder(model.embed, grid, config.latent, source, 0, CPU))
    assert all(torch.equal(a, b) for a, b in zip(painters[0].parameters(), painters[1].parameters()))
    clip, journey = WorldClips(replace(config.clips, frames=7), 1).batch(0, torch.arange(64))
    painted = painted_rollouts(model, painters[2], clip, journey.actions)
    errors = {name: step_errors(future, clip) for name, future in painted.items()}
    mean_frame, first_frame = step_errors(clip.mean(dim=(0, 2), keepdim=True), clip), step_errors(clip[:, :, :1], clip)
    for step in range(6):
        assert errors["true latents"][step] < 0.6 * mean_frame[step]
        assert errors["true latents"][step] < errors["imagined"][step] < mean_frame[step] < first_frame[step]
        assert errors["imagined"][step] < 0.6 * errors["other actions"][step]
    assert step_errors(clip[:, :, 1:], clip) == [0.0] * 6


@pytest.mark.usefixtures("few_steps")
def test_imagine_paints_world_models_step_by_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a kind of world model that cannot be painted; errors of one run under another's name; other worlds in one film."""
    from PIL import Image

    runs = {name: str(tmp_path / name) for name in ("lewm", "untrained", "wide")}
    assert call("world", "train", *SMALL, "--out", runs["lewm"]) == 0
    assert call("world", "train", *SMALL_UNTRAINED, "--out", runs["untrained"]) == 0
    film = ("--picture", str(tmp_path / "film.gif"), "--device", "cpu")
    capsys.readouterr()
    assert call("imagine", runs["lewm"], runs["untrained"], *film) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == [word for step in range(1, 11) for word in ("step", str(step))]
    controls = ["mean frame", "first frame"]
    painted = ["imagined", "other actions", "true latents"]
    names = controls + [f"{run}, {name}" for run in ("lewm", "untrained") for name in painted]
    assert [line[:32].strip() for line in lines[:-1]] == names
    assert all(len(line[32:].split()) == 10 for line in lines[:-1])
    with Image.open(tmp_path / "film.gif") as image:
        assert image.n_frames == 11

    assert call("world", "train", *SMALL, "--rooms.door", "0.4", "--out", runs["wide"]) == 0
    assert call("train", *TINY, "--steps", "4", "--out", str(tmp_path / "plain")) == 0
    film = ("--picture", str(tmp_path / "other.gif"))
    assert "give runs of one world" in refused(capsys, "imagine", runs["lewm"], runs["wide"], *film)
    mixed = refused(capsys, "imagine", str(tmp_path / "plain"), runs["lewm"], *film)
    assert f"{runs['lewm']} is a world model, {tmp_path / 'plain'} is not; give runs of one kind" in mixed
    assert "folders of one name" in refused(capsys, "imagine", runs["lewm"], runs["lewm"], *film)
    assert not (tmp_path / "other.gif").exists()


def test_imagine_refuses_what_it_cannot_compare(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: runs of other clips in one film, a film that is overwritten, an old run without a checkpoint."""
    assert call("train", *TINY, "--steps", "4", "--out", str(tmp_path / "plain")) == 0
    behind = ("--clips.background", "still", "--clips.strength", "1")
    assert call("train", *TINY, "--steps", "4", *behind, "--out", str(tmp_path / "still")) == 0
    film = ("--picture", str(tmp_path / "film.gif"))
    both = (str(tmp_path / "plain"), str(tmp_path / "still"))
    assert "has other clips or masks" in refused(capsys, "imagine", *both, *film)
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
