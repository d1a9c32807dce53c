"""`minivjepa embed` writes what the encoder computes, says where it came from, and refuses what it cannot do."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from minivjepa.data.video import IMAGENET_MEAN, IMAGENET_STD, normalise, read_clip
from minivjepa.encoder import Encoder
from minivjepa.figures.feature_colors import component_colors, feature_animation, feature_strip
from minivjepa.released.names import to_original
from minivjepa.training.recipe import build_model
from minivjepa.training.runs import Run
from minivjepa.tubelets import Grid
from tests.test_cli import TINY, call, refused
from tests.test_video import counting, numbers, write_video

GRID = Grid(4, 32, 32, 2, 8)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mkv", counting(24))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A checkpoint in the layout of V-JEPA 2, whose target encoder is another than its encoder."""
    torch.manual_seed(0)
    online, target = Encoder(GRID, 24, 2, 2, "rotary-tiled"), Encoder(GRID, 24, 2, 2, "rotary-tiled")
    ours = {f"encoder.{key}": value for key, value in online.state_dict().items()}
    ours |= {f"target_encoder.{key}": value for key, value in target.state_dict().items()}
    torch.save(to_original(ours, GRID), tmp_path / "released.pt")
    return tmp_path / "released.pt"


RELEASED = ["--size", "4", "32", "32", "--heads", "2", "--device", "cpu"]


@pytest.mark.parametrize("part", ["encoder", "target_encoder"])
def test_released_weights_embed_a_clip(
    part: str, video: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: frames in another order, pixels without ImageNet's statistics, the wrong encoder, tokens reshaped wrongly."""
    out, flag = tmp_path / "features.npz", ["--which", "online"] if part == "encoder" else []
    assert (
        call(
            "embed",
            str(video),
            "--weights",
            str(weights),
            "--out",
            str(out),
            *RELEASED,
            *flag,
            "--start",
            "0.4",
            "--stride",
            "3",
        )
        == 0
    )
    assert "features [2, 4, 4, 24] of clip.mkv, 0.40 to 1.30 s" in capsys.readouterr().out
    stored = np.load(out, allow_pickle=False)
    frames, seconds = read_clip(video, GRID, 0.4, 3)
    assert numbers(normalise(frames)) == [4.0, 7.0, 10.0, 13.0]
    assert stored["seconds"].round(3).tolist() == [[0.4, 0.7], [1.0, 1.3]]
    assert stored["seconds"].flatten().tolist() == seconds
    encoder = Encoder(GRID, 24, 2, 2, "rotary-tiled")
    state = torch.load(weights, weights_only=True)[part]
    assert torch.equal(state["module.backbone.norm.weight"], encoder.norm.weight)
    named = {key.removeprefix("module.backbone."): value for key, value in state.items()}
    encoder.load_state_dict(
        {
            k.replace(".attn.", ".attention.").replace("patch_embed.proj", "embed.project"): v.flatten(1)
            if v.ndim == 5
            else v
            for k, v in named.items()
        }
    )
    wanted = encoder(normalise(frames)[None])[0].detach().reshape(2, 4, 4, 24).numpy()
    np.testing.assert_allclose(stored["features"], wanted, atol=1e-5)
    source = json.loads(str(stored["provenance"]))
    assert source["layout"] == "original"
    assert source["encoder"] == ("online" if flag else "target")
    assert source["clip"] == "clip.mkv"
    assert source["versions"]["torch"] == torch.__version__


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_a_run_of_ours_embeds_a_clip_and_draws_it(suffix: str, video: Path, tmp_path: Path) -> None:
    """Catches: a run's own pixel statistics forgotten, a picture that is not written."""
    assert call("train", *TINY, "--out", str(tmp_path / "run")) == 0
    out, picture = tmp_path / "f.npz", tmp_path / f"map{suffix}"
    assert (
        call(
            "embed",
            str(video),
            "--weights",
            str(tmp_path / "run"),
            "--out",
            str(out),
            "--picture",
            str(picture),
            "--device",
            "cpu",
        )
        == 0
    )
    run = Run(tmp_path / "run")
    config, _ = run.config()
    model = build_model(config)
    run.restore(model, config)
    frames, _ = read_clip(video, config.grid, 0.0, 2)
    clip = ((frames / 255 - 0.15) / 0.3).transpose(0, 1)[None]
    wanted = model.encoder(clip)[0].detach().reshape(2, 2, 2, 24).numpy()
    np.testing.assert_allclose(np.load(out)["features"], wanted, atol=1e-5)
    from PIL import Image

    with Image.open(picture) as image:
        assert getattr(image, "n_frames", 1) == (4 if suffix == ".gif" else 1)
        assert min(image.size) > 100


def test_an_encoder_sees_pixels_normalised_as_in_its_training(video: Path, tmp_path: Path) -> None:
    """Catches: ImageNet's statistics for an encoder that was trained on rooms."""
    assert call("train", *TINY, "--out", str(tmp_path / "run")) == 0
    run = Run(tmp_path / "run")
    config, _ = run.config()
    for data, mean, std in (("rooms", [0.2] * 3, [0.25] * 3), ("clips/", IMAGENET_MEAN, IMAGENET_STD)):
        held = json.loads(run.config_file.read_text())
        run.config_file.write_text(json.dumps({**held, "data": data}))
        out = tmp_path / f"{mean[0]}.npz"
        assert call("embed", str(video), "--weights", str(run.out), "--out", str(out), "--device", "cpu") == 0
        model = build_model(config)
        run.restore(model, config)
        frames, _ = read_clip(video, config.grid, 0.0, 2)
        middle, spread = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
        clip = ((frames / 255 - middle) / spread).transpose(0, 1)[None]
        wanted = model.encoder(clip)[0].detach().reshape(2, 2, 2, 24).numpy()
        np.testing.assert_allclose(np.load(out)["features"], wanted, atol=1e-5)


def test_like_tokens_get_like_colors() -> None:
    """Catches: a map whose colors follow the place instead of the token."""
    generator = np.random.default_rng(0)
    kinds = generator.normal(size=(4, 16))
    which = generator.integers(0, 4, (2, 6, 5))
    colors = component_colors(kinds[which] + 1e-3 * generator.normal(size=(2, 6, 5, 16)))
    for kind in range(4):
        assert colors[which == kind].std(axis=0).max() < 0.02
    centres = np.array([colors[which == kind].mean(axis=0) for kind in range(4)])
    assert min(np.abs(a - b).max() for n, a in enumerate(centres) for b in centres[:n]) > 0.2
    assert component_colors(np.zeros((2, 3, 3, 8))).shape == (2, 3, 3, 3)  # a collapsed encoder has a map too
    frames = generator.integers(0, 255, (4, 24, 20, 3), dtype=np.uint8)
    animation = feature_animation(frames, kinds[which])
    assert animation.shape == (4, 9 * 24, 9 * 40, 3)
    picture = feature_strip(frames, kinds[which], "by hand")
    assert "6 by 5 tokens" in picture.alt
    assert "by hand" in picture.caption
    assert picture.caption


def test_bad_requests_are_refused_and_leave_nothing(
    video: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a traceback, an overwritten file, a result of frames that are not there."""
    out = tmp_path / "f.npz"
    good = {"clip": str(video), "--weights": str(weights), "--out": str(out)}

    def say(*extra: str, **changes: str) -> str:
        words = {**good, **{f"--{key}" if key != "clip" else key: value for key, value in changes.items()}}
        flat = [words.pop("clip")] + [word for pair in words.items() for word in pair]
        return refused(capsys, "embed", *flat, *(extra or RELEASED))

    assert "gone.mp4 is not a file" in say(clip=str(tmp_path / "gone.mp4"))
    assert "expected a name ending in .npz" in say(out=str(tmp_path / "f.pt"))
    assert "expected a new file in an existing folder" in say(out=str(weights.rename(tmp_path / "w.npz")))
    (tmp_path / "w.npz").rename(weights)
    assert "expected a new file in an existing folder" in say(out=str(tmp_path / "no" / "f.npz"))
    assert "expected a name ending in .png or .gif" in say(*RELEASED, "--picture", "map.jpg")
    assert "gives 2 frames from second 2.2 on with stride 1" in say(*RELEASED, "--start", "2.2", "--stride", "1")
    assert "--stride is 0" in say(*RELEASED, "--stride", "0")
    assert "say how many attention heads" in say("--size", "4", "32", "32")
    assert "does not exist" in say(weights=str(tmp_path / "gone.pt"))
    assert "a tubelet of 2 does not divide" in say("--size", "5", "32", "32", "--heads", "2")
    assert call("train", *TINY, "--arm", "neither", "--out", str(tmp_path / "run")) == 0
    assert "holds no target encoder" in say("--which", "target", weights=str(tmp_path / "run"))
    assert "which knows its --size" in say(weights=str(tmp_path / "run"))
    (tmp_path / "run" / "checkpoint.pt").unlink()
    assert "has no checkpoint.pt yet" in say("--device", "cpu", weights=str(tmp_path / "run"))
    assert not out.exists()


def test_weights_that_give_no_numbers_write_nothing(
    video: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: an .npz of NaN, or one left behind when the picture then fails."""
    held = torch.load(weights, weights_only=True)
    held["target_encoder"]["module.backbone.norm.weight"][0] = float("nan")
    torch.save(held, weights)
    words = [
        "embed",
        str(video),
        "--weights",
        str(weights),
        "--out",
        str(tmp_path / "f.npz"),
        "--picture",
        str(tmp_path / "f.png"),
    ]
    assert "gives features that are not finite" in refused(capsys, *words, *RELEASED)
    assert not (tmp_path / "f.npz").exists()
    assert call(*words, *RELEASED, "--which", "online") == 0
    capsys.readouterr()


def test_a_clip_of_one_token_has_a_picture_too(video: Path, weights: Path, tmp_path: Path) -> None:
    """Catches: three components asked of fewer tokens."""
    small = ["--size", "2", "8", "8", "--heads", "2", "--device", "cpu"]
    out = ["--out", str(tmp_path / "f.npz"), "--picture", str(tmp_path / "f.gif")]
    assert call("embed", str(video), "--weights", str(weights), *out, *small) == 0


def test_a_disk_that_takes_nothing_is_said(
    video: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a traceback for a full disk, and half a file."""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    words = ["embed", str(video), "--weights", str(weights), "--out", str(tmp_path / "f.npz")]
    assert "f.npz: No space left on device; choose a path" in refused(capsys, *words, *RELEASED)
