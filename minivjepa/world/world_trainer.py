"""Training a world model of either kind.

Read in lesson 11.  Each model has two losses and is trained on their sum; training/loop.py has the rest.
"""

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minivjepa import randomness
from minivjepa.collapse import token_metrics
from minivjepa.encoder import Encoder
from minivjepa.evaluation.probes import linear_r2
from minivjepa.training.loop import CLIPS_AT_ONCE, MONITOR_STEP, Loop, Progress
from minivjepa.training.recipe import set_rates
from minivjepa.training.runs import Run
from minivjepa.world.base_world import World
from minivjepa.world.frozen_model import FrozenWorldModel
from minivjepa.world.le_world_model import LeWorldModel
from minivjepa.world.world_clips import WorldClips
from minivjepa.world.world_recipe import PRETRAINED, WorldConfig, build_frozen, build_lewm, learning_rate

WorldNet = LeWorldModel | FrozenWorldModel
MONITORED = 10  # frames for the collapse metrics, per number in a latent: the ranks need this many
PROBED = (2048, 1024)  # frames on which the probe for positions is trained, and is tested
PROBE_SEED = 40_000_000  # of the probe's frames: far from any training seed
CPU = torch.device("cpu")


class WorldTrainer(Loop[WorldNet]):
    """The training of one world model.  source: clips with their actions, as WorldClips.batch gives them."""

    advice = "a lower --lr or --weight-decay"
    parts = (2,)

    def train_step(self) -> None:
        """One optimizer step on the sum of both losses."""
        set_rates(self.optimiser, learning_rate(self.config, self.step), self.config.weight_decay)
        clip, journey = self.source.batch(self.step, torch.arange(self.config.batch, device=self.device))
        self.model.train()
        first, second = self.model.losses(clip, journey.actions, self.config.seed, self.step)
        self.optimiser.zero_grad()
        (first + second).backward()
        self.optimiser.step()
        self.pending.append(torch.stack([first, second]).detach())
        self.step += 1

    @cached_property
    def frames(self) -> Tensor:
        """The frames of the metrics, always the same, rendered once."""
        index = torch.arange(MONITORED * self.config.latent, device=self.device)
        return torch.cat([self.source.batch(MONITOR_STEP, part)[0][:, :, 0] for part in index.split(CLIPS_AT_ONCE)])

    def measure(self, losses: list[float]) -> dict[str, Any]:
        """Both losses and the collapse metrics of the latents."""
        first, second = losses
        metrics = token_metrics(embed_frames(self.model, self.frames)[:, None].cpu())
        # the progress bar's warning looks at targets too, and here the latents are the targets
        return {"first_loss": first, "second_loss": second, **metrics, "target_feature_std": metrics["feature_std"]}


@torch.no_grad()
def embed_frames(model: WorldNet, frames: Tensor) -> Tensor:
    """frames [B, C, H, W] -> latents [B, Z]; puts the model in evaluation mode."""
    model.eval()
    return torch.cat([model.embed(part[:, :, None])[:, 0] for part in frames.split(CLIPS_AT_ONCE)])


def position_r2(model: WorldNet, world: World, size: int, device: torch.device) -> float:
    """How well the latents give the robot's position: held-out R^2 of a linear probe, mean over both axes."""
    key = randomness.keys("probe", PROBE_SEED, 0, torch.arange(sum(PROBED)))
    states = world.unseen.draw(randomness.uniform(key, world.numbers))
    latents = embed_frames(model, world.render(states, size, size).to(device)).cpu()
    (x, y), (places_x, places_y) = latents.split(PROBED), states[:, :2].split(PROBED)
    return linear_r2(x, places_x, y, places_y)


def train_lewm(config: WorldConfig, progress: Progress = lambda step, row: None) -> dict[str, Any]:
    """Train a LeWorldModel without leaving files; returns its last row of metrics, "position_r2" and the "model"."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "run", WorldConfig)
        run.create(config, "rooms")
        trainer = WorldTrainer(config, build_lewm(config), open_clips(config, CPU), run, CPU)
        trainer.fit(progress)
        row = run.history()[-1]
    return {**row, "position_r2": position_r2(trainer.model, config.scene, config.size, CPU), "model": trainer.model}


def open_clips(config: WorldConfig, device: torch.device) -> WorldClips:
    """The clips that a world model is trained on."""
    return WorldClips(config.clips, config.seed, str(device), config.scene)


def runs_of(config: WorldConfig, out: Path) -> list[Run]:
    """The run in a folder, and the V-JEPA run of its encoder if it has one."""
    return [Run(out, WorldConfig)] + ([Run(out / "encoder")] if config.model in PRETRAINED else [])


def build_world(config: WorldConfig, encoder: Encoder | None = None) -> WorldNet:
    """The model of a run before it is trained.  encoder: the one that a vjepa run freezes."""
    return build_lewm(config) if config.model == "lewm" else build_frozen(config, encoder)


def load_world(out: Path) -> tuple[WorldConfig, WorldNet]:
    """A trained world model and its config.  Raises ValueError for a folder without a finished run."""
    run = Run(out, WorldConfig)
    config, _ = run.config()
    model = build_world(config)  # the checkpoint holds the frozen encoder too
    state = run.restore(model, config)
    if state is None or state["step"] < config.steps:
        raise ValueError(f"{out} is not trained to its end; run its `minivjepa world train` again with --resume")
    for part in runs_of(config, out):
        if not part.history():
            raise ValueError(f"{part.metrics_file} is missing or empty; put it back, or train again in a new folder")
    return config, model.eval()
