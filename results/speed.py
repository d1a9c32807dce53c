"""Measure how fast this machine trains: python results/speed.py [--device cuda] [--only rows,peers,tricks,clips,data,matrix]

Writes results/speed-DEVICE.json after every row and part, from which `python results/pages.py` makes the tables of docs/speed.md.  Needs the extras
figures, video and parity.  On the CPU everything runs on one thread; keep the machine free of other work.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from speed_data import clips, data
from torch import Tensor
from tqdm import tqdm

from minivjepa import tubelets, vjepa
from minivjepa.encoder import Encoder
from minivjepa.speed.step_time import Step, find_geometry, prepare, seconds
from minivjepa.training import trainer as training
from minivjepa.training.files import read_json, versions, write_json
from minivjepa.vjepa import VJEPA

FOLDER = Path(__file__).parent
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
ROWS = {
    "cpu": [
        "mini --account",
        "mini --dtype bfloat16 --account --steps 4",
        "paper --account --steps 4",
        "paper --dtype bfloat16 --account --steps 1",
        "mini --compile",
        "mini --recompute",
        "tiny --steps 100",
        "cpu --steps 50 --account",
        "cpu --steps 20 --dtype bfloat16",
        "cpu-long --steps 50",
        "cuda --steps 1",
        "vitl --batch 1 --steps 1 --recompute",
    ],
    "cuda": [
        "mini --account",
        "mini --dtype bfloat16 --account",
        "mini --dtype bfloat16 --compile",
        "paper --dtype bfloat16 --account",
        "paper --dtype bfloat16 --compile",
        "vitl --dtype bfloat16 --account",
        "vitl --dtype bfloat16 --compile",
        "vitl --dtype bfloat16 --compile --recompute --batch 24",
        "cuda --dtype bfloat16 --account",
        "cuda --dtype bfloat16 --compile",
        "cpu --account",
    ],
}
PEERS = {"cpu": [("mini", "float32"), ("paper", "float32")], "cuda": [("mini", "bfloat16"), ("vitl", "bfloat16")]}
ROUNDS = 7  # of a step with a trick and one without, in turn


def rows(device: str, only: str, found: list[dict[str, Any]], keep: Callable[[], None]) -> list[dict[str, Any]]:
    """One `minivjepa bench` after the other, each in a process of its own, so that peak memory is its own.

    only: a geometry, or "" for all.  found: rows of before, which are not measured again.  keep: called after each row.
    """
    wanted = [words for words in ROWS[device] if words.split()[0] == (only or words.split()[0])]
    for words in tqdm(wanted, desc="bench", unit="row"):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "row.json"
            command = ["-m", "minivjepa", "bench", "--geometry", *words.split(), "--device", device]
            name = " ".join(["minivjepa", *command[2:]])
            if name in [row["command"] for row in found]:
                continue
            subprocess.run(
                [sys.executable, *command, "--json", str(file)],
                env=ONE_THREAD, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            found.append({**read_json(file), "command": name})
        keep()
    return found


def peers(device: str) -> list[dict[str, Any]]:
    """The same step with VJEPA2Model of transformers as the encoder."""
    found = []
    for geometry, dtype in tqdm(PEERS[device], desc="peers", unit="row"):
        command = [sys.executable, str(FOLDER / "peer.py"), geometry, dtype, device]
        done = subprocess.run(command, env=ONE_THREAD, check=True, capture_output=True, text=True)
        found.append({"geometry": geometry, "dtype": dtype, "step_s": float(done.stdout.split()[-1])})
    return found


# --- what each trick buys: the step with the obvious version in its place ---


def embed_everything(self: Encoder, clip: Tensor, ids: Tensor | None = None) -> Tensor:
    """The encoder that embeds all tubelets and then keeps those that the mask names."""
    x = self.embed(clip)
    x = x if ids is None else tubelets.gather_tokens(x, ids)
    for block in self.blocks:
        x = block(x)
    return self.norm(x)


def targets_for_every_group(self: VJEPA, clip: Tensor) -> Tensor:
    """The target encoder once for every mask group of the two."""
    assert self.target_encoder is not None
    with torch.no_grad():
        self.target_encoder(clip)
        return self.target_encoder(clip)


def targets_detached_later(self: VJEPA, clip: Tensor) -> Tensor:
    """A target encoder that keeps everything for a backward pass that never comes."""
    assert self.target_encoder is not None
    self.target_encoder.requires_grad_(True)
    h = self.target_encoder(clip).detach()
    self.target_encoder.requires_grad_(False)
    return h


def one_parameter_after_the_other(target: torch.nn.Module, online: torch.nn.Module, momentum: float) -> None:
    """EMA in a loop."""
    with torch.no_grad():
        for t, o in zip(target.parameters(), online.parameters()):
            t.lerp_(o, 1 - momentum)


ADAMW = torch.optim.AdamW


def looping_adamw(groups: Any, lr: float, fused: bool) -> torch.optim.AdamW:
    """AdamW one parameter after the other."""
    return ADAMW(groups, lr=lr, foreach=False, fused=False)


TRICKS: dict[str, tuple[Any, str, Any]] = {
    "embed only the kept tubelets": (Encoder, "forward", embed_everything),
    "one target pass a clip": (VJEPA, "targets", targets_for_every_group),
    "targets without a graph": (VJEPA, "targets", targets_detached_later),
    "EMA in one call": (vjepa, "ema_update", one_parameter_after_the_other),
    "AdamW in one kernel": (training.torch.optim, "AdamW", looping_adamw),
}


def tricks(device: torch.device) -> list[dict[str, Any]]:
    """Seconds of a step at mini with and without each trick, in turn."""
    found = []
    geometry = find_geometry("mini", None)
    ours = prepare(geometry, "float32", device)
    for name, (owner, attribute, obvious) in tqdm(TRICKS.items(), desc="tricks", unit="trick"):
        with patch.object(owner, attribute, obvious):
            theirs = prepare(geometry, "float32", device)
        spent = in_turn(ours, theirs, owner, attribute, obvious, device)
        found.append({"trick": name, "ours_s": spent[0], "obvious_s": spent[1]})
    return found


@contextlib.contextmanager
def changed(owner: Any, attribute: str, obvious: Any) -> Iterator[None]:
    """With the obvious version in place, if one is given."""
    with patch.object(owner, attribute, obvious) if obvious else contextlib.nullcontext():
        yield


def in_turn(ours: Step, theirs: Step, owner: Any, attribute: str, obvious: Any, device: torch.device) -> list[float]:
    """Medians over rounds; the first round does not count."""
    spent: list[list[float]] = [[], []]
    for _ in range(ROUNDS + 1):
        for times, step, change in zip(spent, (ours, theirs), (None, obvious)):
            with changed(owner, attribute, change):
                times.append(seconds(step, device))
    return [statistics.median(times[1:]) for times in spent]


# --- many small runs ---


def matrix(device: str) -> list[dict[str, Any]]:
    """Wall time of an ablation with so many processes at once; probes and start included."""
    preset, seeds, at_once = ("cpu", "0,1,2", (1, 4, 8, 15)) if device == "cuda" else ("tiny", "0", (1, 2))
    found = []
    for jobs in tqdm(at_once, desc="matrix", unit="number of jobs"):
        with tempfile.TemporaryDirectory() as folder:
            words = ["ablate", "--preset", preset, "--seeds", seeds, "--jobs", str(jobs), "--device", device]
            start = time.perf_counter()
            command = [sys.executable, "-m", "minivjepa", *words, "--out", f"{folder}/matrix"]
            subprocess.run(command, env=ONE_THREAD, check=True, capture_output=True)
            took = time.perf_counter() - start
            runs = json.loads((Path(folder) / "matrix" / "results.json").read_text())["arms"]
        losses = {arm: [run["final"]["loss"] for run in each] for arm, each in runs.items()}
        found.append({"command": " ".join(["minivjepa", *words]), "jobs": jobs, "seconds": took, "losses": losses})
    return found


def main() -> None:
    """Measure what was asked for, and keep the rest of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=ROWS, default="cpu", help="what trains (default: cpu)")
    parser.add_argument(
        "--only", default="rows,peers,tricks,clips,data,matrix", help="parts, separated by commas (default: all)"
    )
    parser.add_argument("--geometry", default="", help="rows of this geometry only, such as vitl (default: all)")
    parser.add_argument("--file", type=Path, help="where the numbers go (default: results/speed-DEVICE.json)")
    parser.add_argument("--resume", action="store_true", help="keep the rows and parts that the file already has")
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    file = options.file or FOLDER / f"speed-{options.device}.json"
    found = read_json(file) if file.exists() else {}
    measured = {**found} if options.resume else {}
    about = {"date": time.strftime("%Y-%m-%d"), "versions": versions(), "device": options.device}

    def keep(part: str, numbers: Any) -> None:
        """Write what is measured so far."""
        found.update({part: numbers, **about})
        write_json(file, found)

    kept = list(measured.get("rows", []))
    parts: dict[str, Callable[[], Any]] = {
        "rows": lambda: rows(options.device, options.geometry, kept, lambda: keep("rows", kept)),
        "peers": lambda: peers(options.device),
        "tricks": lambda: tricks(device),
        "clips": lambda: clips(device),
        "data": lambda: data(device),
        "matrix": lambda: matrix(options.device),
    }
    for name in options.only.split(","):
        if name not in parts:
            parser.error(f"unknown part {name!r}; choose from {', '.join(parts)}")
        if name == "rows" or name not in measured:
            keep(name, parts[name]())


if __name__ == "__main__":
    main()
