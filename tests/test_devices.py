"""Nothing is left behind on the CPU where a run uses another device: shown with one that needs no GPU, see another_device.py."""

import importlib
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_leaves

from minivjepa.commands.cli import COMMANDS, COURSE
from minivjepa.data import known_clips
from minivjepa.data.digits import ClipRules
from minivjepa.data.protocol import Budget
from minivjepa.evaluation import decoder
from minivjepa.evaluation.controls import CONTROLS, judge_control
from minivjepa.evaluation.judge import judge
from minivjepa.training.arms import VARIANTS, with_arm
from minivjepa.training.config import PRESETS, Config
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer
from minivjepa.vjepa import ARMS
from tests.another_device import another_device
from tests.test_cli import TINY, call
from tests.test_video import counting, write_video
from tests.test_world_command import SHORT, SMALL, SMALL_VJEPA

Elsewhere = Callable[[], AbstractContextManager[torch.device]]
CPU = torch.device("cpu")
FEW = replace(PRESETS["tiny"], steps=2, batch=4, precision="fp32")
BUDGET = Budget(train_clips=48, validation_clips=16, test_clips=16, attentive_epochs=2, attentive_trial_epochs=1)
NUISANCES = {
    "new": ClipRules(background="new", strength=1.0),
    "still": ClipRules(background="still", strength=1.0),
    "drifting": ClipRules(background="drifting", strength=1.0),
    "photographs": ClipRules(shows="photographs"),
}


@pytest.fixture(params=["emulated", "cuda"])
def elsewhere(request: pytest.FixtureRequest) -> Elsewhere:
    """A device beside the CPU: opened, it can be computed on."""
    if request.param == "emulated":
        return another_device
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    return lambda: nullcontext(torch.device("cuda"))


def assert_same(found: Any, expected: Any, rtol: float = 1e-3, atol: float = 1e-4) -> None:
    """All numbers, up to rounding: other kernels add in another order, and AdamW enlarges that."""
    pairs = list(zip(tree_leaves(found), tree_leaves(expected), strict=True))
    assert pairs
    for one, other in pairs:
        if isinstance(other, (float, torch.Tensor, np.ndarray)):
            torch.testing.assert_close(one, other, rtol=rtol, atol=atol, equal_nan=True)
        else:
            assert one == other


def trained_and_judged(config: Config, folder: Path, device: torch.device) -> list[Any]:
    """Two steps of training, and every number of the judge."""
    source = known_clips(config.grid, "train", config.seed, device, config.clips)
    trainer = Trainer(config, source, Run(folder / device.type), device)
    for _ in range(2):
        trainer.train_step()
    trainer.fetch_losses()
    return [trainer.loss_sum, trainer.measure([]), judge(trainer.model, config, BUDGET, device)]


@pytest.mark.parametrize("arm", [name for name in [*ARMS, *VARIANTS] if "teacher" not in VARIANTS.get(name, {})])
def test_every_arm_is_trained_and_judged_elsewhere_with_the_same_numbers(
    arm: str, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """Catches: a tensor made on the CPU in a step, in EMA, a regulariser, a metric or a probe."""
    config = with_arm(FEW, arm)
    expected = trained_and_judged(config, tmp_path, CPU)
    with elsewhere() as device:
        assert_same(trained_and_judged(config, tmp_path, device), expected)


@pytest.mark.parametrize("name", NUISANCES)
def test_every_kind_of_clip_is_drawn_elsewhere(name: str, elsewhere: Elsewhere, tmp_path: Path) -> None:
    """Catches: a background, a photograph or a label that stays on the CPU."""
    config = replace(FEW, clips=NUISANCES[name])
    expected = trained_and_judged(config, tmp_path, CPU)
    with elsewhere() as device:
        assert_same(trained_and_judged(config, tmp_path, device), expected)


@pytest.mark.parametrize("name", CONTROLS)
def test_every_control_is_judged_elsewhere(name: str, elsewhere: Elsewhere) -> None:
    """Catches: labels of the supervised encoder, or an order of frames, on the CPU."""
    expected = judge_control(name, FEW, BUDGET, CPU, lambda step: None)
    with elsewhere() as device:
        assert_same(judge_control(name, FEW, BUDGET, device, lambda step: None), expected)


def use(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """All commands use this device, whatever --device says, and decoders and probes are trained for a moment only."""
    for name in set(COMMANDS) - set(
        COURSE
    ):  # now, so that no module that is loaded later keeps what stands in for pick_device
        importlib.import_module(f"minivjepa.commands.{name.replace(' ', '_')}")
    for module in [module for name, module in sys.modules.items() if name.startswith("minivjepa.")]:
        if hasattr(module, "pick_device"):
            monkeypatch.setattr(module, "pick_device", lambda name: device)
    monkeypatch.setattr("minivjepa.commands.probe.FULL", BUDGET)
    monkeypatch.setattr(decoder, "STEPS", 3)


def commands(folder: Path, film: Path) -> dict[str, Any]:
    """Numbers that every command which computes leaves behind, by their file."""
    made = {
        "run": ["train", *TINY, "--precision", "fp32"],
        "films": ["train", *TINY, "--precision", "fp32", "--data", str(film)],
        "lewm": ["world", "train", *SMALL],
        "vjepa": ["world", "train", *SMALL_VJEPA],
        "plan": ["world", "plan", str(folder / "lewm"), str(folder / "vjepa"), *SHORT],
    }
    for name, words in made.items():
        assert call(*words, "--out", str(folder / name)) == 0
        assert call(*words, "--out", str(folder / name), "--resume") == 0
    run, features = str(folder / "run"), folder / "features.npz"
    assert call("probe", run, "--json", str(folder / "probe.json")) == 0
    assert call("embed", str(film), "--weights", run, "--out", str(features)) == 0
    for name in ("run", "lewm"):
        assert call("imagine", str(folder / name), "--picture", str(folder / f"{name}.gif")) == 0
    found: dict[str, Any] = {name: Run(folder / name).history() for name in ("run", "films", "lewm", "vjepa")}
    found["plan"] = json.loads((folder / "plan" / "results.json").read_text())
    with np.load(features) as held:
        found["features"] = held["features"]
    return timeless(found | {"probe": json.loads((folder / "probe.json").read_text())})


def timeless(found: Any) -> Any:
    """Without what differs from one computer to another."""
    if isinstance(found, dict):
        return {
            k: timeless(v)
            for k, v in found.items()
            if "seconds" not in k and k not in ("command", "device", "checkpoints")
        }
    return [timeless(one) for one in found] if isinstance(found, list) else found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")  # into one that has numbers here
def test_every_command_computes_elsewhere(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: frames of films, world models, plans, decoders or checkpoints that stay behind."""
    film = write_video(tmp_path / "film.mkv", counting(30))
    use(CPU, monkeypatch)
    expected = commands(tmp_path / "here", film)
    with elsewhere() as device:
        use(device, monkeypatch)
        assert_same(commands(tmp_path / "there", film), expected, rtol=0.02, atol=2e-3)
