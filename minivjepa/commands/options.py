"""Reading command lines strictly, with one clear message for each mistake."""

import argparse
import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import tyro

from minivjepa.training.arms import with_arm
from minivjepa.training.config import PRESETS, Config

A = TypeVar("A")


def fail(message: str) -> NoReturn:
    """Say what is wrong on stderr and exit with 2."""
    sys.stderr.write(f"minivjepa: {message}\n")
    raise SystemExit(2)


def early(argv: list[str], name: str, default: str) -> str:
    """The value of --NAME, read first because the defaults of other options depend on it."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument(f"--{name}", default=default)
    try:
        return str(getattr(first.parse_known_args(argv)[0], name))
    except argparse.ArgumentError as error:
        fail(str(error))


def with_preset(argv: list[str], command: str, make: Callable[[Config, str, str], A]) -> A:
    """Parse options whose defaults depend on --preset and --arm, which are read first.

    make: (config, preset, arm) -> the defaults of all options.
    """
    preset, arm = early(argv, "preset", "cpu"), early(argv, "arm", "vjepa")
    if preset not in PRESETS:
        fail(f"unknown preset {preset!r}; choose from {', '.join(PRESETS)}")
    try:
        config = with_arm(PRESETS[preset], arm)
    except ValueError as error:
        fail(str(error))
    defaults = make(config, preset, arm)
    return parse(type(defaults), argv, command, defaults)


def parse(kind: type[A], argv: list[str], command: str, defaults: A | None = None) -> A:
    """Parse options into a dataclass; a bad option exits with 2 and at most 12 lines."""
    said = io.StringIO()
    default: dict[str, Any] = {} if defaults is None else {"default": defaults}
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                kind,
                args=argv,
                prog=f"minivjepa {command}",
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.AvoidSubcommands),
                **default,
            )
    except ValueError as error:
        fail(str(error))
    finally:
        lines = said.getvalue().splitlines()
        shown = lines if len(lines) <= 12 else [*lines[:10], *lines[-2:]]
        sys.stderr.write("".join(line + "\n" for line in shown))


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Print the message of a ValueError or OSError without a traceback, and exit with 2."""
    try:
        yield
    except ValueError as error:
        fail(str(error))
    except OSError as error:
        if error.filename is None:
            raise
        fail(f"{error.filename}: {error.strerror}; choose a path that can be read and written, on a disk with room")


def check_json(path: Path | None) -> None:
    """Raise ValueError unless --json, if given, names a file in an existing folder."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise ValueError(f"--json {path} is not a file in an existing folder; give for example numbers.json")


def numbers(text: str) -> list[int]:
    """Comma-separated whole numbers.  Raises ValueError for anything else."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--seeds {text!r} is not a list of whole numbers; write for example --seeds 0,1,2") from None
