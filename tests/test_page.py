"""The Collapse Page trains the same method as the package: its engine in Node beside torch, from the same weights."""

import base64
import json
import re
import runpy
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from minivjepa.collapse import effective_rank, feature_std
from minivjepa.data.digits import ClipRules, DigitClips
from minivjepa.objective import SIGReg, VICReg, unit_directions
from minivjepa.training.config import Config
from minivjepa.training.recipe import apply_schedule, build_model, parameter_groups, sample_masks
from minivjepa.tubelets import Grid, patchify
from minivjepa.vjepa import ARMS, VJEPA, CollapsePrevention
from tests.browser.conftest import absent

ROOT = Path(__file__).parents[1]
PAGE, BUILT = ROOT / "page", ROOT / "minivjepa_course" / "toys" / "collapse.html"
BANDS = json.loads((PAGE / "data" / "bands.json").read_text(encoding="utf-8"))
UPDATES = 10
# 6 divides the width of the encoder and not that of the predictor, whose positions are therefore cut
SMALL = Config(
    grid=Grid(frames=4, height=16, width=16, tubelet=2, patch=8), dim=24, depth=2, heads=2, predictor_dim=20, predictor_depth=1,
    steps=100, batch=16, warmup=5,
)  # fmt: skip
PREVENTIONS = ARMS | {"pixels": CollapsePrevention(target="pixels")}
Found = dict[str, Any]


def program(name: str) -> str:
    """Where Node, or a program that comes with it, is."""
    return shutil.which(name) or absent(
        f"{name} is not installed; it comes with Node, which runs the tests of the page"
    )


def run(*words: str | Path) -> str:
    """What a command says; its errors fail the test."""
    ran = subprocess.run([*map(str, words)], cwd=PAGE, capture_output=True, text=True, encoding="utf-8")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def node(what: str, job: Found) -> Any:
    """The answer of page/test/parity.mjs."""
    text = json.dumps(job | {"what": what})
    ran = subprocess.run([program("node"), PAGE / "test" / "parity.mjs"], input=text, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def packed(x: Tensor) -> str:
    return base64.b64encode(x.detach().float().contiguous().numpy().tobytes()).decode()


def unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype="<f4")


def geometry(config: Config) -> Found:
    """The config as the page writes it."""
    same = {name: getattr(config, name) for name in ("dim", "depth", "heads", "batch", "steps", "lr", "warmup")}
    predictor = {
        f"predictor{name}": getattr(config, f"predictor_{name.lower()}") for name in ("Dim", "Depth", "Heads", "Lr")
    }
    clip = {"frames": config.grid.frames, "side": config.grid.height, "channels": config.grid.channels}
    tubelet = {"tubelet": config.grid.tubelet, "patch": config.grid.patch}
    rates = {"finalLr": config.final_lr, "weightDecay": config.weight_decay}
    return same | predictor | clip | tubelet | rates | {"heldOut": 128}


def in_torch(model: VJEPA, config: Config, clip: Tensor, masks: list[tuple[Tensor, Tensor]]) -> Found:
    """In float64: the first gradients, the losses of the updates, the feature std of each encoder afterwards."""
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
    encoders = [model.encoder] + ([model.target_encoder] if model.target_encoder is not None else [])
    with torch.no_grad():
        return {"gradients": gradients, "losses": losses, "std": [feature_std(encoder(clip)) for encoder in encoders]}


def started(config: Config) -> VJEPA:
    """A fresh model plus noise: biases and the mask token start at 0, where mistakes would not show."""
    model, generator = build_model(config).double(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in (model.encoder, model.predictor):
            for p in part.parameters():
                p.copy_((p + 0.05 * torch.randn(p.shape, generator=generator, dtype=p.dtype)).float())
        if model.target_encoder is not None:
            model.target_encoder.load_state_dict(model.encoder.state_dict())
    return model


def check(config: Config, arm: str, settings: Found | None = None, kernel: str = "wasm") -> None:
    """Assert that updates by the page's engine, with an arm's settings and these, are those of torch with the config."""
    model, index = started(config), torch.arange(config.batch)
    clip, masks = DigitClips(config.grid).batch(0, index)[0], sample_masks(config, 0, index)
    # the page's predictor has a second head, for pixels
    pixels = config.prevention.target == "pixels"
    names = {n: n.replace("predictor.leave", "predictor.pixels") if pixels else n for n, _ in model.named_parameters()}
    job = {
        "geometry": geometry(config),
        "arm": arm,
        "settings": settings or {},
        "kernel": kernel,
        "weights": {names[n]: packed(p) for n, p in model.named_parameters() if not n.startswith("target_")},
        "pixels": packed(patchify(clip, config.grid)),
        "context": masks[0][0].flatten().tolist(),
        "target": masks[0][1].flatten().tolist(),
        "directions": [packed(unit_directions(config.dim, 256, config.seed, s, clip.device).T) for s in range(UPDATES)],
    }
    found, expected = node("train", job), in_torch(model, config, clip.double(), masks)
    assert found["wasm"] == (kernel == "wasm")
    assert found["losses"][:5] == pytest.approx(expected["losses"][:5], abs=1e-5)
    # later, AdamW magnifies how this machine's torch rounds: where a gradient is nearly 0, its step depends on little more than the sign
    assert found["losses"] == pytest.approx(expected["losses"], abs=1e-3)
    assert found["std"] == pytest.approx(expected["std"], rel=1e-3)
    assert {names[name] for name in expected["gradients"]} == set(found["gradients"])
    for name, gradient in expected["gradients"].items():
        error = np.abs(unpacked(found["gradients"][names[name]]) - gradient).max()
        assert error <= 1e-5 * np.abs(gradient).max(), name


@pytest.mark.parametrize("arm", PREVENTIONS)
def test_ten_updates_of_every_arm_are_those_of_torch(arm: str) -> None:
    """Catches: a wrong derivative, a stop-gradient that leaks, a rule of AdamW or of the EMA copy that differs."""
    check(replace(SMALL, prevention=PREVENTIONS[arm]), arm)


@pytest.mark.parametrize("arm", ["vjepa", "neither", "no-stopgrad"])
def test_ten_updates_with_the_linear_predictor_are_those_of_torch(arm: str) -> None:
    """Catches: a table that is read or trained the wrong way around."""
    check(replace(SMALL, prevention=ARMS[arm], predictor_depth=0), arm, {"predictor": "linear"})


@pytest.mark.parametrize(("predictor", "depth"), [("transformer", 1), ("linear", 0)])
def test_ten_updates_with_a_mask_for_each_clip_are_those_of_torch(predictor: str, depth: int) -> None:
    """Catches: a position that goes to the wrong token."""
    check(replace(SMALL, masks=("random:0.625",), predictor_depth=depth), "vjepa", {"predictor": predictor})


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_ten_updates_with_a_constant_momentum_are_those_of_torch(momentum: float) -> None:
    """Catches: a momentum that the schedule overwrites."""
    config = replace(SMALL, prevention=CollapsePrevention(momentum=momentum))
    check(config, "vjepa", {"momentum": momentum, "schedule": False})


@pytest.mark.parametrize(("arm", "term"), [("vicreg", VICReg(0.3, 0.012)), ("sigreg", SIGReg(0.3))])
def test_ten_updates_with_another_lambda_are_those_of_torch(arm: str, term: VICReg | SIGReg) -> None:
    """Catches: a weight that is fixed."""
    check(replace(SMALL, prevention=replace(ARMS[arm], regulariser=term)), arm, {"lambda": 0.3})


def test_ten_updates_in_plain_javascript_are_those_of_torch() -> None:
    """Catches: a page that trains differently where WebAssembly is missing."""
    check(replace(SMALL, prevention=ARMS["no-stopgrad"]), "no-stopgrad", kernel="plain")


def test_clips_of_the_same_factors_have_the_same_pixels() -> None:
    """Catches: a digit that moves, wraps around or is colored by other rules; tubelets in another order."""
    grid, index = Grid(frames=8, height=32, width=32, tubelet=2, patch=8), torch.arange(12)
    source = DigitClips(grid, rules=ClipRules(noise=0.0))
    clips, f = source.batch(0, index)
    factors = [
        {
            "image": packed(source.images[f.image[i]]),
            "direction": int(f.direction[i]),
            "y": float(f.position[i, 0]),
            "x": float(f.position[i, 1]),
            "color": f.color[i].tolist(),
            "speed": float(f.speed[i]),
        }
        for i in range(len(index))
    ]
    found = node("clips", {"geometry": geometry(replace(SMALL, grid=grid)), "factors": factors})
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
    found = node("measured", {"h": packed(h), "clips": clips, "dim": dim, "directions": directions.tolist()})
    pooled, half = h.mean(dim=1), clips // 2
    assert found["std"] == pytest.approx(feature_std(h), rel=1e-4)
    assert found["rank"] == pytest.approx(effective_rank(pooled), rel=1e-3)
    train, test = np.split(StandardScaler().fit(pooled[:half]).transform(pooled), 2)
    expected = RidgeClassifier(alpha=10).fit(train, directions[:half]).score(test, directions[half:])
    assert found["probe"] == pytest.approx(expected, abs=0.011)  # rounding may move 2 of the 200 clips
    assert expected > 0.3
    points = unpacked(found["points"]).reshape(clips, 2)
    widest = torch.linalg.svdvals(pooled - pooled.mean(dim=0))[:2] / clips**0.5
    assert points.std(axis=0) == pytest.approx(widest.numpy(), rel=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("arm", BANDS["arms"])
def test_a_live_run_of_every_arm_does_what_ten_runs_in_torch_do(arm: str) -> None:
    """Catches: other clips, other first weights, another recipe: whatever equal updates from equal weights cannot show.

    The live run may leave the ten runs' range by that range's width; bands.py trained them, with other seeds and digits.
    """
    found = node("live", {"arm": arm, "steps": BANDS["steps"], "last": BANDS["last"]})
    assert set(found["arms"]) == set(BANDS["arms"]) == set(PREVENTIONS)
    assert found["geometry"] == BANDS["geometry"], "the small model has changed; run page/data/bands.py"
    runs = BANDS["arms"][arm]
    values = {"loss": (found["loss"], [one["loss"] for one in runs])}
    for i, ratio in enumerate(found["ratio"]):
        values[f"ratio {i}"] = (ratio, [one["ratio"][i] for one in runs])
    for name, (value, ten) in values.items():
        width = max(ten) - min(ten)
        assert min(ten) - width <= value <= max(ten) + width, (name, value, ten)


def test_the_ten_runs_tell_collapse_from_training() -> None:
    """Catches: bands so wide that a collapsed run would fit everywhere."""
    ends = {arm: [one["ratio"][-1] for one in runs] for arm, runs in BANDS["arms"].items()}
    assert all(len(ten) == 10 for ten in ends.values())
    for arm, ten in ends.items():
        width = max(ten) - min(ten)
        assert (min(ten) - width > 0.15) == (arm not in ("neither", "no-stopgrad")), arm
    assert max(ends["neither"] + ends["no-stopgrad"]) < 0.1


@pytest.fixture(scope="module")
def installed() -> None:
    """The page's development tools, which .ci/run installs before the tests: two at once would get into each other's way."""
    if not (PAGE / "node_modules").exists():
        pytest.skip("the page's tools are not installed; run: npm ci --prefix page")


def test_the_lock_file_names_no_registry() -> None:
    """Catches: a lock file that only installs from one machine's registry."""
    packages = json.loads((PAGE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert len(packages) > 4
    assert not [name for name, package in packages.items() if "resolved" in package]


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_the_page_is_built_from_its_sources(tmp_path: Path) -> None:
    """Catches: a page that is older than its sources, a page that needs other files, a page that is too large."""
    run(program("node"), "build.mjs", tmp_path / "collapse.html")
    built = (tmp_path / "collapse.html").read_text(encoding="utf-8")
    assert built == BUILT.read_text(encoding="utf-8"), "run: npm run build --prefix page"
    assert not re.search(r'https?://(?!www\.w3\.org/2000/svg)|src="|@import|fetch\(|import\(', built)
    recorded = (PAGE / "data" / "recorded.json").stat().st_size
    assert BUILT.stat().st_size - recorded < 500_000


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_the_matrix_product_is_compiled_from_its_source(tmp_path: Path) -> None:
    """Catches: a gemm.wasm that is older than gemm.ts."""
    run(program("npm"), "run", "wasm", "--", "-o", tmp_path / "gemm.wasm")
    assert (tmp_path / "gemm.wasm").read_bytes() == (PAGE / "src" / "engine" / "gemm.wasm").read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_the_engine_has_the_types_that_it_says() -> None:
    """Catches: a comment on types that is not true."""
    run(program("npm"), "run", "types")


@pytest.mark.slow
def test_the_engine_passes_its_own_tests() -> None:
    """Catches: what page/test says it catches."""
    run(program("node"), "--test", *sorted((PAGE / "test").glob("*.test.mjs")))


def test_the_recorded_curves_are_those_of_the_results() -> None:
    """Catches: results that were recorded again, and a page that still shows the old curves."""
    script = runpy.run_path(str(PAGE / "data" / "record.py"))
    assert json.loads((PAGE / "data" / "recorded.json").read_text(encoding="utf-8")) == script["recorded"](), (
        "run: python page/data/record.py, then npm run build --prefix page"
    )
