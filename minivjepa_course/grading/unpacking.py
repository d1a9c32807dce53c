"""A platform's export as it comes, a zip file: unpacked into a temporary folder, if it is small and keeps to that folder."""

import contextlib
import lzma
import re
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from minivjepa_course.grading.feedback import plain

MOST_BYTES = 4 * 2**30  # of all its files
MOST_ENTRIES = 20_000


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The folder itself, or the files of a zip in a folder that is gone afterwards.  Raises ValueError if it cannot be unpacked."""
    if not path.is_file():
        yield path
        return
    advice = "unpack it yourself and give the folder"
    with tempfile.TemporaryDirectory(prefix="minivjepa-") as folder:
        try:
            with zipfile.ZipFile(path) as held:
                if why := refusal(held.infolist()):
                    raise ValueError(f"{path} {why}; {advice}")
                held.extractall(folder)  # no file gets more bytes than the list says
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, NotImplementedError) as error:
            raise ValueError(f"{path} is not a folder, nor a zip file that can be read ({error}); {advice}") from None
        yield Path(folder)


def refusal(entries: list[zipfile.ZipInfo]) -> str:
    """Why these entries are not unpacked; empty if they may be."""
    if len(entries) > MOST_ENTRIES or sum(entry.file_size for entry in entries) > MOST_BYTES:
        return f"holds more than {MOST_ENTRIES:,} files or {MOST_BYTES // 2**30} GiB"
    for entry in entries:
        parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
        if entry.flag_bits & 1:
            return f"is encrypted ({plain(entry.filename)})"
        if ".." in parts or parts[:1] == ("/",) or re.match("[A-Za-z]:", entry.filename):
            return f"holds a path that leads out of its folder ({plain(entry.filename)})"
        if stat.S_ISLNK(entry.external_attr >> 16):
            return f"holds a link ({plain(entry.filename)})"
    return ""
