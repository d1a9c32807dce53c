"""Where the time of a step goes, by kind of operator, as torch's profiler sees it."""

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

KINDS = {
    "attention": ("scaled_dot_product", "bmm", "softmax"),
    "linear layers": ("addmm", "mm"),
    "optimiser and EMA": ("adam", "foreach", "lerp"),
    "GELU": ("gelu",),
    "LayerNorm": ("layer_norm",),
    "casts, copies, gathers": ("copy", "clone", "cat", "stack", "gather", "scatter", "index", "fill", "zero", "to"),
}
OTHER = "sums, the rest, and starting operators"


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
    spent: dict[str, float] = {}
    for event in events:
        seconds = (event.self_device_time_total if on_gpu else event.self_cpu_time_total) / 1e6
        spent[kind_of(event.key)] = spent.get(kind_of(event.key), 0.0) + seconds
    total = sum(spent.values())
    rows = [{"kind": kind, "seconds": seconds, "share": seconds / total} for kind, seconds in spent.items()]
    return sorted(rows, key=lambda row: -row["share"])
