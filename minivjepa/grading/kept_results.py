"""Results kept on disk: each file name depends on everything the result depends on, so an old result is never taken for a new one."""

import hashlib
import os
from pathlib import Path

from minivjepa.grading.graded import Graded
from minivjepa.training.files import read_json

PACKAGE = Path(__file__).parents[1]


def edition(teacher: Path) -> str:
    """A digest of what every submission is graded by: the texts of the assignments, the recorded runs they quote, this package."""
    key = hashlib.sha256()
    for folder, pattern in ((teacher, "**/*.py"), (teacher.parent / "results", "*.json"), (PACKAGE, "**/*.py")):
        for path in sorted(folder.glob(pattern)):
            content = path.read_bytes()
            key.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return key.hexdigest()


def result_file(folder: Path, path: Path, content: bytes, seed: int, graded_by: str) -> Path:
    """Where the result of a submission is kept.  content: of the submission at `path`; graded_by: the edition."""
    key = hashlib.sha256(content)
    key.update(os.fsencode(path) + f" {seed} {graded_by}".encode())
    return folder / f"{key.hexdigest()[:24]}.json"


def kept(file: Path) -> Graded | None:
    """A result that was kept; None if the file is missing or damaged."""
    try:
        return Graded(**read_json(file))
    except (OSError, ValueError, TypeError):
        return None
