"""What grading knows of an assignment, and what a submission got."""

from dataclasses import dataclass

from minivjepa.homework.cases import ExerciseCases

RIGHT = "right"  # the message of an exercise that has all its points; only the grading process says it


@dataclass(frozen=True)
class Assignment:
    """One assignment with the hidden cases of one seed.

    given: code that runs before the answers; points: of each exercise; written: points of each cell that is marked by hand.
    """

    name: str
    given: str
    exercises: tuple[ExerciseCases, ...]
    points: dict[str, float]
    written: dict[str, float]


@dataclass(frozen=True)
class Graded:
    """What one submission got.

    to_mark: points still to be given by hand; status: graded, or why not; messages: exercise -> its feedback; again: points may have
    been lost through no fault of the submission, such as a busy machine, so it is worth another try.
    """

    student: str
    assignment: str
    points: dict[str, float]
    to_mark: float
    status: str
    messages: dict[str, str]
    again: bool = False

    @property
    def total(self) -> float:
        """Points without those that are given by hand."""
        return sum(self.points.values())

    @property
    def message(self) -> str:
        """The first line of the first message that is not "right"."""
        return next((f"{name}: {text}".split("\n")[0] for name, text in self.messages.items() if text != RIGHT), "")
