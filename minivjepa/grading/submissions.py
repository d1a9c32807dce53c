"""What was handed in: which files there are, and what stands in their cells.  Whatever they hold, reading them takes little.

They are not validated as notebooks, which can take minutes and a gigabyte: only answer cells are looked at, each by itself.
"""

import json
import stat
from pathlib import Path
from typing import Any, NamedTuple

SUFFIX = ".ipynb"
LARGEST_FILE = 20 * 2**20  # bytes of a submission
MOST_VALUES = 10**6  # of its JSON
MOST_FILES = 20  # of one student


class HandedIn(NamedTuple):
    """One row of the table."""

    path: Path
    student: str


class Cell(NamedTuple):
    """kind: code or markdown."""

    kind: str
    source: str


def submissions(folder: Path) -> list[HandedIn]:
    """Everything handed in: FOLDER/STUDENT.ipynb and FOLDER/STUDENT/file; no deeper.  Raises ValueError if there is nothing.

    Whatever is there gives a row, also what is no file, or a folder with too much in it; hidden files do not.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the one that holds the submissions")
    found = []
    for path in entries(folder):
        student = path.name.removesuffix(SUFFIX)
        inside = entries(path) if path.is_dir() and not path.is_symlink() else [path]
        found += [HandedIn(one, student) for one in (inside if len(inside) <= MOST_FILES else [path])]
    if not found:
        raise ValueError(f"{folder} holds no files; expected STUDENT{SUFFIX} or STUDENT/hw1{SUFFIX}")
    return found


def entries(folder: Path) -> list[Path]:
    """What lies directly in a folder and is not hidden."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def read_file(path: Path) -> bytes:
    """The content of a submission.  Raises ValueError for what is no plain file, or too large, before it is opened."""
    about = path.lstat()
    if stat.S_ISLNK(about.st_mode):  # it could point to the solutions
        raise ValueError(f"{path.name} is a link to another file: hand in the notebook itself")
    if stat.S_ISDIR(about.st_mode):
        raise ValueError(
            f"{path.name} is a folder inside a student's, or one with more than {MOST_FILES} files: it is not looked into; put "
            f"the notebook into FOLDER/STUDENT"
        )
    if not stat.S_ISREG(about.st_mode):  # reading a pipe or a device may never end
        raise ValueError(f"{path.name} is no plain file: hand in the notebook itself")
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if len(content) > LARGEST_FILE:
        raise ValueError(
            f"{path.name} is larger than {LARGEST_FILE // 2**20} MB: clear its outputs and hand it in again"
        )
    return content


def read_cells(content: bytes, name: str) -> dict[str, Cell]:
    """grade_id -> cell; of two with one id the first counts.  Raises ValueError for what is no notebook.  name: of the file."""
    if sum(map(content.count, b"[{,")) > MOST_VALUES:
        raise ValueError(f"{name} holds more than {MOST_VALUES:,} values: clear its outputs and hand it in again")
    try:
        held, why = json.loads(content), "no cells"
    except (ValueError, RecursionError) as error:
        held, why = None, type(error).__name__
    # format 3, of long ago, has its cells in worksheets and their text as input
    sheets = [held] if isinstance(get(held, "cells"), list) else listed(held, "worksheets")
    if not sheets:
        raise ValueError(f"{name} is not a notebook that Jupyter can open ({why}); save it again in Jupyter")
    found: dict[str, Cell] = {}
    for cell in (cell for sheet in sheets for cell in listed(sheet, "cells")):
        grade_id = get(get(get(cell, "metadata"), "nbgrader"), "grade_id")
        if isinstance(grade_id, str):
            found.setdefault(grade_id, Cell(str(get(cell, "cell_type")), text_of(cell)))
    return found


def get(value: Any, key: str) -> Any:
    """The value of a key, None where this is no object or has none."""
    return value.get(key) if isinstance(value, dict) else None


def listed(value: Any, key: str) -> list[Any]:
    """The list under a key, empty where there is none."""
    found = get(value, key)
    return found if isinstance(found, list) else []


def text_of(cell: Any) -> str:
    """The text of a cell, which may be split into lines."""
    source = get(cell, "input" if get(cell, "source") is None else "source")
    lines = source if isinstance(source, list) else [source]
    return "".join(line for line in lines if isinstance(line, str))
