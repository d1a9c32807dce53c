"""The frames of a video file through PyAV, as they are meant to be seen: upright, with square pixels, without damage.

docs/files.md lists the kinds of files and what is done with each.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

POINTER = b"version https://git-lfs.github.com/spec/"  # how a file begins that Git LFS has not fetched


class UnusableVideo(ValueError):
    """A video that cannot be used, with the reason in a few words."""

    def __init__(self, path: Path, reason: str, advice: str):
        super().__init__(f"video {path} {reason}; {advice}")
        self.reason = reason


@dataclass(frozen=True)
class Frame:
    """A frame of PyAV, and how it is to be shown.

    time: when it is shown, in the file's units, or None if the file does not say that of every frame.  rate: frames per
    second.  aspect: width of a pixel over its height.  matrix: the nine numbers of the file's display matrix, or None.
    """

    raw: Any
    time: int | None
    rate: float
    aspect: float
    matrix: list[int] | None

    def transparent(self) -> bool:
        """Whether a part of the frame lets through what is behind it."""
        has_alpha = any(part.is_alpha for part in self.raw.format.components)
        return has_alpha and self.raw.to_ndarray(format="rgba")[..., 3].min() < 255

    def picture(self) -> np.ndarray:
        """The frame on black, with square pixels, turned and mirrored as the file says -> uint8 [H, W, 3]."""
        width, kind = max(1, round(self.raw.width * self.aspect)), "rgba" if self.transparent() else "rgb24"
        image = self.raw.to_ndarray(format=kind, width=width, height=self.raw.height)
        if kind == "rgba":  # where nothing is to be seen, colors are whatever the encoder left there
            image = (image[..., :3] * (image[..., 3:] / 255)).round().astype(np.uint8)
        if self.matrix is not None:  # the pixel at (x, y) is shown at (m0 x + m3 y, m1 x + m4 y)
            across, down = self.matrix[0], self.matrix[4]
            if abs(self.matrix[1]) > abs(self.matrix[0]):
                image, across, down = image.swapaxes(0, 1), self.matrix[3], self.matrix[1]
            image = image[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]
        return np.ascontiguousarray(image)


def damaged(path: Path, shown: int, rate: float, what: str) -> UnusableVideo:
    """The error of a file whose first frames are good."""
    reason = f"is damaged after {shown} frames, {shown / rate:.2f} s ({what})"
    return UnusableVideo(path, reason, "give a complete file")


def cut_short(container: Any, end: float, rate: float) -> bool:
    """Whether a file ended, at second `end`, in the middle of a packet or more than a frame before its header says."""
    if container.format.name == "mpegts":
        return all(container.size % packet for packet in (188, 192, 204))
    if container.format.name == "gif":
        return not Path(container.name).read_bytes().endswith(b";")
    return 0 < end + 1.5 / min(rate, 15) < (container.duration or 0) / 1e6  # some packets do not say how long they last


def film(path: Path, since: int | None = None) -> Iterator[Frame]:
    """All frames of a file in order.

    since: start at the last key frame that is shown no later than this, in the file's units.  Raises UnusableVideo if the
    file cannot be read, and where its damage begins; ValueError if PyAV is not installed.
    """
    try:
        import av
    except ImportError:
        raise ValueError("reading video needs PyAV; run: pip install 'minivjepa[video]'") from None
    av.logging.set_level(av.logging.PANIC)
    shown, rate = 0, 25.0  # frames until now, and how many a second has
    try:
        if not path.is_file():
            raise UnusableVideo(path, "is not a file", "give a regular file, or a link to one")
        with path.open("rb") as file:
            start = file.read(len(POINTER))
        if not start:
            raise UnusableVideo(path, "is empty (0 bytes)", "give a file with at least one clip of frames")
        if start == POINTER:
            raise UnusableVideo(path, "is a Git LFS pointer", "run `git lfs pull` to get the file itself")
        with av.open(str(path.resolve())) as container:  # absolute: a name such as a:b.mkv looks like a protocol
            stream: Any = container.streams.best("video")
            if stream is None or stream.disposition & av.stream.Disposition.attached_pic:  # the cover of a song
                raise UnusableVideo(path, "has no video stream", "give a file with moving pictures in it")
            if since is not None:
                container.seek(since, stream=stream)
            rate = float(stream.average_rate or rate)  # some files do not say when a frame is shown
            timed = container.format.name != "mpeg"  # DVDs time packets, so that a frame's time depends on the start
            aspect = float(stream.sample_aspect_ratio or 1)
            aspect = aspect if 0.1 < aspect < 10 else 1.0  # beyond that it is a mistake, and takes all memory
            matrix, end, held = None, 0.0, None  # a frame is held back until the next one shows that it is complete
            raw: Any
            for packet in container.demux():
                if packet.pts is not None:  # of any track: sound may last longer
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                for raw in packet.decode() if packet.stream.index == stream.index else ():
                    if raw.is_corrupt:
                        raise damaged(path, shown, rate, "a frame is incomplete")
                    turn = raw.side_data.get("DISPLAYMATRIX")  # H.264 may give it once, for all frames that follow
                    matrix = matrix if turn is None else np.frombuffer(turn, np.int32).tolist()
                    if held is not None:
                        yield held
                        shown += 1
                    held = Frame(raw, raw.pts if timed else None, rate, aspect, matrix)
            if cut_short(container, end, rate):
                raise damaged(path, shown, rate, "the file is cut short")
            if held is not None:
                yield held
    except (av.FFmpegError, OSError) as error:
        reason = str(error.strerror or error)
        if shown:
            raise damaged(path, shown, rate, reason) from None
        raise UnusableVideo(path, f"cannot be decoded ({reason})", "is it a complete video file?") from None
