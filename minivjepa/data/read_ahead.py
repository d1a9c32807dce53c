"""Batches that other threads prepare while this one computes.

For video files, whose frames are decoded and scaled on the CPU.  Moving digits do not need it: they are rendered on
the training device.
"""

from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from minivjepa.data.video import VideoClips

AHEAD = 2  # batches that each thread may be ahead of training


class Ahead:
    """The same clips as `source`, prepared ahead of time by `workers` threads (at least 1).

    steps: where training ends.  device: where clips go.  All steps must ask for the same sample indices.
    """

    def __init__(self, source: VideoClips, steps: int, workers: int, device: torch.device):
        self.source, self.steps, self.workers, self.device = source, steps, workers, device
        # threads, not processes: a forked process waits for ever for the threads of a decoder that its parent had
        self.pool = ThreadPoolExecutor(workers)
        self.ready: dict[int, Future[tuple[Tensor, None]]] = {}  # by step

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, None]:
        """Clips [B, C, T, H, W] for the global sample indices int64 [B] at this step."""
        if not 0 <= step < self.steps:  # the monitor's clips
            return self.source.batch(step, index)[0].to(self.device), None
        coming = range(step, min(self.steps, step + 1 + AHEAD * self.workers))
        self.ready = {
            one: self.ready.get(one) or self.pool.submit(self.source.batch, one, index.cpu()) for one in coming
        }
        clip, _ = self.ready[step].result()
        return (clip.pin_memory() if self.device.type == "cuda" else clip).to(self.device, non_blocking=True), None
