"""`minivjepa doctor`: can this machine run the course?"""

from dataclasses import dataclass

from minivjepa.commands.options import parse
from minivjepa.course.setup_checks import diagnose


@dataclass(frozen=True)
class DoctorOptions:
    """Check that this machine can run the course: one line per check.  Exits with 1 if a check fails."""


def doctor(argv: list[str]) -> int:
    """The doctor command."""
    parse(DoctorOptions, argv, "doctor")
    return 0 if diagnose(print) else 1
