"""A damaged film is used up to its damage and says so, or is refused: alike in every container, however it is read."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from minivjepa.data import video
from minivjepa.data.video import VideoClips, decode
from minivjepa.tubelets import Grid

av = pytest.importorskip("av", reason="needs the video extra")
GRID = Grid(4, 16, 16, 2, 8)
FILMS = {
    "a.mp4": "libx264", "a.mov": "mpeg4", "a.mkv": "libx264", "a.webm": "libvpx", "a.avi": "mpeg4", "a.ts": "libx264", "b.ts": "mpeg2video",
    "a.flv": "flv", "a.gif": "gif", "a.mxf": "mpeg2video",
}  # fmt: skip


def film(path: Path, codec: str, sound: int = 0) -> Path:
    """Sixty frames, all different, with the index at the front where the container has one; `sound` seconds of silence."""
    with av.open(
        str(path), "w", options={"movflags": "faststart"} if path.suffix in (".mp4", ".mov") else {}
    ) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.gop_size = 32, 48, 7
        stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        voice = container.add_stream("pcm_s16le", rate=8000, layout="mono") if sound else None
        for image in np.random.default_rng(1).integers(0, 256, (60, 4, 6, 3), dtype=np.uint8):
            frame = av.VideoFrame.from_ndarray(np.kron(image, np.ones((8, 8, 1), np.uint8)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        for second in range(sound):
            quiet = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
            quiet.rate, quiet.pts = 8000, 8000 * second
            container.mux(voice.encode(quiet))
    return path


@pytest.mark.parametrize("name", FILMS)
def test_what_comes_before_the_damage_is_used_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    """Catches: half a film used in silence, a broken frame used, two ways to read that end at different frames."""
    path = film(tmp_path / name, FILMS[name])
    whole = np.stack([frame for _, frame in decode(path)])
    VideoClips(path, GRID, strict=True)
    assert "damaged" not in capfd.readouterr().err
    content = path.read_bytes()
    path.write_bytes(content[: int(0.6 * len(content)) - 1])
    with pytest.raises(ValueError, match=rf"{name} is damaged after \d+ frames, [\d.]+ s \(.*\); give a complete file"):
        VideoClips(path, GRID, strict=True)
    kept = VideoClips(path, GRID)
    frames = len(kept.files[0].times)
    assert 4 <= frames < 50
    assert f"{path} is damaged after {frames} frames, {frames / 25:.2f} s" in capfd.readouterr().err
    monkeypatch.setattr(video, "KEPT", 0)
    sought = VideoClips(path, GRID)
    assert len(sought.files[0].times) == frames
    for first in range(frames - 3):
        found = video.read_frames(sought.files[0], range(first, first + 4))
        np.testing.assert_array_equal(np.stack(found), whole[first : first + 4])
    assert torch.equal(kept.batch(0, torch.arange(6))[0], sought.batch(0, torch.arange(6))[0])


@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.flv"])
def test_damage_in_the_middle_ends_a_film(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    """Catches: frames that build on a broken one."""
    path = film(tmp_path / name, FILMS[name])
    whole = [frame for _, frame in decode(path)]
    content = bytearray(path.read_bytes())
    middle = 2 * len(content) // 3
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    [file] = VideoClips(path, GRID).files
    assert 4 <= len(file.times) < 50
    good = list(itertools.islice(decode(path), len(file.times)))
    assert all(np.array_equal(frame, wanted) for (_, frame), wanted in zip(good, whole))
    assert "what comes before is used" in capfd.readouterr().err
    frames, _ = video.read_clip(path, GRID, 0, 1)  # `minivjepa embed` reads no further than its clip
    assert len(frames) == 4
    with pytest.raises(ValueError, match="is damaged after"):
        video.read_clip(path, GRID, len(file.times) / 25 - 0.1, 1)


def test_a_film_with_longer_sound_is_whole(tmp_path: Path) -> None:
    """Catches: a film taken for damaged because its pictures end before its sound."""
    assert len(VideoClips(film(tmp_path / "a.mkv", "libx264", sound=5), GRID, strict=True).files[0].times) == 60


def test_too_little_before_the_damage_is_refused(tmp_path: Path) -> None:
    """Catches: a clip that runs into the damage."""
    path = film(tmp_path / "a.webm", "libvpx")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"is damaged after \d\d frames, .*, a clip needs 60"):
        VideoClips(path, Grid(60, 16, 16, 2, 8))
