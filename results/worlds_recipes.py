"""What results/worlds.py trains: every encoder's recipe, the same in every world."""

from dataclasses import replace
from typing import Any

import torch

from minivjepa.objective import SIGReg
from minivjepa.tubelets import Grid
from minivjepa.vjepa import ARMS
from minivjepa.world.world_clips import Journey, WorldClips
from minivjepa.world.world_recipe import PRESETS, PRETRAINING, WorldConfig
from minivjepa.world.world_trainer import CPU, open_clips

MASKED = replace(PRETRAINING, masks=("random:0.5",))  # no tubes: what a mask hides in all frames cannot be found
SPREAD = replace(ARMS["sigreg"], regulariser=SIGReg(directions=64))
# what encoders learn from clips without actions: the package's default, and what was chosen for rooms-lamps (worlds_search.json)
RECIPES = {
    "default": PRETRAINING,
    "vjepa": replace(
        MASKED, steps=1600, lr=1e-3, predictor_lr=3.0, warmup=200, final_lr=0.3, momentum=0.99, final_momentum=0.995
    ),
    "sigreg": replace(MASKED, steps=800, lr=1e-3, warmup=100, prevention=SPREAD, grid=Grid(4, 32, 32, 1, 8)),
    "pixel-target": replace(MASKED, steps=1200, lr=2e-3),
}
# encoder -> its recipe, and the options of its world model.  LeWorldModel's latents have 32 numbers.
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "lewm": ("", {"model": "lewm"}),
    "untrained, 128": ("", {"model": "untrained", "latent": 128}),
    "raw, 128": ("", {"model": "raw", "latent": 128}),
    "vjepa, 128": ("vjepa", {"model": "vjepa", "latent": 128}),
    "vjepa, default": ("default", {"model": "vjepa", "latent": 128}),
    "vjepa, pooled": ("vjepa", {"model": "vjepa", "latent": 64, "pooled": True}),
    "pixel-target, 128": ("pixel-target", {"model": "pixel-target", "latent": 128}),
}
# Only in rooms-lamps: half as many directions, which are all taken by lamps; and what makes LeWorldModel differ, one thing at a time.
LAMPS_ONLY: dict[str, tuple[str, dict[str, Any]]] = {
    "untrained": ("", {"model": "untrained", "latent": 64}),
    "raw": ("", {"model": "raw", "latent": 64}),
    "vjepa": ("vjepa", {"model": "vjepa", "latent": 64}),
    "sigreg": ("sigreg", {"model": "vjepa", "latent": 64}),
    "lewm, 128": ("", {"model": "lewm", "latent": 128}),
    "lewm, no actions": ("", {"model": "lewm"}),
}


def config_of(world: str, encoder: str, seed: int) -> WorldConfig:
    """The recipe of an encoder in a world."""
    recipe, options = (ENCODERS | LAMPS_ONLY)[encoder]
    learns = RECIPES.get(recipe, MASKED)
    return replace(PRESETS[options["model"]], world=world, seed=seed, pretraining=learns, **options)


class WithoutActions(WorldClips):
    """The same clips, but a model is told that every action was 0."""

    def journey(self, step: int, index: torch.Tensor) -> Journey:
        """What happened, without the actions."""
        journey = super().journey(step, index)
        return replace(journey, actions=torch.zeros_like(journey.actions))


def clips_of(config: WorldConfig, encoder: str) -> WorldClips:
    """The clips that a world model is trained on."""
    if encoder == "lewm, no actions":
        return WithoutActions(config.clips, config.seed, world=config.scene)
    return open_clips(config, CPU)
