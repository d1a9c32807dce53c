"""Write bands.json: what ten seeds of the page's small model do in torch, arm by arm.

Run from the repository's root: python page/data/bands.py.  tests/test_page.py holds a run of the page's engine to it.
The weights, clips and masks are the package's own, so nothing but the method is shared with the page.
"""

import json
import platform
import subprocess
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from minivjepa.collapse import feature_std
from minivjepa.data.digits import DigitClips
from minivjepa.training.config import Config
from minivjepa.training.recipe import apply_schedule, build_model, parameter_groups, sample_masks
from minivjepa.tubelets import Grid
from minivjepa.vjepa import ARMS, CollapsePrevention

PAGE = Path(__file__).parents[1]
SEEDS, STEPS, LAST = 10, 100, 20  # the loss is the mean of the last steps'
MONITORED = 64  # clips for the feature std
PREVENTIONS = ARMS | {"pixels": CollapsePrevention(target="pixels")}


def small_geometry() -> dict[str, Any]:
    """GEOMETRIES.small of the page's arms.js."""
    script = f"import({json.dumps((PAGE / 'src/engine/arms.js').as_uri())}).then(m => console.log(JSON.stringify(m.GEOMETRIES.small)))"
    return json.loads(subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout)


def config_of(g: dict[str, Any]) -> Config:
    """The page's geometry as the package writes it."""
    return Config(
        grid=Grid(g["frames"], g["side"], g["side"], g["tubelet"], g["patch"]),
        **{name: g[name] for name in ("dim", "depth", "heads", "batch", "steps", "lr", "warmup")},
        **{f"predictor_{name.lower()}": g[f"predictor{name}"] for name in ("Dim", "Depth", "Heads", "Lr")},
        final_lr=g["finalLr"], weight_decay=g["weightDecay"], final_weight_decay=g["weightDecay"],
    )  # fmt: skip


def train(config: Config) -> dict[str, list[float] | float]:
    """A short run: each encoder's feature std at the end, as a share of the first, and the last losses' mean."""
    model, index = build_model(config), torch.arange(config.batch)
    source = DigitClips(config.grid, "train", config.seed)
    held_out, _ = DigitClips(config.grid, "validation", config.seed).batch(0, torch.arange(MONITORED))
    encoders = [model.encoder] + ([model.target_encoder] if model.target_encoder is not None else [])
    optimiser = torch.optim.AdamW(parameter_groups(model, config), lr=config.lr)
    with torch.no_grad():
        first = feature_std(model.encoder(held_out))
    losses = []
    for step in range(STEPS):
        momentum = apply_schedule(optimiser, config, step)
        loss = model(source.batch(step, index)[0], sample_masks(config, step, index), config.seed, step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.update_target(momentum)
        losses.append(loss.item())
    with torch.no_grad():
        ratio = [feature_std(encoder(held_out)) / first for encoder in encoders]
    return {"ratio": ratio, "loss": mean(losses[-LAST:])}


def main() -> None:
    """Train all arms and seeds, and write the file."""
    torch.set_num_threads(1)
    geometry, arms = small_geometry(), {}
    for arm, prevention in PREVENTIONS.items():
        config = replace(config_of(geometry), prevention=prevention)
        arms[arm] = [train(replace(config, seed=seed)) for seed in range(SEEDS)]
        print(
            arm, *(f"{run['ratio'][-1]:.3f}" for run in arms[arm]), flush=True
        )  # of the encoder that makes the targets
    versions = {"python": platform.python_version(), "torch": torch.__version__.partition("+")[0]}
    about = {
        "command": "python page/data/bands.py",
        "versions": versions,
        "geometry": geometry,
        "steps": STEPS,
        "last": LAST,
    }
    lines = [f"{json.dumps(arm)}: {json.dumps(runs)}" for arm, runs in arms.items()]
    text = json.dumps(about)[:-1] + ', "arms": {\n' + ",\n".join(lines) + "\n}}\n"
    PAGE.joinpath("data", "bands.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
