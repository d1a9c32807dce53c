"""Where the time of a step goes: every operator that it calls, timed alone at its shapes.

The operators are recorded as they run, then each is called again on tensors of the same shapes, strides and types.
"""

import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

KINDS = {
    "attention": ("scaled_dot_product", "bmm", "softmax"),
    "linear layers": ("mm", "addmm"),
    "casts, copies, gathers": ("copy", "clone", "cat", "stack", "gather", "scatter", "index", "fill", "zero", "split", "unbind"),
    "GELU": ("gelu",),
    "LayerNorm": ("layer_norm",),
    "optimiser and EMA": ("adam", "foreach", "lerp"),
}  # fmt: skip
FLUSH = 2**26  # bytes that are written between calls, to empty the caches
OTHER = "sums, differences, the rest"


@dataclass(frozen=True)
class Like:
    """A tensor that was an argument: enough to make another like it."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device

    def make(self) -> Tensor:
        """Random numbers, or zeros where they are indices; rows that share memory share it here too."""
        span = 1 + sum((side - 1) * stride for side, stride in zip(self.shape, self.stride))
        held = torch.zeros(max(0, span), dtype=self.dtype, device=self.device)
        if self.dtype.is_floating_point:
            held.uniform_(0, 1)
        return held.as_strided(self.shape, self.stride)

    @property
    def bytes(self) -> int:
        """What it holds."""
        return self.dtype.itemsize * torch.Size(self.shape).numel()


@dataclass(frozen=True)
class Call:
    """One operator with its arguments; tensors among them are Likes."""

    function: Any
    leaves: tuple[Any, ...]
    structure: Any
    moved: int
    """Bytes of all tensors that it reads and writes."""

    @property
    def name(self) -> str:
        """Such as addmm."""
        return self.function._schema.name.removeprefix("aten::")

    @property
    def kind(self) -> str:
        """The group of operators that it is counted with."""
        for kind, parts in KINDS.items():
            if any(self.name.startswith((part, "_" + part)) or (len(part) > 3 and part in self.name) for part in parts):
                return kind
        return OTHER


class Recorder(TorchDispatchMode):
    """While inside, counts the operators that touch memory.  Views, which touch none, are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[Call] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves, structure = tree_flatten((args, kwargs or {}))
        before = tuple(describe(leaf) for leaf in leaves)
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            moved = sum(leaf.bytes for leaf in before if isinstance(leaf, Like))
            moved += sum(describe(leaf).bytes for leaf in tree_flatten(result)[0] if isinstance(leaf, Tensor))
            self.calls[Call(func, before, structure, moved)] += 1
        return result


def describe(leaf: Any) -> Any:
    """A tensor as a Like, anything else as it is."""
    return Like(tuple(leaf.shape), leaf.stride(), leaf.dtype, leaf.device) if isinstance(leaf, Tensor) else leaf


def alone(call: Call, wait: Callable[[], None], repeats: int, cold: bool) -> float:
    """Seconds of one call on tensors made for it: the median of a few, after one that does not count.

    cold: every call gets tensors of its own, FLUSH bytes of them in turn, so that none is found in a cache.
    """
    copies = min(repeats + 1, 1 + FLUSH // max(call.moved, 1)) if cold else 1
    given = [
        tree_unflatten([leaf.make() if isinstance(leaf, Like) else leaf for leaf in call.leaves], call.structure)
        for _ in range(copies)
    ]
    spent = []
    for number in range(repeats + 1):
        args, named = given[number % copies]
        if cold:
            torch.empty(FLUSH // 4).zero_()
        wait()
        start = time.perf_counter()
        call.function(*args, **named)
        wait()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent[1:])


def account(step: Callable[[], None], wait: Callable[[], None], repeats: int = 5) -> list[dict[str, Any]]:
    """One row per kind of operator, the longest first: how often it is called, seconds (warm and cold) and bytes in all.

    step: what is taken apart.  wait: returns when the device has finished.
    """
    with Recorder() as recorder:
        step()
    rows: dict[str, dict[str, Any]] = {}
    with torch.no_grad():
        for call, times in recorder.calls.items():
            row = rows.setdefault(call.kind, {"kind": call.kind, "calls": 0, "warm_s": 0.0, "cold_s": 0.0, "bytes": 0})
            row["calls"] += times
            row["warm_s"] += times * alone(call, wait, repeats, cold=False)
            row["cold_s"] += times * alone(call, wait, repeats, cold=True)
            row["bytes"] += times * call.moved
    return sorted(rows.values(), key=lambda row: -row["warm_s"])
