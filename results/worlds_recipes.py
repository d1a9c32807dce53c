"""What results/worlds.py trains: every encoder's recipe, the same in every world."""

from dataclasses import replace
from typing import Any

from minivjepa.vjepa import ARMS
from minivjepa.world.world_recipe import PRESETS, PRETRAINING, WorldConfig

MASKED = replace(PRETRAINING, masks=("random:0.5",))  # no tubes: what a mask hides in all frames cannot be found
# what encoders learn from clips without actions, chosen for rooms-lamps (worlds_search.json)
RECIPES = {
    "vjepa": replace(
        MASKED, steps=1600, lr=1e-3, predictor_lr=3.0, warmup=200, final_lr=0.3, momentum=0.99, final_momentum=0.995
    ),
    "sigreg": replace(MASKED, steps=1200, lr=1e-3, warmup=100, prevention=ARMS["sigreg"]),
    "pixel-target": replace(MASKED, steps=1200, lr=2e-3),
}
# encoder -> its recipe, and the options of its world model.  A frozen encoder's latents have 64 numbers, LeWorldModel's 32.
ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "lewm": ("", {"model": "lewm"}),
    "untrained": ("", {"model": "untrained", "latent": 64}),
    "raw": ("", {"model": "raw", "latent": 64}),
    "sigreg": ("sigreg", {"model": "vjepa", "latent": 64}),
    "vjepa": ("vjepa", {"model": "vjepa", "latent": 64}),
    "raw, 128": ("", {"model": "raw", "latent": 128}),
    "sigreg, pooled": ("sigreg", {"model": "vjepa", "latent": 64, "pooled": True}),
    "pixel-target": ("pixel-target", {"model": "pixel-target", "latent": 64}),
}


def config_of(world: str, encoder: str, seed: int) -> WorldConfig:
    """The recipe of an encoder in a world."""
    recipe, options = ENCODERS[encoder]
    learns = RECIPES.get(recipe, MASKED)
    return replace(PRESETS[options["model"]], world=world, seed=seed, pretraining=learns, **options)
