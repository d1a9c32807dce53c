"""The command line: `minivjepa COMMAND`.

Exit codes: 0 done; 1 doctor found a failure, or homework is wrong or could not be graded; 2 bad input, with one message; 130 Ctrl-C.
"""

import contextlib
import importlib
import io
import signal
import sys
from typing import NoReturn

from minivjepa import __version__
from minivjepa.commands.options import fail

COMMANDS = {
    "train": "train one model; leaves config.json, metrics.jsonl and checkpoint.pt in a folder",
    "ablate": "train several arms of collapse prevention and compare them in one report",
    "probe": "measure what a trained encoder knows about motion and identity",
    "embed": "write the features of a video clip, from a run or from released V-JEPA weights",
    "world": "train world models of two rooms, and let them reach goals: world train, world plan",
    "bench": "time a training step on this machine, and compare it with the rate of a large matrix product",
    "check": "run your homework's answers in a fresh copy of the notebook: one line per exercise",
    "grade": "grade a folder of homework: a table, and a page of feedback per student",
    "doctor": "check that this machine can run the course",
}
WORLD_PARTS = ("train", "plan")
WORLD_USAGE = """usage: minivjepa world train --model lewm|vjepa|untrained --out FOLDER [options]
           train a world model of two rooms
       minivjepa world plan RUN... --out FOLDER [options]
           let trained ones reach goals, beside an oracle and random actions

`minivjepa world train --help` and `minivjepa world plan --help` show the options, with units and defaults."""
RESUMABLE = ("train", "ablate", "world", "grade")


def usage() -> str:
    """What `minivjepa --help` prints."""
    lines = "\n".join(f"  {name:8} {what}" for name, what in COMMANDS.items())
    return (
        f"usage: minivjepa COMMAND [options]\n\n{lines}\n\n"
        "`minivjepa COMMAND --help` shows the options of a command, with units and defaults."
    )


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command and exit with its code."""
    words = sys.argv[1:] if argv is None else argv
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # some terminals cannot show every file name
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        raise SystemExit(0 if words else 2)
    name, rest = words[0], words[1:]
    if name == "--version":
        print(f"minivjepa {__version__}")
        raise SystemExit(0)
    if name not in COMMANDS:
        fail(f"unknown command {name!r}; choose from {', '.join(COMMANDS)}, or see minivjepa --help")
    if name == "world":
        if not rest or rest[0] in ("-h", "--help"):
            print(WORLD_USAGE)
            raise SystemExit(0 if rest else 2)
        if rest[0] not in WORLD_PARTS:
            fail(f"unknown command 'world {rest[0]}'; choose from world train, world plan")
        name, rest = f"world_{rest[0]}", rest[1:]
    try:
        command = importlib.import_module(f"minivjepa.commands.{name}")  # only what this command needs is loaded
        raise SystemExit(getattr(command, name)(rest))
    except KeyboardInterrupt:
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not tear what ends the first
        advice = "; run the same command with --resume to go on" if words[0] in RESUMABLE else ""
        sys.stderr.write(f"\nminivjepa: stopped by Ctrl-C{advice}\n")
        raise SystemExit(130) from None
