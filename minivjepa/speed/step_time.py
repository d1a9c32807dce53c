"""How fast is one training step, what share of the machine's own matrix product rate is that, and where does time go?

A step is Trainer.update: target forward, context and predictor forward and backward, optimiser, EMA; clips and masks lie ready.
share = useful FLOPs / seconds / rate of one large matrix product of the same type in the same process.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from minivjepa.data.digits import DigitClips
from minivjepa.masking import MaskPair
from minivjepa.training.config import PRESETS, Config
from minivjepa.training.recipe import sample_masks
from minivjepa.training.runs import Run
from minivjepa.training.trainer import PLAIN, Trainer, Tuning
from minivjepa.tubelets import Grid
from minivjepa.vjepa import VJEPA

PRECISIONS = {"float32": "fp32", "bfloat16": "bf16"}
SIDES = {"cpu": 1536, "cuda": 8192}  # of the square matrices whose product gives the rate
WARM_UP = 2  # steps before the clock starts
PRODUCTS = 3  # large products timed before every step
KINDS = {  # rows of the account, and how their operators' names begin
    "attention": ("scaled_dot_product", "bmm", "softmax"),
    "linear layers": ("addmm", "mm"),
    "optimizer and EMA": ("adam", "lerp"),
    "GELU": ("gelu",),
    "LayerNorm": ("layer_norm",),
    "casts, copies, gathers": ("copy", "clone", "cat", "stack", "gather", "scatter", "index", "fill", "zero", "to"),
}
OTHER = "sums, the rest, and starting operators"


@dataclass(frozen=True)
class Geometry:
    """What is measured: a config, and how many tokens each mask group sees and predicts: (K, M)."""

    config: Config
    sizes: tuple[tuple[int, int], ...]


MINI = Config(
    grid=Grid(frames=16, height=64, width=64, tubelet=2, patch=8), masks=("short", "long"), dim=192, depth=6, heads=3,
    predictor_dim=96, predictor_depth=4, predictor_heads=3, batch=8,
)  # fmt: skip
PAPER = replace(MINI, grid=Grid(), depth=12, predictor_dim=192, predictor_depth=6, batch=2)
GEOMETRIES = {
    "mini": Geometry(MINI, ((80, 304), (32, 336))),
    "paper": Geometry(PAPER, ((552, 1016), (96, 1392))),  # ViT-tiny on the paper's clips
    "vitl": Geometry(replace(PRESETS["vitl"], masks=("short", "long"), batch=16), ((344, 848), (48, 1144))),
}
NAMES = (*GEOMETRIES, *(name for name in PRESETS if name not in GEOMETRIES))


def find_geometry(name: str, batch: int | None) -> Geometry:
    """A geometry, or a preset with the masks of its first two clips.  Raises ValueError for an unknown name or a batch below 1."""
    if name not in NAMES:
        raise ValueError(f"unknown geometry {name!r}; choose from {', '.join(NAMES)}")
    found = GEOMETRIES.get(name)
    if found is None:
        masks = sample_masks(PRESETS[name], 0, torch.arange(2))
        found = Geometry(PRESETS[name], tuple((context.shape[1], target.shape[1]) for context, target in masks))
    return found if batch is None else replace(found, config=replace(found.config, batch=batch))


def fixed_masks(geometry: Geometry) -> list[MaskPair]:
    """For every group, K random tubelets to see and M others to predict, for each clip of the batch."""
    masks, config = [], geometry.config
    generator = torch.Generator().manual_seed(config.seed)
    for k, m in geometry.sizes:
        order = torch.rand(config.batch, config.grid.tokens, generator=generator).argsort(dim=1)
        masks.append((order[:, :k].sort(dim=1).values, order[:, k : k + m].sort(dim=1).values))
    return masks


def seconds(work: Callable[[], Any], device: torch.device) -> float:
    """How long one call takes, until the device has finished it."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def matrix_rate(device: torch.device, dtype: str) -> Callable[[], float]:
    """A measurement of the FLOP/s of one large matrix product of this type."""
    side, kind = SIDES[device.type], getattr(torch, dtype)

    def rate() -> float:
        # made anew each time: matrices that stayed would count in a step's memory
        a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
        return 2 * side**3 / seconds(lambda: a @ b, device)

    return rate


@dataclass(frozen=True)
class Step:
    """A training step that can be called again and again, on one batch that lies ready on the device."""

    geometry: Geometry
    trainer: Trainer
    clip: Tensor
    masks: list[MaskPair]

    def __call__(self) -> None:
        """One step; the loss stays on the device."""
        self.trainer.update(self.clip, self.masks)
        self.trainer.pending.clear()


def prepare(
    geometry: Geometry, dtype: str, device: torch.device, tuning: Tuning = PLAIN, model: VJEPA | None = None
) -> Step:
    """A step of the trainer at this geometry; model: one to train in place of the config's own."""
    config = replace(geometry.config, precision=PRECISIONS[dtype])
    grid = config.grid
    source = DigitClips(grid, seed=config.seed, device=str(device))
    trainer = Trainer(config, source, Run(Path("no run")), device, tuning, model)
    shape = (config.batch, grid.channels, grid.frames, grid.height, grid.width)
    clip = torch.randn(shape, generator=torch.Generator().manual_seed(config.seed)).to(device)
    masks = [(context.to(device), target.to(device)) for context, target in fixed_masks(geometry)]
    return Step(geometry, trainer, clip, masks)


def time_step(step: Step, rate: Callable[[], float], steps: int, progress: Callable[[], None]) -> dict[str, Any]:
    """Medians over `steps` steps, with matrix products timed before each, and everything that follows from them."""
    for _ in range(min(WARM_UP, steps)):
        step()
        progress()
    spent, rates = [], []
    for _ in range(steps):
        rates += [rate() for _ in range(PRODUCTS)]
        spent.append(seconds(step, step.trainer.device))
        progress()
    step_s, rate_s = statistics.median(spent), statistics.median(rates)
    model, config, sizes = step.trainer.model, step.geometry.config, step.geometry.sizes
    flops = {part: config.batch * count for part, count in model.step_flops(sizes).items()}
    total = sum(flops.values())
    return {
        "step_s": step_s,
        "share": total / step_s / rate_s,
        "clips_per_s": config.batch / step_s,
        "tokens_per_s": config.batch * config.grid.tokens / step_s,
        "gflop": {part: count / 1e9 for part, count in flops.items()},
        "gflop_per_step": total / 1e9,
        "batch": config.batch,
        "tokens": config.grid.tokens,
        "sizes": [list(pair) for pair in sizes],
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "step_s_all": spent,
        "matmul_flops_per_s": rate_s,
        "matmul_flops_per_s_all": rates,
    }


def time_data(config: Config, device: torch.device, repeats: int = 3) -> dict[str, float]:
    """How many clips and masks a second can be drawn on this device, a batch at a time: what training may wait for."""
    source, index = DigitClips(config.grid, seed=config.seed, device=str(device)), torch.arange(config.batch)
    here = index.to(device)
    clips = min(seconds(lambda: source.batch(0, here), device) for _ in range(repeats))
    masks = min(seconds(lambda: sample_masks(config, 0, index), device) for _ in range(repeats))
    return {"clips_per_s": config.batch / clips, "masks_per_s": config.batch / masks}


def peak_memory(step: Callable[[], None], device: torch.device) -> float | None:
    """The most memory in use, MiB: on a GPU of tensors during one more step, on the CPU of this whole process so far; None where nothing tells."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return torch.cuda.max_memory_allocated(device) / 2**20
    if os.name != "posix":
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # bytes a unit of ru_maxrss
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def kind_of(operator: str) -> str:
    """The row that an operator is counted in, by its name, such as aten::addmm."""
    name = operator.removeprefix("aten::").strip("_")
    for kind, parts in KINDS.items():
        if any(name.startswith(part) or (len(part) > 3 and part in name) for part in parts):
            return kind
    return OTHER


def account(step: Callable[[], None]) -> list[dict[str, Any]]:
    """Profile one step: a row per kind of operator with its seconds and its share of all of them, the longest first.

    Seconds are the operators' own, without those that they call: on a GPU those of its kernels, else those of the CPU.
    Profiling slows short operators down, so read the shares.
    """
    gpu = [ProfilerActivity.CUDA] if torch.cuda.is_available() else []
    with profile(activities=[ProfilerActivity.CPU, *gpu]) as profiler:
        step()
    events = profiler.key_averages()
    on_gpu = any(event.self_device_time_total for event in events)
    if on_gpu:  # kernels are there twice: by their own names, too, and in the ranges that people mark
        events = [e for e in events if e.device_type.name == "CPU" and not e.is_user_annotation]
    spent: dict[str, float] = {}
    for event in events:
        seconds = (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6
        spent[kind_of(event.key)] = spent.get(kind_of(event.key), 0.0) + seconds
    total = sum(spent.values())
    rows = [{"kind": kind, "seconds": seconds, "share": seconds / total} for kind, seconds in spent.items()]
    return sorted(rows, key=lambda row: -row["share"])
