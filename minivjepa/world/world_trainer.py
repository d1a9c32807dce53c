"""Training a world model: one loop for both kinds, with checkpoints that resume to the same weights.

Read in lesson 11.  Each model names two losses and is trained on their sum; all else is bookkeeping.
"""

import math
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minivjepa import randomness
from minivjepa.collapse import token_metrics
from minivjepa.evaluation.probes import linear_r2
from minivjepa.training.config import to_dict
from minivjepa.training.devices import deferred_interrupt
from minivjepa.training.monitor import CHUNK, MONITOR_STEP, ClipSource
from minivjepa.training.recipe import build_model
from minivjepa.training.runs import Run, RunStopped
from minivjepa.training.trainer import EARLY, Progress
from minivjepa.world.frozen_model import FrozenWorldModel
from minivjepa.world.le_world_model import LeWorldModel
from minivjepa.world.room_clips import RoomClips
from minivjepa.world.rooms import Rooms
from minivjepa.world.world_recipe import (
    WorldConfig,
    build_frozen,
    build_lewm,
    learning_rate,
    pretraining,
    step_directions,
)

MONITORED = 10  # frames that the collapse metrics look at, for every number of a latent: the ranks need as many
PROBED = (2048, 1024)  # frames that the probe for positions learns from, and is tested on
PROBE_SEED = 40_000_000  # of the probe's frames: far from any training seed


class WorldTrainer:
    """One run in one folder.  source: clips and what was done in them, as RoomClips.batch gives them.

    Raises RunStopped for a loss that is not finite; KeyboardInterrupt after Ctrl-C, with everything saved.
    """

    def __init__(
        self,
        config: WorldConfig,
        model: LeWorldModel | FrozenWorldModel,
        source: ClipSource,
        run: Run,
        device: torch.device,
    ):
        self.config, self.model, self.source, self.run, self.device = config, model.to(device), source, run, device
        self.step, self.sums, self.count = 0, [0.0, 0.0], 0  # of both losses since the last row
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay, fused=True)
        state = run.restore(model, config)
        if state is not None:
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.sums, self.count = state["step"], state["loss_sum"], state["loss_count"]

    def train_step(self) -> None:
        """One optimiser step on the sum of both losses."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.config, self.step)
        clip, journey = self.source.batch(self.step, torch.arange(self.config.batch, device=self.device))
        self.model.train()
        first, second = self.model.losses(clip, journey.actions, step_directions(self.config, self.step, self.device))
        values = [float(part.detach()) for part in (first, second)]
        if not math.isfinite(sum(values)):
            raise RunStopped(
                f"the loss is {sum(values)} at step {self.step + 1}; the checkpoint before it, if there is one, was kept in "
                f"{self.run.out}. Try a lower --lr, in a new folder"
            )
        self.optimiser.zero_grad()
        (first + second).backward()
        self.optimiser.step()
        self.sums, self.count = [total + value for total, value in zip(self.sums, values)], self.count + 1
        self.step += 1

    def log(self, frames: Tensor, seconds: float) -> dict[str, Any]:
        """Write a row of metrics.jsonl and return it: both losses, their sum, and the collapse metrics of the latents."""
        first, second = (total / self.count if self.count else math.nan for total in self.sums)
        self.sums, self.count = [0.0, 0.0], 0
        metrics = token_metrics(embed_frames(self.model, frames)[:, None].cpu())
        row = {"step": self.step, "loss": first + second, "first_loss": first, "second_loss": second, **metrics}
        # the latents are their own targets, and a progress bar wants to know of both
        row |= {"target_feature_std": metrics["feature_std"], "seconds": round(seconds, 2)}
        self.run.append(row)
        return row

    def save(self) -> None:
        """Replace the checkpoint, unless a weight is no longer finite."""
        if not all(bool(p.isfinite().all()) for p in self.model.parameters()):
            raise RunStopped(
                f"a weight is no longer finite after step {self.step}; {self.run.out} keeps the checkpoint before it, if there is one. "
                "Try a lower --lr or --weight-decay, in a new folder"
            )
        state = {"config": to_dict(self.config), "step": self.step, "loss_sum": self.sums, "loss_count": self.count}
        self.run.save({**state, "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict()})

    def fit(self, progress: Progress) -> None:
        """Train to the last step; `progress` is called after every step, with a row of metrics now and then."""
        rows = self.run.rewind(self.step if self.step else -1)
        spent = rows[-1]["seconds"] if rows else 0.0
        clip, _ = self.source.batch(MONITOR_STEP, torch.arange(MONITORED * self.config.latent, device=self.device))
        frames = clip[:, :, 0]
        with deferred_interrupt() as interrupted:
            start = time.perf_counter()
            if self.step == 0:
                progress(0, self.log(frames, spent))
            while self.step < self.config.steps:
                self.train_step()
                last, leave = self.step == self.config.steps, interrupted()
                logs = last or self.step in EARLY or self.step % self.config.log_every == 0
                row = self.log(frames, spent + time.perf_counter() - start) if logs else None
                if last or leave or self.step % self.config.checkpoint_every == 0:
                    self.save()
                progress(self.step, row)
                if leave and not last:
                    raise KeyboardInterrupt


@torch.no_grad()
def embed_frames(model: LeWorldModel | FrozenWorldModel, frames: Tensor) -> Tensor:
    """frames [B, C, H, W] -> latents [B, Z] of a model that is not training."""
    model.eval()
    return torch.cat([model.embed(part[:, :, None])[:, 0] for part in frames.split(CHUNK)])


def position_r2(model: LeWorldModel | FrozenWorldModel, rooms: Rooms, size: int, device: torch.device) -> float:
    """What the latents know of where the robot is: held-out R^2 of a linear probe, mean over both axes."""
    key = randomness.keys("probe", PROBE_SEED, 0, torch.arange(sum(PROBED)))
    places = rooms.place(randomness.uniform(key, 2))
    latents = embed_frames(model, rooms.render(places, size, size).to(device)).cpu()
    (x, y), (places_x, places_y) = latents.split(PROBED), places.split(PROBED)
    return linear_r2(x, places_x, y, places_y)


def open_clips(config: WorldConfig, device: torch.device) -> RoomClips:
    """The clips that a world model is trained on."""
    return RoomClips(config.clips, config.seed, str(device), config.rooms)


def encoder_run(out: Path) -> Run:
    """The V-JEPA run inside the folder of a vjepa world model."""
    return Run(out / "encoder")


def runs_of(config: WorldConfig, out: Path) -> list[Run]:
    """The run in a folder, and that of its encoder if it has one."""
    return [Run(out, WorldConfig)] + ([encoder_run(out)] if config.model == "vjepa" else [])


def build_world(config: WorldConfig, out: Path) -> LeWorldModel | FrozenWorldModel:
    """The model of a run in the folder `out`, before its own training; a vjepa one needs its encoder to be trained.

    Raises ValueError if that is not so.
    """
    if config.model == "lewm":
        return build_lewm(config)
    if config.model == "untrained":
        return build_frozen(config)
    vjepa, run = build_model(pretraining(config)), encoder_run(out)
    state = run.restore(vjepa, pretraining(config))
    if state is None or state["step"] < config.pretraining.steps:
        raise ValueError(
            f"the encoder in {run.out} is not trained to its end; run its `minivjepa world train` again with --resume"
        )
    return build_frozen(config, vjepa.encoder)


def load_world(out: Path) -> tuple[WorldConfig, LeWorldModel | FrozenWorldModel]:
    """A trained world model and its config.  Raises ValueError for a folder that holds none, or one that is not finished."""
    run = Run(out, WorldConfig)
    config, _ = run.config()
    model = build_world(config, out)
    state = run.restore(model, config)
    if state is None or state["step"] < config.steps:
        raise ValueError(
            f"{out} is not trained to its end; run its `minivjepa world train` again with --resume, then plan"
        )
    for part in runs_of(config, out):
        if not part.history():
            raise ValueError(f"{part.metrics_file} is missing or empty; put it back, or train again in a new folder")
    return config, model.eval()
