"""What every training has around its steps: rows of metrics, checkpoints that resume bit for bit, Ctrl-C, several processes.

Read in lesson 8.  Trainer and world.world_trainer's WorldTrainer add their step and what they measure.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from minivjepa.training.config import to_dict
from minivjepa.training.devices import deferred_interrupt
from minivjepa.training.recipe import weight_groups
from minivjepa.training.runs import Run, RunStopped

AGREE = 10  # every so many steps, processes ask each other about Ctrl-C
EARLY = (1, 2, 5, 10, 20, 50)  # steps that are always logged, because collapse is quick
MONITOR_STEP = -1  # the step whose clips and masks the metrics use; training never uses it
CLIPS_AT_ONCE = 64  # clips per forward pass without gradients
Progress = Callable[[int, dict[str, Any] | None], None]  # called with (steps done, a row of metrics or None)
Net = TypeVar("Net", bound=nn.Module)


class ClipSource(Protocol):
    """Anything that renders clips by (step, global sample index)."""

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, Any]:
        """Sample indices int64 [B] -> clips [B, C, T, H, W] and their factors, if known."""
        ...


class Loop(ABC, Generic[Net]):
    """One run in one folder, in a single process or in each process of torchrun.

    Raises RunStopped if a loss or a weight is not finite or the disk is full, and KeyboardInterrupt after Ctrl-C, when
    everything is saved.
    """

    advice = "a lower --lr"  # for a run that blew up
    parts: tuple[int, ...] = ()  # shape of a step's loss: () or (number of terms,)

    def __init__(self, config: Any, model: Net, source: ClipSource, run: Run, device: torch.device):
        self.config, self.source, self.run, self.device = config, source, run, device
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.model = model.to(device)
        # one fused kernel updates all parameters, with the same arithmetic before and after loading a checkpoint
        self.optimiser = torch.optim.AdamW(self.groups(), lr=config.lr, fused=device.type != "mps")
        self.step, self.loss_count = 0, 0
        self.loss_sum = torch.zeros(self.parts, dtype=torch.float64)  # of the losses since the last row
        self.pending: list[Tensor] = []  # losses of the last steps, still on the device
        state = run.restore(self.model, config)
        if state is not None:
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.loss_count = state["step"], state["loss_count"]
            self.loss_sum = torch.tensor(state["loss_sum"], dtype=torch.float64)

    def groups(self) -> list[dict[str, Any]]:
        """The trained parameters, as AdamW's groups."""
        return weight_groups(self.model)

    @abstractmethod
    def train_step(self) -> None:
        """Train on this step's clips, add the loss to `pending`, and count the step."""

    @abstractmethod
    def measure(self, losses: list[float]) -> dict[str, Any]:
        """What a row holds besides the loss.  losses: the means of the losses since the last row."""

    def fetch_losses(self) -> None:
        """Fetch the losses of the last steps from the device.  Raises RunStopped for the first that is not finite."""
        if not self.pending:
            return
        stacked = torch.stack(self.pending).float()  # [steps, *parts]
        if self.world > 1:
            dist.all_reduce(stacked, op=dist.ReduceOp.SUM)
            stacked /= self.world
        losses, self.pending = stacked.cpu().double(), []
        for step, loss in enumerate(losses, self.step - len(losses) + 1):
            if not math.isfinite(loss.sum()):
                self.give_up(f"the loss is {loss.sum()} at step {step}")
        self.loss_sum, self.loss_count = self.loss_sum + losses.sum(dim=0), self.loss_count + len(losses)

    def give_up(self, why: str) -> NoReturn:
        """Raise RunStopped with the reason, and say which checkpoint is still good."""
        raise RunStopped(f"{why}; {self.run.kept} in {self.run.out}. Try {self.advice}, in a new folder")

    def save(self) -> None:
        """Write a checkpoint.  Raises RunStopped if a parameter is no longer finite."""
        self.fetch_losses()
        if self.rank == 0:
            if not all(bool(p.isfinite().all()) for p in self.model.parameters()):
                self.give_up(f"a weight is no longer finite after step {self.step}")
            losses = {"loss_sum": self.loss_sum.tolist(), "loss_count": self.loss_count}
            weights = {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()}
            self.run.save({"config": to_dict(self.config), "step": self.step, **losses, **weights})

    def log(self, seconds: float) -> dict[str, Any] | None:
        """Write a row of metrics.jsonl and return it; only in the first process."""
        self.fetch_losses()
        mean = self.loss_sum / self.loss_count  # NaN before the first step
        self.loss_sum, self.loss_count = torch.zeros_like(mean), 0
        if self.rank > 0:
            return None
        row = {"step": self.step, "loss": float(mean.sum()), **self.measure(mean.tolist())}
        row["seconds"] = round(seconds, 2)
        self.run.append(row)
        return row

    def fit(self, progress: Progress) -> Net:
        """Train to the last step and return the model.  progress: called after every step."""
        rows = self.run.rewind(self.step if self.step else -1) if self.rank == 0 else []  # row 0 is written again too
        spent = rows[-1]["seconds"] if rows else 0.0
        with deferred_interrupt() as interrupted:
            if self.step == 0:
                progress(0, self.log(spent))
            start = time.perf_counter()
            while self.step < self.config.steps:
                self.train_step()
                if self.device.type == "cpu":  # small tensors kept between freed large ones would cost gigabytes
                    self.fetch_losses()
                last = self.step == self.config.steps
                logs = last or self.step in EARLY or self.step % self.config.log_every == 0
                row = self.log(spent + time.perf_counter() - start) if logs else None
                leave = interrupted() if self.world == 1 else self.step % AGREE == 0 and self.agree(interrupted())
                if last or leave or self.step % self.config.checkpoint_every == 0:
                    self.save()
                progress(self.step, row)
                if leave and not last:
                    raise KeyboardInterrupt
        return self.model

    def agree(self, stop: bool) -> bool:
        """Whether any process was asked to stop, because all must stop after the same step."""
        flag = torch.tensor(float(stop), device=self.device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())
