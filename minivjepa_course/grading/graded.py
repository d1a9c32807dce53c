"""What grading knows of an assignment, what a submission got, and how that is kept on disk.

A kept result's file name depends on everything the result depends on, so an old result is never taken for a new one.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from minivjepa.training.files import read_json
from minivjepa_course.grading.mounts import PACKAGES
from minivjepa_course.grading.submissions import HandedIn
from minivjepa_course.homework.cases import ExerciseCases

# weights or None, folders to hide, user ids -> what to say, rule -> whether it holds, whether to try again
Judge = Callable[[bytes | None, Sequence[str], Iterator[int]], tuple[str, dict[str, bool], bool]]
RIGHT = "right"  # the message of an exercise that has all its points; only the grading process says it


@dataclass(frozen=True)
class Assignment:
    """One assignment with the hidden cases of one seed.

    given: cells that run before a submission's; points: of each exercise and project; written: points of each cell that is marked by hand;
    projects: how the file of weights beside the notebook is judged.
    """

    name: str
    given: tuple[str, ...]
    exercises: tuple[ExerciseCases, ...]
    points: dict[str, float]
    written: dict[str, float]
    projects: dict[str, Judge] = field(default_factory=dict)


@dataclass(frozen=True)
class Graded:
    """What one submission got.

    to_mark: points still to be given by hand; status: graded, or why not; messages: exercise -> its feedback; again: points may have
    been lost through no fault of the submission, such as a busy machine, so it is worth another try; notes: on cells that cost nothing;
    rules: exercise -> rule -> whether all its cases are right.
    """

    student: str
    assignment: str
    points: dict[str, float]
    to_mark: float
    status: str
    messages: dict[str, str]
    again: bool = False
    notes: list[str] = field(default_factory=list)
    rules: dict[str, dict[str, bool]] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Points without those that are given by hand."""
        return sum(self.points.values())

    @property
    def message(self) -> str:
        """The first line of the first message that is not "right"."""
        return next((f"{name}: {text}".split("\n")[0] for name, text in self.messages.items() if text != RIGHT), "")


@dataclass(frozen=True)
class Row:
    """A line of the table.  by_hand: the points that the teacher gave; None before that."""

    item: HandedIn
    result: Graded
    by_hand: float | None = None

    @property
    def total(self) -> float:
        """All points so far."""
        return self.result.total + (self.by_hand or 0.0)


def by_rule(result: Graded, worth: Mapping[str, float]) -> Graded:
    """The result with the points of each exercise in proportion to its rules that are right."""
    shares = {name: sum(rules.values()) / len(rules) for name, rules in result.rules.items() if rules}
    points = {name: round(worth[name] * shares.get(name, 0.0), 2) for name in result.points}
    return replace(result, points=points)


def edition(teacher: Path, seed: int) -> str:
    """A digest of what every submission is graded by: the seed, the assignments, the recorded runs they quote, these packages."""
    key = hashlib.sha256(f"{seed}\n".encode())
    packages = ((package, "**/*.py") for package in PACKAGES)
    for folder, pattern in ((teacher, "**/*.py"), (teacher.parent / "results", "*.json"), *packages):
        for path in sorted(folder.glob(pattern)):
            content = path.read_bytes()
            key.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return key.hexdigest()


def result_file(folder: Path, name: str, content: bytes, graded_by: str) -> Path:
    """Where the result of a submission is kept.  name: its path in the folder of submissions; graded_by: the edition."""
    key = hashlib.sha256(content + os.fsencode(name) + f" {graded_by}".encode()).hexdigest()
    return folder / f"{key[:24]}.json"


def kept(file: Path) -> Graded | None:
    """A result that was kept; None if the file is missing or damaged."""
    try:
        return Graded(**read_json(file))
    except (OSError, ValueError, TypeError):
        return None
