"""`minivjepa bench`: how fast is a training step here?"""

import shlex
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from tqdm import tqdm

from minivjepa.commands.options import check_json, parse
from minivjepa.speed import step_time
from minivjepa.speed.step_time import Geometry
from minivjepa.training.devices import pick_device
from minivjepa.training.files import versions, write_json
from minivjepa.training.trainer import Tuning


@dataclass(frozen=True)
class BenchOptions:
    """Time one training step: target forward, context and predictor forward and backward, optimiser, EMA.

    share = useful FLOPs / seconds / rate of one large matrix product of the same type, measured between the steps.
    Set OMP_NUM_THREADS=1 to measure one thread.
    """

    geometry: Annotated[str, tyro.conf.arg(help=f"What is trained: {', '.join(step_time.NAMES)}.")] = "mini"
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Type of the matrix products; bfloat16 by autocast, with weights in float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto is cuda if there is one, else cpu.
    batch: int | None = None  # Clips a step; None: the geometry's own.
    steps: int = 10  # Timed steps; the median counts.
    tuning: Annotated[Tuning, tyro.conf.arg(name="")] = field(default_factory=Tuning)
    account: bool = False  # Also say what each kind of operator takes of the step, by torch's profiler.
    json: Path | None = None  # Also write everything to this file.


def bench(argv: list[str]) -> int:
    """The bench command."""
    options = parse(BenchOptions, argv, "bench")
    geometry, device = step_time.find_geometry(options.geometry, options.batch), pick_device(options.device)
    if options.account and options.tuning.compile:
        raise ValueError("--account takes a step apart into its operators, and --compile fuses them; give one of them")
    if options.steps < 1:
        raise ValueError(f"--steps is {options.steps}, expected 1 or more")
    check_json(options.json)
    try:
        found = measure(options, geometry, device)
    except torch.OutOfMemoryError:
        what = f"{options.geometry} with {geometry.config.batch} clips does not fit into the memory of {device}"
        raise ValueError(f"{what}; give a smaller --batch, or --recompute") from None
    command = shlex.join(["minivjepa", "bench", *argv])
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    about = {
        "geometry": options.geometry, "dtype": options.dtype, "device": name, "threads": torch.get_num_threads(), "compiled": options.tuning.compile,
        "recompute": options.tuning.recompute, "command": command, "date": time.strftime("%Y-%m-%d"), "versions": versions(),
    }  # fmt: skip
    print("\n".join(table(about, found)))
    if options.json is not None:
        write_json(options.json, {**about, **found})
    return 0


def measure(options: BenchOptions, geometry: Geometry, device: torch.device) -> dict[str, Any]:
    """All numbers of the report."""
    rate = step_time.matrix_rate(device, options.dtype)
    steps = options.steps + min(step_time.WARM_UP, options.steps)
    with tqdm(total=steps, desc=options.geometry, unit="step") as bar:
        step = step_time.prepare(geometry, options.dtype, device, options.tuning)
        found = step_time.time_step(step, rate, options.steps, bar.update)
    found |= {
        "peak_memory_mib": step_time.peak_memory(step, device),
        "data": step_time.time_data(geometry.config, device),
    }
    if options.account:
        found["operators"] = step_time.account(step)
    return found


def table(about: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """What people read."""
    flops, memory = found["gflop"], found["peak_memory_mib"]
    parts = ", ".join(f"{part} {100 * count / found['gflop_per_step']:.0f} %" for part, count in flops.items())
    lines = [
        f"{about['geometry']}, {about['dtype']} on {about['device']}, {about['threads']} CPU threads, batch {found['batch']}",
        f"  step              {1000 * found['step_s']:10.1f} ms",
        f"  share             {found['share']:10.3f}   of {found['matmul_flops_per_s'] / 1e9:.0f} GFLOP/s, the rate of one matrix product",
        f"  clips             {found['clips_per_s']:10.1f} /s  ({found['tokens_per_s']:.0f} tokens/s)",
        f"  useful work       {found['gflop_per_step']:10.1f} GFLOP a step: {parts}",
        f"  peak memory       {'unknown' if memory is None else f'{memory:10.0f} MiB'}",
        f"  data              {found['data']['clips_per_s']:10.1f} clips/s, {found['data']['masks_per_s']:.0f} masks/s",
    ]
    for row in found.get("operators", []):
        lines.append(f"    {row['kind']:40} {100 * row['share']:5.1f} % of what the profiler sees")
    return lines
