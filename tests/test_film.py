"""Films come out as they are meant to be seen, from every container, however they are read."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from minivjepa.data import video
from minivjepa.data.video import VideoClips, resize_and_crop
from minivjepa.tubelets import Grid

av = pytest.importorskip("av", reason="needs the video extra")
GRID = Grid(4, 32, 32, 2, 8)
HEIGHT, WIDTH, FRAMES = 64, 96, 10
COLORS = np.array([[[200, 40, 40], [40, 160, 40]], [[40, 40, 200], [100, 100, 100]]], np.uint8)
CONTAINERS = {
    "a.mp4": "libx264", "a.mov": "mpeg4", "a.3gp": "libx264", "a.mkv": "libx264", "a.webm": "libvpx", "b.avi": "libx264", "b.ts": "libx264",
}  # fmt: skip
ASPECTS = [0, 1, Fraction(3, 2), Fraction(2, 3)]  # of a pixel; 0: the file does not say
ORIENTATIONS = [(degrees, mirrored) for degrees in (0, 90, 180, 270) for mirrored in (False, True)]


def scene(number: int, pixels: int, shown: int) -> np.ndarray:
    """A white disc that grows, on four colors, uint8 [HEIGHT, pixels, 3], as it looks when it is shown `shown` wide."""
    y, x = np.mgrid[:HEIGHT, :pixels] + 0.5
    x *= shown / pixels
    ground = COLORS[(y >= HEIGHT / 2).astype(int), (x >= shown / 2).astype(int)]
    disc = np.hypot(y - HEIGHT / 2, x - shown / 2) < 12 + number
    return np.where(disc[..., None], np.uint8(240), ground)


def write_film(path: Path, codec: str, degrees: int, mirrored: bool, wide: Fraction | int, often: bool = True) -> Path:
    """A film whose file says how to show it: in containers that cannot, H.264 does, with every key frame or the first."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", 4
        stream.codec_context.sample_aspect_ratio = wide
        if codec == "libx264":
            stream.options = {"x264-params": "pic-struct=1"}  # the filter below adds to what H.264 says of a frame
        inside = path.name.startswith("b") and (degrees or mirrored)
        if not inside:
            stream.set_display_rotation(degrees, hflip=mirrored)
        first_flipped = f"rotate={-degrees % 360}:flip=horizontal"  # H.264 mirrors before it rotates
        words = f"h264_metadata=display_orientation=insert:{first_flipped if mirrored else f'rotate={degrees}'}"
        for number in (*range(FRAMES), None):
            frame = (
                None
                if number is None
                else av.VideoFrame.from_ndarray(scene(number, WIDTH, round(WIDTH * (wide or 1))), format="rgb24")
            )
            for packet in stream.encode(frame):
                says = inside and packet.is_keyframe and (often or not packet.pts)
                container.mux(av.BitStreamFilterContext(words, stream).filter(packet) if says else packet)
    return path


@pytest.mark.parametrize("wide", ASPECTS)
@pytest.mark.parametrize(("degrees", "mirrored"), ORIENTATIONS)
@pytest.mark.parametrize("name", CONTAINERS)
def test_films_are_shown_as_they_are_meant_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, degrees: int, mirrored: bool, wide: Fraction | int
) -> None:
    """Catches: a film on its side, mirrored or squeezed, and one that looks different when read by seeking."""
    wide = 1 if name == "a.webm" else wide  # VP8 cannot say
    path = write_film(tmp_path / name, CONTAINERS[name], degrees, mirrored, wide)
    kept = VideoClips(path, GRID)
    [pixels] = [file.pixels for file in kept.files if file.pixels is not None]
    assert len(pixels) == FRAMES
    shown = round(WIDTH * (wide or 1))
    for number in (0, 5, FRAMES - 1):
        seen = np.rot90(scene(number, shown, shown), degrees // 90)[:, :: -1 if mirrored else 1].copy()
        wanted = resize_and_crop(torch.from_numpy(seen)[None], 32, 32)[0]
        assert (pixels[number].float() - wanted).abs().mean() < 10
        disc = pixels[number].amin(dim=0) > 180
        assert abs(int(disc.any(dim=0).sum() - disc.any(dim=1).sum())) <= 2
    assert torch.equal(video.read_clip(path, GRID, 0, 2)[0], pixels[:8:2])  # as `minivjepa embed` reads
    monkeypatch.setattr(video, "KEPT", 0)
    sought, index = VideoClips(path, GRID), torch.arange(4)
    assert sought.files[0].pixels is None
    assert torch.equal(kept.batch(0, index)[0], sought.batch(0, index)[0])


def palettised(path: Path) -> Path:
    """A film of eight bits a pixel, whose palette comes with the first frame."""
    generator = np.random.default_rng(0)
    palette = generator.integers(0, 256, (256, 4), dtype=np.uint8)
    palette[:, 3] = 255
    with av.open(str(path), "w") as container:
        stream = container.add_stream(path.stem, rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "rgb555le" if path.stem == "msvideo1" else "pal8"
        for _ in range(FRAMES):
            index = np.kron(generator.integers(0, 256, (HEIGHT // 8, WIDTH // 8)), np.ones((8, 8))).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray((index, palette), format="pal8")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("name", ["rawvideo.avi", "msrle.avi", "msvideo1.avi", "b.avi"])
def test_what_only_the_first_frame_says_holds_to_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Catches: black frames from a palette that seeking skips; a film that lies down at its second key frame."""
    path = tmp_path / name
    _ = write_film(path, "libx264", 90, False, 1, often=False) if name == "b.avi" else palettised(path)
    every = [frame for _, frame in video.decode(path)]
    assert all(frame.any() and frame.shape == every[0].shape for frame in every)
    monkeypatch.setattr(video, "KEPT", 0)
    [file] = VideoClips(path, GRID).files
    for number in range(FRAMES):
        [found] = video.read_frames(file, range(number, number + 1))
        np.testing.assert_array_equal(found, every[number])


def tracks(path: Path, *kinds: str) -> Path:
    """Tracks of one file: a cover of one grey picture, a small grey preview, a film of ten brighter frames."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mjpeg" if kind == "cover" else "mpeg4", rate=10) for kind in kinds]
        for kind, stream in zip(kinds, streams):
            stream.height, stream.width = (HEIGHT, WIDTH) if kind == "film" else (16, 24)
            stream.pix_fmt = "yuvj420p" if kind == "cover" else "yuv420p"
            if kind != "preview":
                stream.disposition = getattr(av.stream.Disposition, "attached_pic" if kind == "cover" else "default")
        for kind, stream in zip(kinds, streams):
            picture = np.full((stream.height, stream.width, 3), 200 if kind == "film" else 80, np.uint8)
            for _ in range(1 if kind == "cover" else FRAMES):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
    return path


@pytest.mark.parametrize("kinds", [("cover", "film"), ("preview", "film"), ("film", "preview"), ("film", "cover")])
def test_the_film_is_chosen_among_the_tracks(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    """Catches: a cover or a small preview taken for the film because it comes first."""
    frames = [frame for _, frame in video.decode(tracks(tmp_path / "a.mp4", *kinds))]
    assert len(frames) == FRAMES
    assert all(frame.shape == (HEIGHT, WIDTH, 3) and abs(frame.mean() - 200) < 5 for frame in frames)


def test_a_cover_is_no_film(tmp_path: Path) -> None:
    """Catches: a song with a cover taken for a film of one frame."""
    with pytest.raises(ValueError, match=r"song.mp4 has no video stream"):
        VideoClips(tracks(tmp_path / "song.mp4", "cover"), GRID)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"), [("a.mov", "qtrle", "argb"), ("a.mkv", "ffv1", "bgra"), ("a.gif", "gif", "bgr8")]
)
def test_transparent_films_are_shown_on_black(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, codec: str, pixels: str
) -> None:
    """Catches: noise that nobody was meant to see; a word about transparency for an opaque film in the same format."""
    noise = np.random.default_rng(0).integers(0, 256, (FRAMES, HEIGHT, WIDTH, 4), dtype=np.uint8)
    for opaque in (False, True):
        noise[..., 3] = 255
        noise[:, :32, :, 3] = 255 if opaque or codec == "gif" else 0
        noise[:, 32:, :48, 3] = 255 if opaque or codec == "gif" else 128
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
            for image in noise:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgba")))
            container.mux(stream.encode())
        [file] = VideoClips(tmp_path / name, GRID).files
        assert ("is transparent; it is shown on black" in capfd.readouterr().err) == (codec != "gif" and not opaque)
        if codec == "gif":
            continue
        for image, (_, seen) in zip(noise, video.decode(file.path)):
            np.testing.assert_array_equal(seen[32:, 48:], image[32:, 48:, :3])
            half = image[32:, :48, :3] * (image[32:, :48, 3:] / 255)
            assert np.abs(seen[32:, :48] - half).max() <= 1
            np.testing.assert_array_equal(seen[:32], image[:32, :, :3] * opaque)
