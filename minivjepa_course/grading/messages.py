"""Messages from a child process to the one that grades: a JSON object each, with arrays as npz.  Both ends are here.

The reading end trusts nothing: a submission can write to the same pipe.
"""

import io
import json
import math
import struct
import threading
import zipfile
from typing import IO, Any, NamedTuple

import numpy as np

from minivjepa_course.homework.cases import Arrays

HEADER = struct.Struct("<II")  # lengths of a message's JSON and of its arrays
LARGEST_WORDS = 2**14  # bytes of a message's JSON; parsed, it takes up to a hundred times as much
LARGEST = 2**21  # bytes of a message's arrays
MOST_ARRAYS = 1000
ROOM = 2**24  # bytes of all results of a submission
# np.load parses text, and Python 3.11 sometimes fails at that when two threads do it at once
READING = threading.Lock()


class Message(NamedTuple):
    """about: the JSON object; arrays: an npz file, not checked yet."""

    about: dict[str, Any]
    arrays: bytes


def send(pipe: IO[bytes], about: dict[str, Any], arrays: Arrays | None = None) -> None:
    """Write one message."""
    held = io.BytesIO()
    if arrays is not None:
        np.savez(held, **arrays)  # type: ignore[arg-type]
    text = json.dumps(about).encode()
    pipe.write(HEADER.pack(len(text), held.tell()) + text + held.getvalue())
    pipe.flush()


def receive(pipe: IO[bytes]) -> Message | None:
    """Read one message; None at the end.  Raises ValueError or RecursionError if it is too large or is not JSON."""
    head = pipe.read(HEADER.size)
    if len(head) < HEADER.size:
        return None
    words, arrays = HEADER.unpack(head)
    if words > LARGEST_WORDS or arrays > LARGEST:
        raise ValueError(f"it is larger than {LARGEST // 2**20} MiB")
    about = json.loads(pipe.read(words))
    if not isinstance(about, dict):
        raise ValueError("it is not a JSON object")
    return Message(about, pipe.read(arrays))


def read_arrays(data: bytes, room: int = ROOM) -> Arrays:
    """Arrays of an npz file that is not trusted.  Raises ValueError if it is compressed, pickled or too large.

    room: bytes left for the results of this submission.
    """
    if len(data) > room:
        raise ValueError(f"returned more than {ROOM // 2**20} MiB in all")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as held:
            parts = held.infolist()
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or len(parts) > MOST_ARRAYS:
                raise ValueError("compressed, or too many")
            if sum(part.file_size for part in parts) > LARGEST:  # parts may share their bytes
                raise ValueError("too large")
        with READING, np.load(io.BytesIO(data), allow_pickle=False) as held:
            found = {name: held[name] for name in held.files}
        if any(not isinstance(array, np.ndarray) or array.dtype.kind not in "biufU" for array in found.values()):
            raise ValueError("neither numbers nor text")
        # letters of width 0 and rows of length 0 take no bytes, however many there are
        if any(math.prod(max(1, n) for n in array.shape) > LARGEST for array in found.values()):
            raise ValueError("too many values")
    except Exception as error:
        raise ValueError(f"returned something that cannot be read ({type(error).__name__})") from None
    return found
