"""Measure how fast this machine trains: python results/speed.py [--device cuda] [--only rows,peers,tricks,clips,data,matrix]

Writes results/speed-DEVICE.json after every row and part, from which `python results/pages.py` makes the tables of docs/speed.md.  A row that
fails says why, the others go on, and the exit code is 1.  Needs the extras figures, video and parity.  On the CPU everything runs on one thread;
keep the machine free of other work.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from speed_data import clips, data
from speed_tricks import tricks
from tqdm import tqdm

from minivjepa.training.devices import pick_device
from minivjepa.training.files import read_json, versions, write_json

FOLDER = Path(__file__).parent
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
Row = dict[str, Any]
# measures one row, or returns None after saying why it failed
Measure = Callable[[], Row | None]
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
    "cuda": [  # those that compile take longest, so they come last
        "mini --dtype bfloat16 --account",
        "cpu --account",
        "vitl --dtype bfloat16 --account",
        "cuda --dtype bfloat16 --account",
        "paper --dtype bfloat16 --account",
        "mini --account",
        "mini --dtype bfloat16 --compile",
        "vitl --dtype bfloat16 --compile",
        "cuda --dtype bfloat16 --compile",
        "paper --dtype bfloat16 --compile",
        "vitl --dtype bfloat16 --compile --recompute --batch 24",
    ],
}
PEERS = {"cpu": [("mini", "float32"), ("paper", "float32")], "cuda": [("mini", "bfloat16"), ("vitl", "bfloat16")]}
# preset and seeds of an ablation, and how many of its runs at once
MATRIX = {"cpu": ("tiny", "0", (1, 2)), "cuda": ("cpu", "0,1,2", (4, 15))}
PARTS = ("rows", "peers", "tricks", "clips", "data", "matrix")


def output(words: list[str]) -> str | None:
    """What a Python program printed, in a process of its own; None if it failed, after repeating the last line of its errors."""
    done = subprocess.run([sys.executable, *words], env=ONE_THREAD, capture_output=True, text=True)
    if done.returncode == 0:
        return done.stdout
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    tqdm.write(f"failed: {' '.join(words)}: {last}", file=sys.stderr)
    return None


def bench(words: list[str]) -> Row | None:
    """One `minivjepa bench` in a process of its own, so that peak memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "row.json"
        return None if output(["-m", "minivjepa", *words, "--json", str(file)]) is None else read_json(file)


def rows(device: str) -> dict[str, Measure]:
    """Command -> how it's measured, for every row of a step."""
    every = (["bench", "--geometry", *words.split(), "--device", device] for words in ROWS[device])
    return {" ".join(["minivjepa", *words]): partial(bench, words) for words in every}


def peer(geometry: str, dtype: str, device: str) -> Row | None:
    """The same step with VJEPA2Model of transformers as the encoder."""
    said = output([str(FOLDER / "peer.py"), geometry, dtype, device])
    return None if said is None else {"geometry": geometry, "dtype": dtype, "step_s": float(said.split()[-1])}


def peers(device: str) -> dict[str, Measure]:
    """Command -> how it's measured, for every step of the other implementation."""
    return {f"python results/peer.py {a} {b} {device}": partial(peer, a, b, device) for a, b in PEERS[device]}


def ablation(words: list[str], jobs: int) -> Row | None:
    """Wall time of an ablation with so many processes at once; probes and start included."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        if output(["-m", "minivjepa", *words, "--out", f"{folder}/matrix"]) is None:
            return None
        took, runs = time.perf_counter() - start, read_json(Path(folder) / "matrix" / "results.json")["arms"]
    losses = {arm: [run["final"]["loss"] for run in each] for arm, each in runs.items()}
    return {"jobs": jobs, "seconds": took, "losses": losses}


def matrix(device: str) -> dict[str, Measure]:
    """Command -> how it's measured, for every number of processes."""
    preset, seeds, at_once = MATRIX[device]
    found: dict[str, Measure] = {}
    for jobs in at_once:
        words = ["ablate", "--preset", preset, "--seeds", seeds, "--jobs", str(jobs), "--device", device]
        found[" ".join(["minivjepa", *words])] = partial(ablation, words, jobs)
    return found


def one_by_one(wanted: dict[str, Measure], todo: list[str], old: list[Row], keep: Callable[[list[Row]], None]) -> bool:
    """Measure the commands of `todo`, one after the other; True if one of them failed.

    old: rows of before; a new one replaces that of its command.  keep: called after each with all rows, in the order of `wanted`.
    """
    found, failed = {row["command"]: row for row in old}, False
    for command in (bar := tqdm(todo, unit="row")):
        bar.set_description(command)
        row = wanted[command]()
        if row is None:
            failed = True
            continue
        found[command] = {"date": time.strftime("%Y-%m-%d"), **row, "command": command}
        keep([found[name] for name in wanted if name in found])
    return failed


def given() -> argparse.Namespace:
    """The command line; exits with code 2 if it can't be used here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=ROWS, default="cpu", help="what trains (default: cpu)")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, separated by commas (default: all)")
    parser.add_argument("--geometry", default="", help="rows of this geometry only, such as vitl (default: all)")
    parser.add_argument("--file", type=Path, help="where the numbers go (default: results/speed-DEVICE.json)")
    parser.add_argument("--resume", action="store_true", help="keep the rows and parts that the file already has")
    options = parser.parse_args()
    options.only = options.only.split(",")
    geometries = dict.fromkeys(words.split()[0] for words in ROWS[options.device])
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"unknown part {unknown.pop()!r}; choose from {', '.join(PARTS)}")
    if options.geometry and options.geometry not in geometries:
        parser.error(f"no row has the geometry {options.geometry!r}; choose from {', '.join(geometries)}")
    try:
        pick_device(options.device)
    except ValueError as error:
        parser.error(str(error))
    return options


def main() -> int:
    """Measure what was asked for, and keep the rest of the file."""
    options = given()
    torch.set_num_threads(1)
    device, file = torch.device(options.device), options.file or FOLDER / f"speed-{options.device}.json"
    found, failed = read_json(file) if file.exists() else {}, False

    def keep(part: str, numbers: Any) -> None:
        """Write what is measured so far."""
        about = {"date": time.strftime("%Y-%m-%d"), "versions": versions()}
        measured = {**found.get("measured", {}), part: about}
        found.update({part: numbers, "device": options.device, "measured": measured})
        write_json(file, found)

    whole: dict[str, Callable[[], Any]] = {
        "tricks": lambda: tricks(device),
        "clips": lambda: clips(device),
        "data": lambda: data(device),
    }
    listed = {"rows": rows, "peers": peers, "matrix": matrix}
    for part in options.only:
        if part in whole and not (options.resume and part in found):
            keep(part, whole[part]())
        if part in listed:
            wanted, old = listed[part](options.device), found.get(part, [])
            done = {row["command"] for row in old} if options.resume else set()
            only = f"--geometry {options.geometry} " if part == "rows" and options.geometry else ""
            todo = [command for command in wanted if command not in done and only in command]
            failed |= one_by_one(wanted, todo, old, partial(keep, part))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
