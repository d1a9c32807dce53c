"""Measure how fast this machine trains: python results/speed.py [--device cuda] [--only rows,memory,tricks,data,matrix]

Writes results/speed-DEVICE.json, from which `python results/pages.py` makes the tables of docs/speed.md.  Needs the extras
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
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from minivjepa import transformer, tubelets, vjepa
from minivjepa.data import video
from minivjepa.data.read_ahead import Ahead
from minivjepa.encoder import Encoder
from minivjepa.masking import MaskPair
from minivjepa.speed.step_time import Step, find_geometry, prepare, seconds
from minivjepa.training import trainer as training
from minivjepa.training.config import PRESETS
from minivjepa.training.files import read_json, versions, write_json
from minivjepa.vjepa import VJEPA

FOLDER = Path(__file__).parent
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
NO_AMX = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}  # as on processors without matrix units
AVX2 = {"MKL_ENABLE_INSTRUCTIONS": "AVX2"}  # vectors of 8 numbers, as on most laptops
ROWS: dict[str, list[tuple[str, dict[str, str]]]] = {
    "cpu": [
        ("mini --account --peer", {}),
        ("mini --dtype bfloat16 --account --peer", {}),
        ("mini", AVX2),
        ("mini --dtype bfloat16", NO_AMX),
        ("paper --account --peer --steps 4", {}),
        ("paper --dtype bfloat16 --account --peer --steps 4", {}),
        ("paper --steps 4", AVX2),
        ("paper --dtype bfloat16 --steps 4", NO_AMX),
        ("mini --compile", {}),
        ("mini --recompute", {}),
        ("tiny --steps 100", {}),
        ("cpu --steps 50 --account", {}),
        ("cpu --steps 50 --dtype bfloat16", {}),
        ("cpu-long --steps 50", {}),
        ("cuda --steps 2", {}),
        ("vitl --batch 1 --steps 1 --recompute", {}),
    ],
    "cuda": [
        ("mini --account --peer", {}),
        ("mini --dtype bfloat16 --account --peer", {}),
        ("mini --dtype bfloat16 --compile", {}),
        ("paper --dtype bfloat16 --account --peer", {}),
        ("paper --dtype bfloat16 --compile", {}),
        ("vitl --dtype bfloat16 --account --peer", {}),
        ("vitl --dtype bfloat16 --compile", {}),
        ("vitl --dtype bfloat16 --compile --recompute --batch 24", {}),
        ("cuda --dtype bfloat16 --account", {}),
        ("cuda --dtype bfloat16 --compile", {}),
        ("cpu --account", {}),
    ],
}
WHOLE = "vitl --batch 24 --dtype bfloat16 --recompute --steps 1"  # the preset's batch: its memory is what counts
ROUNDS = 7  # of a step with a trick and one without, in turn


def memory(device: str) -> dict[str, Any]:
    """Peak memory of the preset vitl.  On one thread a step takes minutes."""
    [row] = rows(device, [(WHOLE, {})])
    return {key: row[key] for key in ("command", "batch", "dtype", "peak_memory_mib")}


def rows(device: str, wanted: list[tuple[str, dict[str, str]]]) -> list[dict[str, Any]]:
    """One `minivjepa bench` after the other, each in a process of its own, so that peak memory is its own."""
    found = []
    for words, environment in tqdm(wanted, desc="bench", unit="row"):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "row.json"
            command = ["-m", "minivjepa", "bench", "--geometry", *words.split(), "--device", device]
            subprocess.run(
                [sys.executable, *command, "--json", str(file)],
                env={**ONE_THREAD, **environment},
                check=True,
                stdout=subprocess.DEVNULL,
            )
            row = read_json(file)
        row["command"] = " ".join(["minivjepa", *command[2:]])
        found.append({**row, "environment": environment})
    return found


# --- what each trick buys: the step with the obvious version in its place ---


def embed_everything(self: Encoder, clip: Tensor, ids: Tensor | None = None, sizes: list[int] | None = None) -> Tensor:
    """The encoder that embeds all tubelets and then keeps those that the mask names."""
    x = self.embed(clip)
    return self.norm(self.blocks(x if ids is None else tubelets.gather_tokens(x, ids), None, sizes))


def one_group_after_the_other(self: VJEPA, clip: Tensor, masks: Sequence[MaskPair]) -> list[Tensor]:
    """Encoder and predictor once for every mask group."""
    return [self.predictor(self.encoder(clip, c), c, t, group) for group, (c, t) in enumerate(masks)]


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


def torchs_attention(q: Tensor, k: Tensor, v: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Always the fused kernel."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)


ADAMW = torch.optim.AdamW


def looping_adamw(groups: Any, lr: float, fused: bool) -> torch.optim.AdamW:
    """AdamW one parameter after the other."""
    return ADAMW(groups, lr=lr, foreach=False, fused=False)


TRICKS: dict[str, tuple[Any, str, Any]] = {
    "embed only the kept tubelets": (Encoder, "forward", embed_everything),
    "cut the clip into tubelets once": (vjepa, "patchify", lambda clip, grid: clip),
    "one target pass a clip": (VJEPA, "targets", targets_for_every_group),
    "targets without a graph": (VJEPA, "targets", targets_detached_later),
    "all mask groups in one pass": (VJEPA, "predict", one_group_after_the_other),
    "bf16 attention written out": (transformer, "attend", torchs_attention),
    "EMA in one call": (vjepa, "ema_update", one_parameter_after_the_other),
    "AdamW in one kernel": (training.torch.optim, "AdamW", looping_adamw),
}


def tricks(device: torch.device) -> list[dict[str, Any]]:
    """Seconds of a step with and without each trick, at mini in both types, in turn."""
    found = []
    for dtype in ("float32", "bfloat16"):
        geometry = find_geometry("mini", None)
        ours = prepare(geometry, dtype, device)
        for name, (owner, attribute, obvious) in tqdm(TRICKS.items(), desc=f"tricks, {dtype}", unit="trick"):
            with patch.object(owner, attribute, obvious):
                theirs = prepare(geometry, dtype, device)
            spent = in_turn(ours, theirs, owner, attribute, obvious, device)
            calls = [count(step, owner, attribute, change) for step, change in ((ours, None), (theirs, obvious))]
            found.append({"trick": name, "dtype": dtype, "ours_s": spent[0], "obvious_s": spent[1],
                          "ours_operators": calls[0], "obvious_operators": calls[1]})  # fmt: skip
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


def count(step: Step, owner: Any, attribute: str, obvious: Any) -> int:
    """How many operators a step calls: on a GPU, about as many kernels are started."""
    from minivjepa.speed.operators import Recorder

    with changed(owner, attribute, obvious), Recorder() as recorder:
        step()
    return sum(recorder.calls.values())


# --- data ---


def write_film(path: Path, frames: int, height: int, width: int) -> None:
    """A film of moving noise, compressed as films are."""
    import av

    rng = np.random.default_rng(0)
    still = np.kron(rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number in range(frames):
            image = np.roll(still, (number, 2 * number), axis=(0, 1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def clips_per_second(source: Any, batches: int, index: Tensor, train: Callable[[], Any]) -> float:
    """Batches drawn one after the other, each followed by a step that takes its time."""
    source.batch(0, index)
    start = time.perf_counter()
    for step in range(1, batches + 1):
        source.batch(step, index)
        train()
    return batches * len(index) / (time.perf_counter() - start)


def data(device: torch.device) -> dict[str, Any]:
    """Decoding, and clips of a film that stays in memory, of one that does not, and of one that workers read ahead."""
    grid, index, batches = PRESETS["cuda"].grid, torch.arange(8), 6
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        write_film(film, 300, 240, 320)
        start = time.perf_counter()
        frames = sum(1 for _ in video.decode(film))
        found: dict[str, Any] = {
            "frames_per_s": frames / (time.perf_counter() - start),
            "frames": frames,
            "size": [240, 320],
            "clip": grid.shape,
        }
        nothing: Callable[[], Any] = lambda: None  # noqa: E731
        found["in_memory_clips_per_s"] = clips_per_second(video.VideoClips(film, grid), batches, index, nothing)
        with patch.object(video, "KEPT", 0):
            source = video.VideoClips(film, grid)
        found["from_file_clips_per_s"] = clips_per_second(source, batches, index, nothing)
        work = prepare(find_geometry("mini", None), "float32", device)
        work()  # the first one also makes the optimiser's state
        found["step_clips_per_s"] = len(index) / statistics.median(seconds(work, device) for _ in range(ROUNDS))
        for workers in (0, 1):
            reading = Ahead(source, batches + 1, workers, device) if workers else source
            rate = clips_per_second(reading, batches, index, lambda: (work(), seconds(lambda: None, device)))
            found[f"training_clips_per_s_workers_{workers}"] = rate
    return found


# --- many small runs ---


def matrix(device: str) -> list[dict[str, Any]]:
    """Wall time of five arms x three seeds, with so many processes at once; probes and start included."""
    preset, at_once = ("cpu", (1, 4, 8, 15)) if device == "cuda" else ("tiny", (1, 2))
    found = []
    for jobs in tqdm(at_once, desc="matrix", unit="number of jobs"):
        with tempfile.TemporaryDirectory() as folder:
            words = ["ablate", "--preset", preset, "--seeds", "0,1,2", "--jobs", str(jobs), "--device", device]
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
        "--only", default="rows,memory,tricks,data,matrix", help="parts, separated by commas (default: all)"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    file = FOLDER / f"speed-{options.device}.json"
    found = read_json(file) if file.exists() else {}
    parts: dict[str, Callable[[], Any]] = {
        "rows": lambda: rows(options.device, ROWS[options.device]),
        "memory": lambda: memory(options.device),
        "tricks": lambda: tricks(device),
        "data": lambda: data(device),
        "matrix": lambda: matrix(options.device),
    }
    for name in options.only.split(","):
        if name not in parts:
            parser.error(f"unknown part {name!r}; choose from {', '.join(parts)}")
        found[name] = parts[name]()
        found |= {"date": time.strftime("%Y-%m-%d"), "versions": versions(), "device": options.device}
        write_json(file, found)


if __name__ == "__main__":
    main()
