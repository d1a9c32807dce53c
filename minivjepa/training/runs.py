"""A run is a folder of plain files: config.json, metrics.jsonl, checkpoint.pt."""

import contextlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minivjepa.training.config import Config, differences, from_dict, to_dict
from minivjepa.training.files import check_new, finite_or_null, locked, write_atomically, write_json, write_text
from minivjepa.training.recipe import build_model
from minivjepa.vjepa import VJEPA

# a field of the config that only this command writes
MAKERS = {
    "prevention": "minivjepa train",
    "preset": "minivjepa ablate",
    "pretraining": "minivjepa world train",
    "checkpoints": "minivjepa world plan",
}
PARTS = {"config", "step", "model", "optimiser", "loss_sum", "loss_count"}  # of a checkpoint


class RunStopped(ValueError):
    """A run cannot continue, because of its loss or the disk; the message says what to do."""


def made_by(names: Collection[str], unknown: str = "") -> str:
    """The command that made a run, from the names of its config's fields; `unknown` if they are none of ours."""
    return next((f"`{command}`" for name, command in MAKERS.items() if name in names), unknown)


def few(lines: list[str]) -> str:
    """The first four of several lines, and how many more there are."""
    return "; ".join(lines[:4] + ([f"and {len(lines) - 4} more"] if len(lines) > 4 else []))


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Load all weights.  Raises ValueError for those that are missing, not expected or of another shape."""
    own, given = ({key: tuple(value.shape) for key, value in w.items()} for w in (network.state_dict(), weights))
    wrong = [key for key in own | given if own.get(key) != given.get(key)]
    if wrong:
        lines = [f"{key} is {given.get(key, 'missing')}, expected {own.get(key, 'nothing')}" for key in wrong]
        raise ValueError(f"{where}: {few(lines)}")
    network.load_state_dict(weights)


def check_equal(where: Path, lines: list[str]) -> None:
    """Raise ValueError if there are differences between a saved config and the given one."""
    if lines:
        raise ValueError(f"{where} holds a run of another config ({few(lines)}); resume with the options of its start")


class Run:
    """The files of one run in the folder `out`.  kind: the dataclass of its config.  films: name -> size, of videos it reads."""

    def __init__(self, out: Path, kind: type[Any] = Config, films: Mapping[str, str] | None = None):
        self.out, self.kind, self.films = out, kind, dict(films or {})
        self.command = made_by([each.name for each in fields(kind)])
        self.config_file, self.metrics_file = out / "config.json", out / "metrics.jsonl"
        self.checkpoint_file = out / "checkpoint.pt"

    def create(self, config: Any, data: str) -> None:
        """Make the folder and write config.json.  Raises ValueError if the folder is not empty."""
        check_new(self.out)
        self.out.mkdir(parents=True, exist_ok=True)
        films = {"films": self.films} if self.films else {}
        write_json(self.config_file, {"data": data, **films, **to_dict(config)})

    def check(self, config: Any, data: str, resume: bool) -> None:
        """Raise ValueError unless the folder can become a run, or holds the one to resume."""
        self.check_same(config, data) if resume else check_new(self.out)

    @contextlib.contextmanager
    def open(self, config: Any, data: str, resume: bool) -> Iterator[None]:
        """Create the run, or check that it is the same; inside, no other process can."""
        self.check(config, data, resume)  # before anything is made
        with locked(self.out):
            if not resume:
                self.create(config, data)
            yield

    def config(self) -> tuple[Any, str]:
        """The saved config and data.  Raises ValueError if there is none, or if this version cannot read it."""
        if not self.config_file.exists():
            raise ValueError(f"{self.out} holds no run (no config.json); give the folder that {self.command} made")
        try:
            saved = json.loads(self.config_file.read_text())
            data = saved.pop("data")
            saved.pop("films", None)
            if (command := made_by(saved, self.command)) == self.command:
                return from_dict(self.kind, saved), data
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{self.config_file} is not a config of this version: {error}") from None
        inside = f"; the runs of an ablation are in {self.out / 'runs'}" if command == made_by(["preset"]) else ""
        raise ValueError(f"{self.out} was made by {command}; give a folder that {self.command} made{inside}")

    def check_same(self, config: Any, data: str) -> None:
        """Raise ValueError unless the folder holds a run of exactly this config and data.  The same films may be elsewhere."""
        if not self.config_file.exists():
            raise ValueError(f"nothing to resume in {self.out}: it holds no config.json; leave --resume out")
        saved, saved_data = self.config()
        # None: clips that are drawn, or an earlier version
        films = json.loads(self.config_file.read_text()).get("films")
        old, new = films or {"data": str(Path(saved_data))}, self.films if films else {"data": str(Path(data))}
        other = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
        lines = [f"{name}: {old.get(name, 'absent')} saved, {new.get(name, 'absent')} given" for name in other]
        check_equal(self.out, differences(saved, config) + lines)

    @property
    def kept(self) -> str:
        """What is left of a run that stops now, in words."""
        return "the checkpoint before it was kept" if self.checkpoint_file.exists() else "no checkpoint was saved yet"

    @contextlib.contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Raise RunStopped if the disk is full."""
        try:
            yield
        except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
            reason = error.strerror if isinstance(error, OSError) else "the disk did not take all of it"
            free = shutil.disk_usage(self.out).free / 2**20
            raise RunStopped(
                f"cannot write {what} ({reason}; {free:.0f} MiB are free); {self.kept}. "
                "Free some disk space, then run the same command with --resume"
            ) from None

    def save(self, state: dict[str, Any]) -> None:
        """Replace the checkpoint."""
        with self.writing(f"{self.checkpoint_file} at step {state['step']}"):
            write_atomically(self.checkpoint_file, lambda file: torch.save(state, file))

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint, or None if there is none yet.  No pickled code is executed.  Raises ValueError for another file."""
        if not self.checkpoint_file.exists():
            return None
        try:
            state = torch.load(self.checkpoint_file, map_location="cpu", weights_only=True)
            if not set(state) >= PARTS:
                raise ValueError(f"it lacks {', '.join(sorted(PARTS - set(state)))}")
            return dict(state)
        except Exception as error:  # torch raises many types for a file that is not a checkpoint
            reason = (str(error) or "it is empty").splitlines()[0][:200]
            raise ValueError(f"{self.checkpoint_file} is not a checkpoint of minivjepa ({reason})") from None

    def restore(self, model: nn.Module, config: Any) -> dict[str, Any] | None:
        """Load the last checkpoint into the model and return it, or None.  Raises ValueError if its config differs."""
        state = self.load()
        if state is not None:
            check_equal(self.checkpoint_file, differences(from_dict(self.kind, state["config"]), config))
            load_weights(model, state["model"], str(self.checkpoint_file))
        return state

    def append(self, row: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl and flush it to the disk."""
        with self.writing(str(self.metrics_file)), open(self.metrics_file, "ab") as file:
            file.write((json.dumps(finite_or_null(row)) + "\n").encode())
            file.flush()
            os.fsync(file.fileno())

    def history(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl, without a last line that a kill cut off.  Raises ValueError for other damage."""
        if not self.metrics_file.exists():
            return []
        try:
            rows = [json.loads(line) for line in self.metrics_file.read_bytes().split(b"\n")[:-1]]
            if all("step" in row for row in rows):
                return rows
        except (TypeError, ValueError):
            pass
        raise ValueError(f"{self.metrics_file} is damaged: a line is not a row of metrics; start in a new folder")

    def rewind(self, step: int) -> list[dict[str, Any]]:
        """Drop the rows after `step`, which will be written again, and return the others."""
        rows = [row for row in self.history() if row["step"] <= step]
        write_text(self.metrics_file, "".join(json.dumps(row) + "\n" for row in rows))
        return rows


def trained(folder: Path) -> tuple[VJEPA, Config, str, int]:
    """A run's model, its config, its data, and the step it was saved at.  Raises ValueError if it has no checkpoint yet."""
    run = Run(folder)
    config, data = run.config()
    model = build_model(config)
    state = run.restore(model, config)
    if state is None:
        raise ValueError(f"{folder} has no checkpoint.pt yet; train further with --resume")
    return model, config, data, state["step"]
