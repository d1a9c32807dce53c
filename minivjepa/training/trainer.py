"""The training loop, with checkpoints that resume bit for bit, metrics, and several processes.

Read in lesson 8.  The loop itself is Trainer.train_step and Trainer.fit; the rest is bookkeeping.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from minivjepa.masking import MaskPair, OfficialBlocks, parse_mask
from minivjepa.objective import SIGReg
from minivjepa.training.config import Config, to_dict
from minivjepa.training.devices import autocast, deferred_interrupt, send
from minivjepa.training.monitor import ClipSource, Monitor
from minivjepa.training.recipe import apply_schedule, build_model, parameter_groups, sample_masks, schedule
from minivjepa.training.runs import Run, RunStopped
from minivjepa.transformer import Block
from minivjepa.vjepa import VJEPA

AGREE = 10  # every so many steps, processes ask each other about Ctrl-C
EARLY = (1, 2, 5, 10, 20, 50)  # steps that are always logged, because collapse is quick
Progress = Callable[[int, dict[str, Any] | None], None]  # called with (steps done, a row of metrics or None)


@dataclass(frozen=True)
class Tuning:
    """How a run computes: faster or in less memory, with the same numbers up to rounding."""

    compile: bool = False
    """Let torch.compile fuse operations: it takes seconds to minutes once, then steps on a GPU are faster; masks need a constant size."""
    recompute: bool = False
    """Store less for the backward pass and compute it again: one more forward pass, less memory."""

    def check(self, config: Config) -> None:
        """Raise ValueError for --compile with an arm or mask that changes from step to step."""
        if self.compile and isinstance(config.prevention.regulariser, SIGReg):
            raise ValueError("--compile cannot fuse SIGReg, which draws new directions at every step; leave it out")
        if self.compile and any(isinstance(parse_mask(text), OfficialBlocks) for text in config.masks):
            raise ValueError(
                f"--compile needs masks of a constant size, and those of {', '.join(config.masks)} change with every batch; "
                "use --masks short long, or leave --compile out"
            )

    def apply(self, model: nn.Module) -> nn.Module:
        """Set up the model like this, and return it."""
        for block in model.modules() if self.recompute else ():
            if isinstance(block, Block):  # store only what is between blocks, and run each block again for its gradient
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)  # type: ignore[method-assign]
        return torch.compile(model, dynamic=False) if self.compile else model  # type: ignore[return-value]


PLAIN = Tuning()


class Trainer:
    """One run in one folder, in a single process or in each process of torchrun.

    tuning: how it computes.  model: trained instead of the config's model, if given.

    Raises RunStopped if the loss is not finite or the disk is full, and KeyboardInterrupt after Ctrl-C, when everything
    is saved.
    """

    def __init__(
        self,
        config: Config,
        source: ClipSource,
        run: Run,
        device: torch.device,
        tuning: Tuning = PLAIN,
        model: VJEPA | None = None,
    ):
        self.config, self.source, self.run, self.device = config, source, run, device
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.model = (model or build_model(config)).to(device)
        self.step, self.loss_sum, self.loss_count = 0, 0.0, 0  # of the losses since the last row
        state = run.restore(self.model, config)
        # one fused kernel updates all parameters, with the same arithmetic before and after loading a checkpoint
        self.optimiser = torch.optim.AdamW(
            parameter_groups(self.model, config), lr=config.lr, fused=device.type != "mps"
        )
        if state is not None:
            self.optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]
            self.loss_sum, self.loss_count = state["loss_sum"], state["loss_count"]
        self.parallel: nn.Module = DistributedDataParallel(self.model) if self.world > 1 else self.model
        tuning.check(config)
        self.parallel = tuning.apply(self.parallel)
        self.pending: list[Tensor] = []  # losses still on the device

    def train_step(self) -> None:
        """Draw this step's clips and masks, and train on them."""
        clips = self.config.batch // self.world  # of this process
        index = torch.arange(self.rank * clips, (self.rank + 1) * clips)  # global sample indices
        clip, _ = self.source.batch(self.step, send(index, self.device))
        masks = sample_masks(self.config, self.step, index)  # on the CPU, so that their sizes are known without waiting
        self.update(clip, [(send(context, self.device), send(target, self.device)) for context, target in masks])

    def update(self, clip: Tensor, masks: list[MaskPair]) -> None:
        """One optimiser step and one EMA update, without waiting for the device."""
        momentum = apply_schedule(self.optimiser, self.config, self.step)
        with autocast(self.config.precision, self.device):
            loss = self.parallel(clip, masks, self.config.seed, self.step)
        self.optimiser.zero_grad()
        loss.backward()
        if self.config.clip_grad and self.step >= self.config.warmup:
            for part in (self.model.encoder, self.model.predictor):
                nn.utils.clip_grad_norm_(part.parameters(), self.config.clip_grad)
        self.optimiser.step()
        self.model.update_target(momentum)
        self.pending.append(loss.detach())
        self.step += 1

    def fetch_losses(self) -> None:
        """Fetch the losses of the last steps from the device.  Raises RunStopped for the first that is not finite."""
        if self.pending:
            losses = torch.stack(self.pending).float()
            if self.world > 1:
                dist.all_reduce(losses, op=dist.ReduceOp.SUM)
                losses /= self.world
            values = losses.tolist()
            first = self.step - len(values)
            self.pending = []
            for offset, value in enumerate(values):
                if not math.isfinite(value):
                    self.give_up(f"the loss is {value} at step {first + offset + 1}")
            self.loss_sum, self.loss_count = self.loss_sum + sum(values), self.loss_count + len(values)

    def give_up(self, why: str) -> None:
        """Raise RunStopped with the reason, and say which checkpoint is still good."""
        good = (
            "the checkpoint before it was kept" if self.run.checkpoint_file.exists() else "no checkpoint was saved yet"
        )
        raise RunStopped(f"{why}; {good} in {self.run.out}. Try a lower --lr, or --clip-grad 1, in a new folder")

    def save(self) -> None:
        """Write a checkpoint.  Raises RunStopped if a parameter is no longer finite."""
        self.fetch_losses()
        if self.rank == 0:
            if not all(bool(p.isfinite().all()) for p in self.model.parameters()):
                self.give_up(f"a weight is no longer finite after step {self.step}")
            self.run.save(
                {
                    "config": to_dict(self.config),
                    "step": self.step,
                    "loss_sum": self.loss_sum,
                    "loss_count": self.loss_count,
                    "model": self.model.state_dict(),
                    "optimiser": self.optimiser.state_dict(),
                }
            )

    def log(self, monitor: Monitor | None, seconds: float) -> dict[str, Any] | None:
        """Write a row of metrics.jsonl and return it; without a monitor, as in all processes but the first, return None."""
        self.fetch_losses()
        total, count = self.loss_sum, self.loss_count
        self.loss_sum, self.loss_count = 0.0, 0
        if monitor is None:
            return None
        lr, _, momentum = schedule(self.config, max(0, self.step - 1))
        row = {
            "step": self.step,
            "loss": total / count if count else math.nan,
            **monitor.measure(self.model),
            "lr": lr,
            "momentum": momentum if self.model.target_encoder is not None else None,
            "seconds": round(seconds, 2),
        }
        self.run.append(row)
        return row

    def fit(self, progress: Progress) -> VJEPA:
        """Train to the last step and return the model.  progress: called after every step."""
        monitor, spent = None, 0.0
        if self.rank == 0:
            rows = self.run.rewind(self.step if self.step else -1)  # from step 0, that row is written again too
            spent = rows[-1]["seconds"] if rows else 0.0
            monitor = Monitor(self.config, self.source, self.device)
        with deferred_interrupt() as interrupted:
            start = time.perf_counter()
            if self.step == 0:
                progress(0, self.log(monitor, spent))
            while self.step < self.config.steps:
                self.train_step()
                last = self.step == self.config.steps
                logs = last or self.step in EARLY or self.step % self.config.log_every == 0
                row = self.log(monitor, spent + time.perf_counter() - start) if logs else None
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
