"""Real video: decode exactly, sample as asked, refuse what cannot be used."""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from minivjepa.data import video
from minivjepa.data.film import Frame
from minivjepa.data.find_videos import SUFFIXES
from minivjepa.data.video import IMAGENET_MEAN, IMAGENET_STD, VideoClips, decode, resize_and_crop
from minivjepa.tubelets import Grid

av = pytest.importorskip("av", reason="needs the video extra")
GRID = Grid(4, 16, 16, 2, 8)
MADE_BY = {
    ".webm": ("webm", "libvpx"), ".ogv": ("ogg", "libvpx"), ".gif": ("gif", "gif"), ".flv": ("flv", "flv"), ".dv": ("dv", "dvvideo"),
    ".m4v": ("mp4", "mpeg4"), ".f4v": ("mp4", "mpeg4"), ".qt": ("mov", "mpeg4"), ".divx": ("avi", "mpeg4"), ".y4m": ("yuv4mpegpipe", "rawvideo"),
    ".m1v": ("mpeg1video", "mpeg1video"), ".m2v": ("mpeg2video", "mpeg2video"), ".rm": ("rm", "rv20"), ".mxf": ("mxf", "mpeg2video"),
    **dict.fromkeys((".ts", ".m2t", ".mts", ".m2ts"), ("mpegts", "mpeg2video")), ".wtv": ("wtv", "mpeg2video"),
    **dict.fromkeys((".mpg", ".mpeg", ".vob"), ("vob", "mpeg2video")), **dict.fromkeys((".wmv", ".asf"), ("asf", "wmv2")),
}  # fmt: skip
LOSSLESS = {".mkv": "ffv1", ".avi": "ffv1", ".mp4": "libx264rgb"}


def write_video(path: Path, frames: np.ndarray, codec: str | None = None) -> Path:
    """uint8 [T, H, W, 3] -> a file, lossless for .mkv, .avi and .mp4."""
    format, usual = MADE_BY.get(path.suffix, (None, "mpeg4"))
    codec = codec or LOSSLESS.get(path.suffix, usual)
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream(codec, rate=25 if codec.startswith(("mpeg1", "mpeg2", "dv")) else 10)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = {"ffv1": "bgr0", "libx264rgb": "rgb24", "gif": "rgb8"}.get(codec, "yuv420p")
        if codec == "libx264rgb":
            stream.options = {"crf": "0"}
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def counting(frames: int, height: int = 32, width: int = 48) -> np.ndarray:
    """Frames that say their own number: all pixels of frame f are 10 f."""
    return np.broadcast_to(
        np.arange(frames, dtype=np.uint8)[:, None, None, None] * 10, (frames, height, width, 3)
    ).copy()


def numbers(clip: torch.Tensor) -> list[float]:
    """Which counting frames a clip [C, T, H, W] shows."""
    value = clip * torch.tensor(IMAGENET_STD)[:, None, None, None] + torch.tensor(IMAGENET_MEAN)[:, None, None, None]
    return [round(float(v), 1) for v in value.mean(dim=(0, 2, 3)) * 25.5]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_advertised_format_decodes(tmp_path: Path, suffix: str) -> None:
    """Catches: a suffix on the list that PyAV cannot read."""
    path = write_video(tmp_path / f"clip{suffix}", counting(12, *((576, 720) if suffix == ".dv" else ())))
    clip, factors = VideoClips(path, GRID).batch(0, torch.arange(2))
    assert clip.shape == (2, 3, 4, 16, 16)
    assert factors is None
    assert len(list(decode(path))) == 12


@pytest.mark.parametrize("suffix", LOSSLESS)
def test_lossless_files_come_back_to_the_bit(tmp_path: Path, suffix: str) -> None:
    """Catches: swapped color channels or frames out of order."""
    frames = np.random.default_rng(0).integers(0, 256, (9, 32, 48, 3), dtype=np.uint8)
    path = write_video(tmp_path / f"clip{suffix}", frames)
    np.testing.assert_array_equal(np.stack([frame for _, frame in decode(path)]), frames)


def test_clips_take_every_second_frame_from_any_start(tmp_path: Path) -> None:
    """Catches: a stride that is ignored, a start that never varies or runs past the end."""
    source = VideoClips(write_video(tmp_path / "clip.mkv", counting(12)), GRID)
    starts = set()
    for step in range(30):
        clip, _ = source.batch(step, torch.tensor([0]))
        seen = numbers(clip[0])
        assert [b - a for a, b in itertools.pairwise(seen)] == [2.0, 2.0, 2.0]
        starts.add(seen[0])
    assert starts == {0.0, 1.0, 2.0, 3.0, 4.0, 5.0}


def test_a_short_file_is_sampled_more_densely(tmp_path: Path) -> None:
    """Catches: refusing a file that holds exactly one clip."""
    source = VideoClips(write_video(tmp_path / "clip.mkv", counting(4)), GRID)
    assert numbers(source.batch(0, torch.tensor([0]))[0][0]) == [0.0, 1.0, 2.0, 3.0]


def test_a_sample_does_not_depend_on_its_batch(tmp_path: Path) -> None:
    """Catches: sampling by a running counter, which resuming would repeat."""
    source = VideoClips(write_video(tmp_path / "clip.mkv", counting(20)), GRID, seed=3)
    assert torch.equal(source.batch(7, torch.arange(5))[0][3], source.batch(7, torch.tensor([3]))[0][0])


def test_resize_scales_the_short_side_and_crops_the_middle() -> None:
    """Catches: squeezing a wide frame, or a crop at a corner."""
    wide = torch.zeros(1, 32, 96, 3, dtype=torch.uint8)
    wide[:, :, 40:56] = 255
    out = resize_and_crop(wide, 28, 28)
    assert out.shape == (1, 3, 28, 28)
    columns = out[0, 0].float().mean(dim=0)
    assert (columns > 200).nonzero().flatten().tolist() == list(range(6, 22))
    torch.testing.assert_close(columns, columns.flip(0), atol=0.5, rtol=0)


def test_files_too_large_to_keep_give_the_same_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: two ways to read a clip that differ, or a limit that is not kept."""
    for name in ("a.mkv", "b.mkv"):
        write_video(tmp_path / name, counting(12))
    kept = VideoClips(tmp_path, GRID)
    monkeypatch.setattr(video, "KEPT", 12 * 3 * 16 * 16 + 1)
    mixed = VideoClips(tmp_path, GRID)
    assert [file.pixels is not None for file in kept.files] == [True, True]
    assert [file.pixels is not None for file in mixed.files] == [True, False]
    for step in range(4):
        assert torch.equal(kept.batch(step, torch.arange(6))[0], mixed.batch(step, torch.arange(6))[0])


def long_film(path: Path, codec: str, pixels: str) -> Path:
    """Forty frames, most of which are stored as differences to others, before and after them where the codec can."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = 32, 48, pixels, 7
        for image in np.random.default_rng(1).integers(0, 256, (40, 4, 6, 3), dtype=np.uint8):
            frame = av.VideoFrame.from_ndarray(np.kron(image, np.ones((8, 8, 1), np.uint8)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


FILMS = {
    "a.mp4": ("libx264", "yuv420p"), "a.mkv": ("libx264", "yuv420p"), "b.mp4": ("mpeg4", "yuv420p"), "a.webm": ("libvpx", "yuv420p"),
    "a.avi": ("mpeg4", "yuv420p"), "a.gif": ("gif", "rgb8"), "b.mkv": ("ffv1", "bgr0"), "c.mkv": ("mpeg2video", "yuv420p"), "c.vob": ("mpeg2video", "yuv420p"),
}  # fmt: skip


@pytest.mark.parametrize("name", FILMS)
def test_frames_from_the_middle_of_a_file_are_those_that_one_comes_to_from_its_start(tmp_path: Path, name: str) -> None:
    """Catches: a key frame too late, a number off by one, pictures without the ones that they build on."""
    path = long_film(tmp_path / name, *FILMS[name])
    file = VideoClips(path, GRID).files[0]
    every = [frame for _, frame in decode(path)]
    assert len(every) == len(file.times) == 40
    for first in (*range(34), 39):
        numbers = range(first, min(first + 6, 40), 2)
        found = video.read_frames(file, numbers)
        np.testing.assert_array_equal(np.stack(found), np.stack([every[n] for n in numbers]))


@pytest.mark.parametrize("name", ["a.mp4", "b.mp4", "a.webm", "a.avi"])
def test_the_end_of_a_file_is_read_without_its_start(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: a whole film decoded for every clip."""
    path = long_film(tmp_path / name, *FILMS[name])
    file = VideoClips(path, GRID).files[0]
    decoded, whole = [], video.film

    def counted(path: Path, since: int | None = None) -> Iterator[Frame]:
        for frame in whole(path, since):
            decoded.append(since)
            yield frame

    monkeypatch.setattr(video, "film", counted)
    assert len(video.read_frames(file, range(30, 34))) == 4
    assert None not in decoded
    assert len(decoded) < 20


def test_a_file_without_times_is_read_from_its_start(tmp_path: Path) -> None:
    """Catches: frames that are looked for at no time."""
    path = long_film(tmp_path / "a.mp4", *FILMS["a.mp4"])
    file = VideoClips(path, GRID).files[0]
    timeless = video.VideoFile(path, [None] * 40, None)
    for ours, theirs in zip(video.read_frames(timeless, range(9, 13)), video.read_frames(file, range(9, 13))):
        np.testing.assert_array_equal(ours, theirs)


def silent_sound(path: Path) -> None:
    """A file with an audio stream only."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), dtype=np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def bad_paths(folder: Path) -> dict[str, Path]:
    """One path for every way in which a video can be unusable."""
    (folder / "nothing").mkdir()
    (folder / "empty.mp4").touch()
    (folder / "corrupt.mp4").write_bytes(b"this is not a video at all" * 100)
    good = write_video(folder / "good.mp4", counting(20)).read_bytes()
    (folder / "cut.mp4").write_bytes(good[: len(good) // 3])
    write_video(folder / "short.mkv", counting(3))
    silent_sound(folder / "sound.mkv")
    return {
        "does not exist": folder / "missing.mp4",
        "holds no video; expected files ending in .mp4": folder / "nothing",
        "is empty .0 bytes.": folder / "empty.mp4",
        "corrupt.mp4 cannot be decoded": folder / "corrupt.mp4",
        "cut.mp4 cannot be decoded": folder / "cut.mp4",
        "has 3 frames, a clip needs 4; give a longer video": folder / "short.mkv",
        "has no video stream": folder / "sound.mkv",
    }


def test_unusable_videos_are_refused_with_the_reason(tmp_path: Path) -> None:
    """Catches: FFmpeg's own words, or an error in the middle of training."""
    for message, path in bad_paths(tmp_path).items():
        with pytest.raises(ValueError, match=message):
            VideoClips(path, GRID)


def test_missing_pyav_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: an ImportError without advice."""
    path = write_video(tmp_path / "clip.mkv", counting(8))
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(ValueError, match=r"pip install 'minivjepa\[video\]'"):
        VideoClips(path, GRID)


def test_seconds_count_from_the_first_frame(tmp_path: Path) -> None:
    """Catches: the clock of a file that does not start at zero; a name that looks like a protocol."""
    path = tmp_path / "a:b.mkv"
    with av.open(str(tmp_path / "late.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "bgr0"
        for number, image in enumerate(counting(6)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = 50 + number, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (tmp_path / "late.mkv").rename(path)
    assert [round(second, 2) for second, _ in decode(path)] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    frames, seconds = video.read_clip(path, GRID, 0.1, 1)
    assert numbers(video.normalise(frames)) == [1, 2, 3, 4]
    assert seconds == pytest.approx([0.1, 0.2, 0.3, 0.4])
