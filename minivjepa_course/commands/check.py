"""`minivjepa check`: is my homework right, as far as its visible checks go?"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from minivjepa.commands.options import parse
from minivjepa_course.homework.selfcheck import check_file


@dataclass(frozen=True)
class CheckOptions:
    """Run homework notebooks as they will be graded, and print one line per exercise.

    Exits with 1 if any is not right yet.  Your teacher also runs cases that are not shown here.  In grading, a cell or a call of your
    function may take 10 s, all of them 90 s; memory is limited to 2 GiB and a file to 1 MiB.
    """

    notebooks: tyro.conf.Positional[tuple[Path, ...]]  # Homework notebooks, such as notebooks/homework/hw1.ipynb.


def check(argv: list[str]) -> int:
    """The check command."""
    options = parse(CheckOptions, argv, "check")
    wrong = 0
    if not options.notebooks:
        raise ValueError("no notebook is given; for example: minivjepa check notebooks/homework/hw1.ipynb")
    for path in options.notebooks:
        messages, notes = check_file(path)
        right = sum(not message for message in messages.values())
        print(f"{path.name}: {right} of {len(messages)} exercises are right in all visible cases")
        for exercise, message in messages.items():
            line = f"  {'✗' if message else '✓'} {exercise:16} {message or 'right'}"
            print(line.replace("\n", "\n      "))
        print("".join(f"  note: {note}\n" for note in notes), end="")
        wrong += len(messages) - right
    return int(wrong > 0)
