"""Which device a run uses, how its processes meet, and what Ctrl-C does to it."""

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

import torch
import torch.distributed as dist
from torch import Tensor

from minivjepa import randomness


def pick_device(name: str) -> torch.device:
    """cpu, cuda, mps or auto (cuda if there is one, else cpu) -> device.  Raises ValueError if it cannot be used here."""
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if has["cuda"] else "cpu"
    if name not in has:
        raise ValueError(f"unknown device {name!r}; choose from auto, {', '.join(has)}")
    if not has[name]:
        maker = "Apple" if name == "mps" else "CUDA"
        raise ValueError(f"--device {name} was given, but torch finds no {maker} GPU here; use --device cpu")
    if name == "mps":
        here, there = (randomness.keys("check", 0, 0, torch.arange(4, device=where)) for where in ("cpu", "mps"))
        if not torch.equal(here, there.cpu()):
            raise ValueError("--device mps computes other 64-bit integers than the CPU in this torch; use --device cpu")
    return torch.device(name)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a CPU tensor to the device, without waiting for a GPU."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 for "bf16", and for "auto" on a GPU that has it; "fp32" changes nothing."""
    native = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    enabled = precision == "bf16" or (precision == "auto" and native)
    # without the cache: casts made for detached targets must not be reused where gradients are needed
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], bool]]:
    """Inside, Ctrl-C sets a flag instead of interrupting a step; the yielded function reads the flag."""
    pressed: list[int] = []
    try:
        old = signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    except ValueError:  # not the main thread: Ctrl-C goes elsewhere
        yield lambda: False
        return
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, old)


@contextlib.contextmanager
def process_group(device: torch.device, batch: int) -> Iterator[torch.device]:
    """Under torchrun, join the other processes and yield this one's device; otherwise yield the given device.

    Raises ValueError if the processes cannot share a batch equally.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if batch % processes:
        raise ValueError(f"batch {batch} is not divisible by {processes} processes; choose a multiple of {processes}")
    if processes == 1:
        yield device
        return
    if device.type == "cuda":  # pragma: no cover (needs a GPU)
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
        dist.barrier()  # a process that leaves early would abort the others
    finally:
        dist.destroy_process_group()


def meet() -> None:
    """Wait for all processes under torchrun; do nothing in a single process."""
    if dist.is_initialized():
        dist.barrier()
