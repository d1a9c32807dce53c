"""What was handed in: which files there are, and how to read one safely whatever it is."""

import stat
from pathlib import Path
from typing import NamedTuple

from minivjepa.homework.notebooks import LARGEST_FILE

SUFFIX = ".ipynb"
MOST_FILES = 20  # of one student


class HandedIn(NamedTuple):
    """One row of the table."""

    path: Path
    student: str


def submissions(folder: Path) -> list[HandedIn]:
    """Everything handed in: FOLDER/STUDENT.ipynb and FOLDER/STUDENT/file; no deeper.

    Every entry gives a row, even if it is not a file; a student's folder with too many files gives one row.  Hidden files are left
    out.  Raises ValueError if there is nothing.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the one that holds the submissions")
    found = []
    for path in entries(folder):
        student = path.name.removesuffix(SUFFIX)
        inside = entries(path) if path.is_dir() and not path.is_symlink() else [path]
        found += [HandedIn(file, student) for file in (inside if len(inside) <= MOST_FILES else [path])]
    if not found:
        raise ValueError(f"{folder} holds no files; expected STUDENT{SUFFIX} or STUDENT/hw1{SUFFIX}")
    return found


def entries(folder: Path) -> list[Path]:
    """The entries of a folder that are not hidden."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def read_file(path: Path) -> bytes:
    """The content of a submission.  Raises ValueError for a link, a folder or a device, before reading it."""
    kind = stat.S_IFMT(path.lstat().st_mode)
    if kind != stat.S_IFREG:  # a link could point to the solutions; reading a pipe or a device may never end
        folder = f"a folder inside a student's folder, or has more than {MOST_FILES} files"
        odd = {stat.S_IFLNK: "a link to another file", stat.S_IFDIR: folder}.get(kind, "not a regular file")
        raise ValueError(f"{path.name} is {odd}: hand in the notebook itself")
    with path.open("rb") as file:
        return file.read(LARGEST_FILE + 1)  # one byte too many is enough to be refused
