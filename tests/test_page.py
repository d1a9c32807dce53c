"""The Collapse Page trains the same method as the package: its engine in Node beside torch, from the same weights."""

import base64
import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from minivjepa.collapse import effective_rank, feature_std
from minivjepa.data.digits import ClipRules, DigitClips, Factors
from minivjepa.objective import SIGReg, VICReg, unit_directions
from minivjepa.training.config import Config
from minivjepa.training.recipe import apply_schedule, build_model, parameter_groups, sample_masks
from minivjepa.tubelets import Grid, patchify
from minivjepa.vjepa import ARMS, VJEPA, CollapsePrevention

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "page"
UPDATES = 10
# 2 heads of 16, and a predictor whose width 6 doesn't divide, so that its positions are cut
SMALL = Config(
    grid=Grid(frames=4, height=16, width=16, tubelet=2, patch=8), dim=24, depth=2, heads=2, predictor_dim=20, predictor_depth=1,
    steps=100, batch=16, warmup=5,
)  # fmt: skip
EMA = {"target": "ema", "momentum": 0.996, "schedule": True}
SETTINGS: dict[str, dict[str, Any]] = {
    "vjepa": EMA,
    "frozen": {"target": "ema", "momentum": 1, "schedule": False},
    "no-ema": {"target": "online"},
    "no-stopgrad": EMA | {"stop": False},
    "neither": {"target": "online", "stop": False},
    "vicreg": {"target": "online", "stop": False, "regulariser": "vicreg", "lambda": 1},
    "sigreg": {"target": "online", "stop": False, "regulariser": "sigreg", "lambda": 0.1},
}


def absent(what: str) -> NoReturn:
    """Skip where the tests cannot run, but fail in CI: there a skip would look like an engine that works."""
    if os.environ.get("CI", "").lower() not in ("", "0", "false"):
        pytest.fail(f"{what}; CI must run these tests, so this is no skip", pytrace=False)
    pytest.skip(what)


def node(job: dict[str, Any]) -> Any:
    """The answer of page/test/parity.mjs."""
    program = shutil.which("node") or absent("Node is not installed; it runs the tests of the page")
    ran = subprocess.run([program, PAGE / "test" / "parity.mjs"], input=json.dumps(job), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def packed(x: Tensor) -> str:
    return base64.b64encode(x.detach().float().contiguous().numpy().tobytes()).decode()


def unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype="<f4")


def geometry(config: Config) -> dict[str, Any]:
    """The config as the page writes it."""
    g = config.grid
    return {
        **{"frames": g.frames, "side": g.height, "tubelet": g.tubelet, "patch": g.patch, "channels": g.channels},
        **{"dim": config.dim, "depth": config.depth, "heads": config.heads, "batch": config.batch, "steps": config.steps},
        **{"predictorDim": config.predictor_dim, "predictorDepth": config.predictor_depth},
        **{"predictorHeads": config.predictor_heads, "lr": config.lr, "predictorLr": config.predictor_lr},
        **{"warmup": config.warmup, "finalLr": config.final_lr, "weightDecay": config.weight_decay, "heldOut": 128},
    }


def torch_steps(model: VJEPA, config: Config, clip: Tensor, masks: list[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """What happens in float64: the first gradients, the losses of the updates, the feature std of each encoder afterwards."""
    optimiser = torch.optim.AdamW(parameter_groups(model, config), lr=config.lr)
    gradients: dict[str, np.ndarray] = {}
    losses = []
    for step in range(UPDATES):
        momentum = apply_schedule(optimiser, config, step)
        loss = model(clip, masks, config.seed, step)
        optimiser.zero_grad()
        loss.backward()
        if step == 0:
            named = {name: p.grad for name, p in model.named_parameters()}
            gradients = {name: g.flatten().clone().numpy() for name, g in named.items() if g is not None}
        optimiser.step()
        model.update_target(momentum)
        losses.append(loss.item())
    with torch.no_grad():
        encoders = [model.encoder] + ([model.target_encoder] if model.target_encoder is not None else [])
        return {"gradients": gradients, "losses": losses, "std": [feature_std(encoder(clip)) for encoder in encoders]}


def page_name(name: str, config: Config) -> str:
    """A parameter's name in the page, whose predictor has a second head for pixels."""
    pixels = config.prevention.target == "pixels"
    return name.replace("predictor.leave", "predictor.pixels") if pixels else name


def both(config: Config, settings: dict[str, Any], kernel: str = "wasm") -> tuple[dict[str, Any], dict[str, Any]]:
    """The same updates, by torch and by the page's engine."""
    model = build_model(config).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():  # biases and the mask token start at 0; noise makes their rules visible
        for part in (model.encoder, model.predictor):
            for p in part.parameters():
                p.copy_((p + 0.05 * torch.randn(p.shape, generator=generator, dtype=p.dtype)).float())
        if model.target_encoder is not None:
            model.target_encoder.load_state_dict(model.encoder.state_dict())
    index = torch.arange(config.batch)
    clip, _ = DigitClips(config.grid).batch(0, index)
    masks = sample_masks(config, 0, index)
    trained = {n: p for n, p in model.named_parameters() if not n.startswith("target_")}
    directions = [unit_directions(config.dim, 256, config.seed, step, torch.device("cpu")).T for step in range(UPDATES)]
    found = node(
        {
            **{"what": "train", "geometry": geometry(config), "settings": settings, "kernel": kernel},
            "weights": {page_name(name, config): packed(p) for name, p in trained.items()},
            "pixels": packed(patchify(clip, config.grid)),
            **{"context": masks[0][0].flatten().tolist(), "target": masks[0][1].flatten().tolist()},
            "directions": [packed(d) for d in directions],
        }
    )
    assert found["wasm"] == (kernel == "wasm")
    return torch_steps(model, config, clip.double(), masks), found


def check(config: Config, settings: dict[str, Any], kernel: str = "wasm") -> None:
    """Assert that both do the same."""
    expected, found = both(config, settings, kernel)
    assert found["losses"] == pytest.approx(expected["losses"], abs=1e-4)
    assert found["std"] == pytest.approx(expected["std"], rel=1e-3)
    assert {page_name(name, config) for name in expected["gradients"]} == set(found["gradients"])
    for name, gradient in expected["gradients"].items():
        error = np.abs(unpacked(found["gradients"][page_name(name, config)]) - gradient).max()
        assert error <= 1e-5 * np.abs(gradient).max(), name


@pytest.mark.parametrize("arm", ARMS)
def test_ten_updates_of_every_arm_are_those_of_torch(arm: str) -> None:
    """Catches: a wrong derivative, a stop-gradient that leaks, a rule of AdamW or of the EMA copy that differs."""
    check(dataclasses.replace(SMALL, prevention=ARMS[arm]), SETTINGS[arm])


@pytest.mark.parametrize("arm", ["vjepa", "neither", "no-stopgrad"])
def test_ten_updates_with_the_linear_predictor_are_those_of_torch(arm: str) -> None:
    """Catches: a table that is read or trained the wrong way around."""
    config = dataclasses.replace(SMALL, prevention=ARMS[arm], predictor_depth=0)
    check(config, SETTINGS[arm] | {"predictor": "linear"})


def test_ten_updates_with_pixels_as_targets_are_those_of_torch() -> None:
    """Catches: pixels that are not normalised tubelet by tubelet."""
    config = dataclasses.replace(SMALL, prevention=CollapsePrevention(target="pixels"))
    check(config, {"target": "pixels"})


@pytest.mark.parametrize("predictor", ["transformer", "linear"])
def test_ten_updates_with_a_mask_of_its_own_for_every_clip_are_those_of_torch(predictor: str) -> None:
    """Catches: a position that goes to the wrong token."""
    config = dataclasses.replace(SMALL, masks=("random:0.625",), predictor_depth=0 if predictor == "linear" else 1)
    check(config, EMA | {"predictor": predictor})


@pytest.mark.parametrize("momentum", [0, 0.5, 1])
def test_ten_updates_with_a_constant_momentum_are_those_of_torch(momentum: float) -> None:
    """Catches: a momentum that the schedule overwrites."""
    config = dataclasses.replace(SMALL, prevention=CollapsePrevention(momentum=momentum))
    check(config, {"target": "ema", "momentum": momentum, "schedule": False})


@pytest.mark.parametrize(("name", "weight"), [("vicreg", 0.3), ("sigreg", 0.02)])
def test_ten_updates_with_another_lambda_are_those_of_torch(name: str, weight: float) -> None:
    """Catches: a weight that is fixed."""
    term = VICReg(weight, 0.04 * weight) if name == "vicreg" else SIGReg(weight)
    prevention = CollapsePrevention(target="online", stop_gradient=False, regulariser=term)
    check(dataclasses.replace(SMALL, prevention=prevention), SETTINGS[name] | {"lambda": weight})


def test_ten_updates_in_plain_javascript_are_those_of_torch() -> None:
    """Catches: a page that trains differently where WebAssembly is missing."""
    check(dataclasses.replace(SMALL, prevention=ARMS["no-stopgrad"]), SETTINGS["no-stopgrad"], kernel="plain")


def test_clips_of_the_same_factors_have_the_same_pixels() -> None:
    """Catches: a digit that moves, wraps around or is colored by other rules; tubelets in another order."""
    grid, index = Grid(frames=8, height=32, width=32, tubelet=2, patch=8), torch.arange(12)
    source = DigitClips(grid, rules=ClipRules(noise=0.0))
    clips, f = source.batch(0, index)
    assert isinstance(f, Factors)
    factors = [
        {
            **{"image": packed(source.images[f.image[i]]), "direction": int(f.direction[i]), "speed": float(f.speed[i])},
            **{"y": float(f.position[i, 0]), "x": float(f.position[i, 1]), "color": f.color[i].tolist()},
        }
        for i in range(len(index))
    ]
    shape = geometry(dataclasses.replace(SMALL, grid=grid))
    found = node({"what": "clips", "geometry": shape, "factors": factors})
    expected = patchify(clips, grid).flatten(1).numpy()
    assert np.abs(np.stack([unpacked(clip) for clip in found]) - expected).max() < 1e-4
    assert expected.std() > 0.5


@pytest.mark.parametrize("spread", [1.0, 1e-3])
def test_measures_are_those_of_the_package(spread: float) -> None:
    """Catches: a rank of variances instead of spreads, a probe that sees its test clips, a cloud that is scaled."""
    generator = torch.Generator().manual_seed(2)
    clips, tokens, dim = 400, 4, 20
    directions = torch.randint(8, (clips,), generator=generator)
    axes = torch.randn(dim, dim, generator=generator) * torch.linspace(1, 0.1, dim)
    h = torch.randn(clips, tokens, dim, generator=generator) @ axes + 2 * torch.eye(dim)[directions][:, None]
    h = spread * h + torch.randn(dim, generator=generator)
    job = {"what": "measured", "h": packed(h), "clips": clips, "dim": dim, "directions": directions.tolist()}
    found, pooled = node(job), h.mean(dim=1)
    assert found["std"] == pytest.approx(feature_std(h), rel=1e-4)
    assert found["rank"] == pytest.approx(effective_rank(pooled), rel=1e-3)
    half = clips // 2
    scaler = StandardScaler().fit(pooled[:half])
    ridge = RidgeClassifier(alpha=10).fit(scaler.transform(pooled[:half]), directions[:half])
    assert found["probe"] == pytest.approx(ridge.score(scaler.transform(pooled[half:]), directions[half:]), abs=0.011)
    assert found["probe"] > 0.3
    points = unpacked(found["points"]).reshape(clips, 2)
    assert points.std(axis=0) == pytest.approx(torch.linalg.svdvals(pooled - pooled.mean(0))[:2].numpy() / clips**0.5, rel=1e-3)
