"""Reading command lines strictly, with one clear message for each mistake."""

import argparse
import contextlib
import io
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

import tyro

from minivjepa.training.arms import VARIANTS, with_arm
from minivjepa.training.config import PRESETS, Config
from minivjepa.vjepa import ARMS

A = TypeVar("A")


def early(argv: list[str], name: str, choices: Collection[str], default: str) -> str:
    """The value of --NAME, one of `choices`, read first because the defaults of other options depend on it."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument(f"--{name}", default=default)
    try:
        value = str(getattr(first.parse_known_args(argv)[0], name))
    except argparse.ArgumentError as error:
        raise ValueError(error) from None
    if value not in choices:
        raise ValueError(f"unknown {name} {value!r}; choose from {', '.join(choices)}")
    return value


def preset_and_arm(argv: list[str]) -> tuple[str, str, Config]:
    """--preset, --arm, and the config that they name, which holds the defaults of other options."""
    preset, arm = early(argv, "preset", PRESETS, "cpu"), early(argv, "arm", [*ARMS, *VARIANTS], "vjepa")
    return preset, arm, with_arm(PRESETS[preset], arm)


def parse(kind: type[A], argv: list[str], command: str, defaults: Any = tyro.MISSING_NONPROP) -> A:
    """Parse options into a dataclass; a bad option exits with 2 and at most 12 lines."""
    said = io.StringIO()
    markers = (tyro.conf.FlagCreatePairsOff, tyro.conf.AvoidSubcommands)
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=argv, prog=f"minivjepa {command}", default=defaults, config=markers)
    finally:
        lines = said.getvalue().splitlines()
        shown = lines if len(lines) <= 12 else [*lines[:10], *lines[-2:]]
        sys.stderr.write("".join(line + "\n" for line in shown))


def check_json(path: Path | None) -> None:
    """Raise ValueError unless --json, if given, names a file in an existing folder."""
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise ValueError(f"--json {path} is not a file in an existing folder; give for example numbers.json")


def check_new_file(path: Path, suffixes: tuple[str, ...], option: str) -> None:
    """Raise ValueError unless `path` is new, in an existing folder, and ends in one of the suffixes."""
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{option} is {path}, expected a name ending in {' or '.join(suffixes)}")
    if path.exists() or not path.absolute().parent.is_dir():
        raise ValueError(f"{option} is {path}, expected a new file in an existing folder; choose another place")
