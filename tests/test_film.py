"""Films come out as they are meant to be seen, from every container, however they are read."""

from pathlib import Path

import numpy as np
import pytest
import torch

from minivjepa.data import video
from minivjepa.data.video import VideoClips, resize_and_crop
from minivjepa.tubelets import Grid

av = pytest.importorskip("av", reason="needs the video extra")
GRID = Grid(4, 32, 32, 2, 8)
HEIGHT, WIDTH, FRAMES = 32, 48, 10
COLORS = np.array([[[200, 40, 40], [40, 160, 40]], [[40, 40, 200], [100, 100, 100]]], np.uint8)
CONTAINERS = {
    "a.mp4": "libx264", "a.mov": "mpeg4", "a.3gp": "libx264", "a.mkv": "libx264", "a.webm": "libvpx", "b.avi": "libx264", "b.ts": "libx264",
}  # fmt: skip
ORIENTATIONS = [(degrees, mirrored) for degrees in (0, 90, 180, 270) for mirrored in (False, True)]


def scene(number: int, width: int) -> np.ndarray:
    """A white disc that grows, on four colors: uint8 [HEIGHT, width, 3]."""
    y, x = np.mgrid[:HEIGHT, :width] + 0.5
    ground = COLORS[(y >= HEIGHT / 2).astype(int), (x >= width / 2).astype(int)]
    disc = np.hypot(y - HEIGHT / 2, (x - width / 2)) < 6 + 0.5 * number
    return np.where(disc[..., None], np.uint8(240), ground)


def write_film(path: Path, codec: str, degrees: int, mirrored: bool) -> Path:
    """A film whose file says how to show it: in containers that cannot, H.264 does."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", 4
        inside = path.name.startswith("b") and (degrees or mirrored)
        if not inside:
            stream.set_display_rotation(degrees, hflip=mirrored)
        first_flipped = f"rotate={-degrees % 360}:flip=horizontal"  # H.264 mirrors before it rotates
        words = f"h264_metadata=display_orientation=insert:{first_flipped if mirrored else f'rotate={degrees}'}"
        for number in (*range(FRAMES), None):
            frame = None if number is None else av.VideoFrame.from_ndarray(scene(number, WIDTH), format="rgb24")
            for packet in stream.encode(frame):
                says = inside and packet.is_keyframe
                container.mux(av.BitStreamFilterContext(words, stream).filter(packet) if says else packet)
    return path


@pytest.mark.parametrize(("degrees", "mirrored"), ORIENTATIONS)
@pytest.mark.parametrize("name", CONTAINERS)
def test_films_are_shown_as_they_are_meant_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, degrees: int, mirrored: bool
) -> None:
    """Catches: a film on its side or mirrored, and one that looks different when read by seeking."""
    path = write_film(tmp_path / name, CONTAINERS[name], degrees, mirrored)
    kept = VideoClips(path, GRID)
    [pixels] = [file.pixels for file in kept.files if file.pixels is not None]
    assert len(pixels) == FRAMES
    for number in (0, 5, FRAMES - 1):
        seen = np.rot90(scene(number, WIDTH), degrees // 90)[:, :: -1 if mirrored else 1].copy()
        wanted = resize_and_crop(torch.from_numpy(seen)[None], 32, 32)[0]
        assert (pixels[number].float() - wanted).abs().mean() < 12
    monkeypatch.setattr(video, "KEPT", 0)
    sought, index = VideoClips(path, GRID), torch.arange(4)
    assert sought.files[0].pixels is None
    assert torch.equal(kept.batch(0, index)[0], sought.batch(0, index)[0])
