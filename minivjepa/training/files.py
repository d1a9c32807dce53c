"""Files that are complete or absent, and folders with one writer: a kill or a full disk cannot leave half of one."""

import contextlib
import json
import math
import os
import platform
import secrets
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any

from minivjepa import __version__

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK = ".lock"  # in a folder that a process writes to, and left there
HALF_WRITTEN = ".minivjepa.tmp"  # how names of files end that are being written


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make a folder, and keep other processes out of it: the system frees its lock however this process ends.

    Removes what a killed process left half written.  Raises ValueError if another process is in the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "ab") as file:
        try:
            if sys.platform == "win32":
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if isinstance(error, BlockingIOError | PermissionError):  # else the file system has no locks
                raise ValueError(f"another process is at work in {folder}; wait until it has ended") from None
        for old in folder.glob(f"*{HALF_WRITTEN}"):
            old.unlink()
        yield


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file that is either complete or absent: a temporary file beside it, flushed, then renamed.

    Raises OSError if the disk fails, after removing the temporary file; an old file stays as it was.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}{HALF_WRITTEN}")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # a full disk's error does not name the file
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    write_atomically(path, lambda file: file.write(data))


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically; what no text can hold, such as parts of file names, is written as its number."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; NaN and infinity become null."""
    write_text(path, json.dumps(finite_or_null(value), indent=1) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file that this package wrote.  Raises ValueError if the file is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); put it back, or delete it and start again") from None


def finite_or_null(value: Any) -> Any:
    """A nested value with every NaN and infinity, which JSON cannot hold, replaced by None."""
    if isinstance(value, dict):
        return {key: finite_or_null(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite_or_null(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_new(out: Path) -> None:
    """Raise ValueError unless `out` is absent or an empty folder."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file; give a folder that does not exist yet")
    left = (
        [p.name for p in out.iterdir() if p.name != LOCK and not p.name.endswith(HALF_WRITTEN)] if out.exists() else []
    )
    if left:
        raise ValueError(f"--out {out} is not empty (it holds {left[0]}); choose another folder, or add --resume")


def versions() -> dict[str, str]:
    """Versions of Python, the system and the libraries that results depend on."""
    found = {name: version(name) for name in ("torch", "numpy", "scikit-learn")}
    system = f"{platform.system()} {platform.machine()}"
    return {"python": platform.python_version(), "system": system, "minivjepa": __version__, **found}
