"""The command line: `minivjepa COMMAND`.

Exit codes: 0 done; 1 doctor found a failure, or homework is wrong or could not be graded; 2 bad input, with one message; 130 Ctrl-C;
141 the reader of the output, such as `head`, has left.
"""

import contextlib
import errno
import importlib
import io
import os
import signal
import sys
from typing import NoReturn

from minivjepa import __version__

COMMANDS = {
    "lab": "put the lessons into a folder of your own, and open JupyterLab on the first",
    "train": "train one model; leaves config.json, metrics.jsonl and checkpoint.pt in a folder",
    "ablate": "train several arms of collapse prevention and compare them in one report",
    "probe": "measure what a trained encoder knows about motion and identity",
    "embed": "write the features of a video clip, from a run or from released V-JEPA weights",
    "imagine": "paint what trained models predict: the hidden part of a clip, or what actions lead to",
    "world train": "train a world model",
    "world plan": "let world models reach goals, beside an oracle and random actions",
    "world watch": "film robots on their way to their goals",
    "bench": "time a training step on this machine, and compare it with the rate of a large matrix product",
    "check": "run your homework as your teacher will: one line per exercise",
    "grade": "grade a folder of homework: a table, and a page of feedback per student",
    "doctor": "check that this machine can run the course",
}
COURSE = ("lab", "check", "grade")  # of the course, in minivjepa_course/commands/
RESUMABLE = ("train", "ablate", "world train", "world plan", "grade")


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command and exit with its code."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed, as by 2>&-: what is written there is lost
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))
    try:
        try:
            run(sys.argv[1:] if argv is None else argv)
        finally:
            sys.stdout.flush()
    except OSError as error:
        left = isinstance(error, BrokenPipeError)  # the reader, such as `head`; else the disk under the output is full
        if not left and error.errno != errno.ENOSPC:
            raise
        if not left:
            sys.stderr.write(f"minivjepa: the output cannot be written: {error.strerror}\n")
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        raise SystemExit(141 if left else 2) from None


def run(words: list[str]) -> NoReturn:
    """The command that these words name."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # some terminals cannot show every file name
    if set(words) <= {"world", "-h", "--help"}:
        print("usage: minivjepa COMMAND [options]\n")
        print("\n".join(f"  {name:12} {what}" for name, what in COMMANDS.items()))
        print("\n`minivjepa COMMAND --help` shows the options of a command, with units and defaults.")
        raise SystemExit(0 if {"-h", "--help"} & set(words) else 2)
    if words[0] == "--version":
        print(f"minivjepa {__version__}")
        raise SystemExit(0)
    length = 2 if words[0] == "world" else 1
    name, rest = " ".join(words[:length]), words[length:]
    try:
        if name not in COMMANDS:
            raise ValueError(f"unknown command {name!r}; choose from {', '.join(COMMANDS)}")
        function = name.replace(" ", "_")
        home = "minivjepa_course" if name in COURSE else "minivjepa"
        command = importlib.import_module(f"{home}.commands.{function}")  # only what this command needs is loaded
        raise SystemExit(getattr(command, function)(rest))
    except (ValueError, OSError) as error:
        message = str(error)
        if isinstance(error, OSError):
            if error.filename is None:
                raise
            message = f"{error.filename}: {error.strerror}; choose a path that can be read and written, with room left"
        sys.stderr.write(f"minivjepa: {message}\n")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        with contextlib.suppress(ValueError):  # not the main thread
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not tear what ends the first
        advice = "; run the same command with --resume to go on" if name in RESUMABLE else ""
        sys.stderr.write(f"\nminivjepa: stopped by Ctrl-C{advice}\n")
        raise SystemExit(130) from None
