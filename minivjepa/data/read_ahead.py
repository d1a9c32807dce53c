"""Batches that other processes prepare while this one computes.

For video files, whose frames are decoded and scaled on the CPU.  Moving digits do not need it: they are rendered on
the training device.
"""

import signal
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


class Clips(Protocol):
    """A source of clips on the CPU."""

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, None]:
        """Sample indices int64 [B] -> clips [B, C, T, H, W]."""
        ...


class Steps(Dataset[Tensor]):
    """The clips of one process, step by step."""

    def __init__(self, source: Clips, index: Tensor):
        self.source, self.index = source, index

    def __getitem__(self, step: int) -> Tensor:
        return self.source.batch(step, self.index)[0]


def ignore_interrupts(worker: int) -> None:
    """Let Ctrl-C reach only the process that trains, not its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Ahead:
    """The same clips as `source`, prepared ahead of time by `workers` processes (at least 1).

    steps: where training ends.  device: where clips go, from pinned memory if it is a GPU.  Steps outside training, such
    as the monitor's, come directly from the source.  A step out of order starts the workers again.  All steps must ask
    for the same sample indices.
    """

    def __init__(self, source: Clips, steps: int, workers: int, device: torch.device):
        self.source, self.steps, self.workers, self.device = source, steps, workers, device
        self.batches: Iterator[Tensor] | None = None
        self.next = 0

    def start(self, step: int, index: Tensor) -> Iterator[Tensor]:
        """Start workers at this step; yields its clips, then those of the next steps."""
        loader = DataLoader(
            Steps(self.source, index),
            batch_size=None,  # a step is already a batch
            sampler=range(step, self.steps),
            num_workers=self.workers,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=ignore_interrupts,
        )
        return iter(loader)

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, None]:
        """Clips [B, C, T, H, W] for the global sample indices int64 [B] at this step."""
        if not 0 <= step < self.steps:
            return self.source.batch(step, index)[0].to(self.device), None
        if self.batches is None or step != self.next:
            self.batches = self.start(step, index.cpu())
        self.next = step + 1
        return next(self.batches).to(self.device, non_blocking=True), None
