"""Batches that other processes prepare while this one computes.

For video files, whose frames are decoded and scaled on the CPU.  Moving digits do not need it: they are rendered on
the training device.
"""

import signal
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from minivjepa.data.video import VideoClips


def ignore_interrupts(worker: int) -> None:
    """Let Ctrl-C reach only the process that trains, not its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Ahead(Dataset[Tensor]):
    """The same clips as `source`, prepared ahead of time by `workers` processes (at least 1).

    steps: where training ends.  device: where clips go, from pinned memory if it is a GPU.  A step out of order starts the
    workers again.  All steps must ask for the same sample indices.
    """

    def __init__(self, source: VideoClips, steps: int, workers: int, device: torch.device):
        self.source, self.steps, self.workers, self.device = source, steps, workers, device
        self.index, self.next = torch.empty(0), 0
        self.batches: Iterator[Tensor] = iter(())

    def __getitem__(self, step: int) -> Tensor:
        return self.source.batch(step, self.index)[0]

    def start(self, step: int, index: Tensor) -> None:
        """Start workers at this step."""
        self.index, self.next, self.batches = index.cpu(), step, iter(())
        loader = DataLoader(
            self, batch_size=None, sampler=range(step, self.steps), num_workers=self.workers,
            pin_memory=self.device.type == "cuda", worker_init_fn=ignore_interrupts,
        )  # fmt: skip
        self.batches = iter(loader)

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, None]:
        """Clips [B, C, T, H, W] for the global sample indices int64 [B] at this step."""
        if not 0 <= step < self.steps:  # the monitor's clips
            return self.source.batch(step, index)[0].to(self.device), None
        if step != self.next or not len(self.index):
            self.start(step, index)
        self.next = step + 1
        return next(self.batches).to(self.device, non_blocking=True), None
