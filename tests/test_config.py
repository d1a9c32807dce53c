import dataclasses
import json

import pytest

from minivjepa.objective import SIGReg
from minivjepa.training.arms import with_arm
from minivjepa.training.config import PRESETS, Config, differences, from_dict, to_dict
from minivjepa.training.recipe import schedule
from minivjepa.tubelets import Grid
from minivjepa.vjepa import ARMS


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_survives_json(name: str) -> None:
    """Catches: tuples that come back as lists, nested parts that come back as dicts."""
    assert from_dict(Config, json.loads(json.dumps(to_dict(PRESETS[name])))) == PRESETS[name]


def test_unknown_keys_are_refused_and_a_field_that_is_missing_has_its_default() -> None:
    """Catches: a misspelt option that is silently swallowed; runs of older versions that cannot be read."""
    values = to_dict(PRESETS["tiny"])
    with pytest.raises(ValueError, match=r"unknown keys \['setps'\]"):
        from_dict(Config, {**values, "setps": 3})
    with pytest.raises(ValueError, match=r"Grid has unknown keys \['patches'\]"):
        from_dict(Config, {**values, "grid": {**values["grid"], "patches": 3}})
    del values["clips"]
    assert from_dict(Config, values) == PRESETS["tiny"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 65}, "encoder width 65 is not divisible by 2 heads"),
        ({"predictor_heads": 7}, "predictor width 48 is not divisible by 7 heads"),
        ({"steps": 0}, "steps is 0, expected a number above 0"),
        ({"lr": -1.0}, "lr is -1.0, expected"),
        ({"lr": float("nan")}, "lr is nan, expected"),
        ({"lr": float("inf")}, "lr is inf, expected"),
        ({"stretch": float("inf")}, "stretch is inf, expected"),
        ({"weight_decay": float("inf")}, "weight_decay is inf, expected"),
        ({"clip_grad": float("inf")}, "clip_grad is inf, expected"),
        ({"monitor_clips": 1}, "monitor_clips is 1, expected 2 or more: one clip has no spread"),
        ({"prevention": ARMS["vicreg"], "batch": 1}, "batch is 1, expected 2 or more: a regularizer compares clips"),
        ({"masks": ("tube:",)}, "no number after the colon"),
        ({"warmup": -1}, "warmup is -1, expected 0 or more"),
        ({"momentum": 1.5}, "momentum is 1.5, expected a number from 0 to 1"),
        ({"positions": "rope"}, "unknown positions 'rope'; choose from sincos, rotary"),
        ({"positions": "rotary", "heads": 16}, "need heads at least 6 wide, not 4; use fewer heads"),
        ({"loss": "l3"}, "unknown loss 'l3'; choose from l1, l2"),
        ({"init": "he"}, "unknown init 'he'"),
        ({"precision": "fp8"}, "unknown precision 'fp8'"),
        ({"masks": ()}, "no mask is given"),
        ({"masks": ("tubes",)}, "unknown mask 'tubes'"),
        ({"masks": ("random:0.999",)}, "leaves no context"),
        ({"masks": ("future:0",)}, "leaves no target"),
    ],
)
def test_nonsense_is_refused_before_anything_is_trained(change: dict[str, object], message: str) -> None:
    """Catches: an error that only appears minutes later, or a NaN."""
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(PRESETS["cpu"], **change)


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_survives_json(arm: str) -> None:
    """Catches: a regulariser that comes back as another one, or as a dict."""
    config = dataclasses.replace(PRESETS["cpu"], prevention=ARMS[arm])
    assert from_dict(Config, json.loads(json.dumps(to_dict(config)))) == config


def test_a_regulariser_with_unknown_options_is_refused() -> None:
    """Catches: an option of a regulariser that is dropped in silence."""
    values = to_dict(dataclasses.replace(PRESETS["cpu"], prevention=ARMS["sigreg"]))
    values["prevention"]["regulariser"]["lambda"] = 1.0
    with pytest.raises(ValueError, match=r"unknown keys .*lambda"):
        from_dict(Config, values)
    with pytest.raises(ValueError, match="directions is 0, expected 1 or more"):
        SIGReg(directions=0)


def test_differences_name_the_nested_field() -> None:
    """Catches: a resume that accepts another grid."""
    other = dataclasses.replace(PRESETS["cpu"], grid=Grid(8, 32, 40, 2, 8), lr=1.0)
    assert differences(PRESETS["cpu"], other) == ["grid.width: 32 saved, 40 given", "lr: 0.0025 saved, 1.0 given"]
    assert differences(other, other) == []


def test_differences_name_a_part_of_another_kind() -> None:
    """Catches: an AttributeError, and no message, where a vicreg run is resumed as sigreg."""
    one, other = (with_arm(PRESETS["cpu"], arm) for arm in ("vicreg", "sigreg"))
    lines = differences(one, other)
    assert any(line.startswith("prevention.regulariser: VICReg(") and ", SIGReg(" in line for line in lines)
    assert "prevention.regulariser: None saved" in "\n".join(differences(PRESETS["cpu"], other))


def test_vitl_is_the_papers_geometry_and_schedule() -> None:
    """Catches: schedules that are not stretched. The released run ends at LR 7.5e-5, WD .366, momentum .9996."""
    config = PRESETS["vitl"]
    assert (config.grid.tokens, config.dim, config.depth, config.heads) == (1568, 1024, 24, 16)
    lr, decay, momentum = schedule(config, config.steps - 1)
    assert (round(lr * 1e5, 1), round(decay, 3), round(momentum, 4)) == (7.5, 0.366, 0.9996)
    lr, _, momentum = schedule(config, 0)
    assert abs(lr - 2e-4) < 1e-7
    assert momentum == 0.998
    assert schedule(config, config.warmup - 1)[0] == config.lr


def test_plain_schedules_have_their_end_points() -> None:
    """Catches: a warm-up that never reaches the peak, a cosine that ends elsewhere."""
    config = PRESETS["cpu"]
    assert schedule(config, config.warmup - 1)[0] == config.lr
    assert abs(schedule(config, config.steps - 1)[0] - config.lr * config.final_lr) < 1e-12
    rates = [schedule(config, step)[0] for step in range(config.steps)]
    assert rates == sorted(rates[: config.warmup]) + sorted(rates[config.warmup :], reverse=True)
    assert schedule(config, 0)[0] == config.lr / config.warmup
