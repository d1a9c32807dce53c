"""Probes: they read what is there, nothing that is not, and agree with a second way to compute them."""

import dataclasses
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from pages import FOLDER
from torch import nn

from minivjepa.data.protocol import BUDGETS, CHANCE, FULL, Budget
from minivjepa.evaluation.controls import CONTROLS, judge_control, train_supervised
from minivjepa.evaluation.judge import check_memory, encode_split, judge, judge_online, probe_encoder
from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.probes import (
    CLASSES,
    AttentiveProbe,
    Labelled,
    Trial,
    accuracy,
    attentive_accuracy,
    knn_accuracy,
    linear_accuracy,
    linear_r2,
    standardise,
    train_attentive,
)
from minivjepa.training.config import PRESETS, Config, from_dict
from minivjepa.training.files import read_json
from minivjepa.training.recipe import build_model
from minivjepa.tubelets import Grid
from minivjepa.vjepa import ARMS

CPU = torch.device("cpu")
SMALL = Budget(600, 200, 400, attentive_epochs=8)


def labelled(tokens: torch.Tensor, direction: torch.Tensor) -> Labelled:
    zeros = torch.zeros(len(tokens), 3)
    return Labelled(tokens, direction, direction, zeros, zeros)


def test_linear_probes_read_what_is_linear_and_report_held_out_scores() -> None:
    """Catches: scoring on training clips; a probe that finds labels in pure noise."""
    torch.manual_seed(0)
    x, y, labels, test_labels = torch.randn(500, 20), torch.randn(500, 20), torch.arange(500) % 5, torch.arange(500) % 5
    assert abs(linear_accuracy(x, labels, y, test_labels) - 0.2) < 0.07
    hot = F.one_hot(labels, 5).float()
    told, told_too = torch.cat([x, hot], 1), torch.cat([y, hot], 1)
    assert linear_accuracy(told, labels, told_too, test_labels) > 0.99
    values, test_values = x[:, :2] @ torch.randn(2, 3), None
    test_values = y[:, :2] @ torch.linalg.lstsq(x[:, :2], values).solution
    assert linear_r2(x, values, y, test_values) > 0.99
    assert linear_r2(x, values.roll(1, 0), y, test_values) < 0.1


def test_nearest_neighbours_vote() -> None:
    """Catches: distances on features that one large feature rules."""
    torch.manual_seed(0)
    labels = torch.arange(300) % 3
    x = torch.cat([F.one_hot(labels, 3) + 0.1 * torch.randn(300, 3), 1000 * torch.randn(300, 1)], 1)
    assert knn_accuracy(x[:200], labels[:200], x[200:], labels[200:], 10) > 0.9


def test_the_attentive_probe_is_multi_head_cross_attention_with_one_query() -> None:
    """Catches: a pooling that is not V-JEPA's. Equal to torch's own attention with its matrices merged."""
    dim, heads, classes = 12, 3, 5
    attention = nn.MultiheadAttention(dim, heads, bias=False, batch_first=True).double()
    query, x = torch.randn(1, 1, dim, dtype=torch.float64), torch.randn(4, 7, dim, dtype=torch.float64)
    out = nn.Linear(dim, classes, bias=False).double()
    expected = out(attention(query.expand(4, -1, -1), x, x)[0][:, 0])
    size = dim // heads
    wq, wk, wv = attention.in_proj_weight.chunk(3)
    ours = AttentiveProbe(dim, classes, heads).double()
    with torch.no_grad():
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            ours.query[:, head] = wk[part].T @ (wq[part] @ query[0, 0]) / size**0.5
            merged = out.weight @ attention.out_proj.weight[:, part] @ wv[part]
            ours.classify.weight[:, head * dim : (head + 1) * dim] = merged
        ours.classify.bias.zero_()
    torch.testing.assert_close(ours(x), expected)


def test_the_attentive_probe_finds_one_telling_token_among_many() -> None:
    """Catches: a probe that only averages; the sign of one marked token is lost in the mean."""
    torch.manual_seed(0)
    labels = torch.arange(900) % 2
    tokens = 3 * torch.randn(900, 20, 8)
    place = torch.randint(20, (900,))
    tokens[torch.arange(900), place, 0] = 15.0
    tokens[torch.arange(900), place, 1] = (labels * 2 - 1).float() * 2
    parts = standardise([labelled(tokens[a:b], labels[a:b]) for a, b in ((0, 500), (500, 700), (700, 900))])
    budget = dataclasses.replace(SMALL, attentive_epochs=30, attentive_trial_epochs=30)
    held_out, seen = attentive_accuracy(parts[0], parts[1], parts[2], budget)["direction"]
    assert held_out > 0.9
    assert seen > 0.9
    assert linear_accuracy(parts[0].pooled, labels[:500], parts[2].pooled, labels[700:]) < 0.75


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_winning_probe_is_the_one_that_would_be_trained_alone(epochs: int) -> None:
    """Catches: a learning rate, a gradient or a batch that one probe takes from another, also after the losers have left."""
    torch.manual_seed(0)
    x = labelled(torch.randn(300, 5, 6, dtype=torch.float64), torch.arange(300) % 8)
    budget = Budget(attentive_epochs=2, attentive_trial_epochs=epochs)
    good, idle = [Trial(task, 1e-2, 0.1) for task in CLASSES], [Trial(task, 0.0, 1.0) for task in CLASSES]
    torch.set_default_dtype(torch.float64)
    try:
        together = train_attentive(x, x, [*good, *idle], budget, seed=3)
        alone = train_attentive(x, x, good, Budget(attentive_epochs=2), seed=3)
    finally:
        torch.set_default_dtype(torch.float32)
    for task in CLASSES:
        torch.testing.assert_close(together[task].query, alone[task].query)
        torch.testing.assert_close(together[task].classify.weight, alone[task].classify.weight)


def test_standardising_uses_training_clips_only() -> None:
    """Catches: test statistics that leak into the features."""
    train, test = (
        labelled(torch.randn(50, 4, 3) * 5 + 2, torch.zeros(50)),
        labelled(torch.randn(9, 4, 3), torch.zeros(9)),
    )
    first, second = standardise([train, test])
    assert first.tokens.mean().abs() < 1e-5
    torch.testing.assert_close(second.tokens * train.tokens.std((0, 1)) + train.tokens.mean((0, 1)), test.tokens)


def test_accuracy_counts_right_classes() -> None:
    """Catches: a mean over the wrong axis."""
    part = labelled(torch.zeros(4, 1, 8), torch.tensor([0, 1, 1, 0]))
    assert accuracy(lambda x: F.one_hot(torch.ones(len(x), dtype=torch.int64), 8).float(), part, "direction") == 0.5


def test_labels_belong_to_their_clips_and_do_not_depend_on_chunks() -> None:
    """Catches: factors of one chunk beside the pixels of another."""
    grid = Grid(4, 16, 16, 2, 8)
    part = encode_split(
        lambda clip: clip.mean(dim=(3, 4)).transpose(1, 2), Config(grid=grid), "test", Budget(1, 1, 130), CPU
    )
    assert part.tokens.shape == (130, 4, 3)
    brightness = part.tokens.mean(dim=1)
    assert torch.corrcoef(torch.stack([brightness[:, 0], part.color[:, 0]]))[0, 1] > 0.3
    assert part.place.square().sum(dim=1).sub(2).abs().max() < 1e-5


def test_an_untrained_encoder_gets_the_same_scores_twice_and_every_metric() -> None:
    """Catches: probes that depend on the global random state; a metric of the contract that is missing."""
    config = PRESETS["tiny"]
    torch.manual_seed(1)
    first = judge_online(build_model(config), config, SMALL, CPU)
    torch.manual_seed(2)
    assert first == judge_online(build_model(config), config, SMALL, CPU)
    assert set(METRICS) <= set(first)
    assert first["margin"] > 0 or first["margin"] <= 0  # a number, not NaN


def test_both_encoders_are_judged_and_an_online_target_is_null() -> None:
    """Catches: target metrics copied from the online encoder."""
    config = PRESETS["tiny"]
    model = build_model(config)
    nn.init.normal_(model.target_encoder.embed.project.weight)
    result = judge(model, config, SMALL, CPU)
    assert set(METRICS) <= set(result["target"])
    assert result["target"]["feature_std"] != result["feature_std"]
    alone = dataclasses.replace(config, prevention=ARMS["neither"])
    assert judge(build_model(alone), alone, SMALL, CPU)["target"] is None


def test_controls_are_what_they_say(tiny: Config) -> None:
    """Catches: a control that is quietly another one; a supervised encoder that was never trained."""
    steps: list[int] = []
    config = dataclasses.replace(tiny, steps=800, lr=5e-3)
    found = {name: judge_control(name, config, SMALL, CPU, steps.append) for name in CONTROLS}
    untrained = probe_encoder(build_model(config).encoder, config, SMALL, CPU)
    assert steps == list(range(1, 801))
    assert found["supervised"]["linear_identity"] > untrained["linear_identity"] + 0.05
    for name in ("first_frame", "shuffled_frames"):
        assert found[name]["feature_std"] != untrained["feature_std"]
        assert abs(found[name]["linear_direction"] - CHANCE["direction"]) < 0.06
        assert abs(found[name]["pixels_direction"] - CHANCE["direction"]) < 0.06
    assert len(found["raw_pixels"]["spectrum"]) == config.grid.values


def test_the_supervised_encoder_is_trained_like_every_arm(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: weight decay on biases and LayerNorm; a precision that the supervised encoder ignores."""
    made: list[torch.optim.AdamW] = []

    class Recorded(torch.optim.AdamW):
        def step(self, closure: None = None) -> None:  # type: ignore[override]
            made.append(self)
            super().step(closure)

    monkeypatch.setattr(torch.optim, "AdamW", Recorded)
    config = dataclasses.replace(tiny, steps=2, warmup=0, precision="fp32")
    plain = train_supervised(config, CPU, lambda step: None)
    groups = made[0].param_groups
    assert {p.ndim > 1: group["weight_decay"] > 0 for group in groups for p in group["params"]} == {
        True: True,
        False: False,
    }
    assert len(groups) == 2
    assert sum(len(group["params"]) for group in groups) == len([*plain.parameters()]) + 4  # two heads
    half = train_supervised(dataclasses.replace(config, precision="bf16"), CPU, lambda step: None)
    assert not all(torch.equal(a, b) for a, b in zip(plain.parameters(), half.parameters()))


PEAK = """
import re, sys, torch
from pathlib import Path
from minivjepa.data.protocol import Budget
from minivjepa.evaluation.judge import probe_encoder, token_bytes
from minivjepa.training.config import Config
from minivjepa.tubelets import Grid
torch.set_num_threads(1)
grid, dim = Grid(2, 48, 48, 2, int(sys.argv[1])), 32
budget = Budget(500, 100, 250, attentive_epochs=1, attentive_rates=(1e-2,), attentive_decays=(1.0,))
probe_encoder(lambda clip: torch.randn(len(clip), grid.tokens, dim), Config(grid=grid, masks=("random",)), budget, torch.device("cpu"))
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]  # ru_maxrss would be the parent's
print(peak, token_bytes(grid, dim, budget))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_memory_that_probing_asks_for_is_what_it_takes() -> None:
    """Catches: one copy of the tokens counted where more are held.  Two sizes, so that Python and torch cancel out.

    A little less than 1, for the small size fits into memory that was free again.
    """
    runs = [subprocess.run([sys.executable, "-c", PEAK, patch], capture_output=True, text=True) for patch in ("8", "1")]
    (peak, counted), (more, counted_more) = (map(int, run.stdout.split()) for run in runs)
    assert 0.65 < 1024 * (more - peak) / (counted_more - counted) < 1.1


def test_what_probing_holds_is_said(tiny: Config) -> None:
    """Catches: a limit on one copy of the tokens while two are held; a message without the size."""
    grid = Grid(16, 128, 128, 2, 8)  # one copy of 7168 clips is 9 GiB
    with pytest.raises(
        ValueError, match=r"holds 2 copies of 7168 clips x 2048 tokens x 160 features in memory, 18 GiB"
    ):
        check_memory(dataclasses.replace(tiny, grid=grid, dim=160, heads=4), FULL, pixels=False)
    small = dataclasses.replace(tiny, grid=Grid(16, 96, 96, 2, 8), dim=24)  # its pixels are 384 wide
    check_memory(small, FULL, pixels=False)
    with pytest.raises(ValueError, match="x 384 features"):
        check_memory(small, FULL, pixels=True)


def test_every_probe_is_read_from_its_own_label() -> None:
    """Catches: a metric whose name, title and label do not belong together; a probe that is not computed."""
    for name, metric in METRICS.items():
        factor = name.split("_", 1)[1] if metric.reads else ""
        assert {"place": "position"}.get(metric.reads, metric.reads) == factor
        assert factor in metric.title
        assert (metric.probe is not None) == name.startswith(("linear", "knn"))


@pytest.mark.parametrize("seed", [0, 1])
def test_attentive_probes_of_untrained_encoders_agree_between_repeats(seed: int) -> None:
    """Catches: a probe stopped before it converged, whose score is its own seed's. On the real budget's epochs."""
    config = dataclasses.replace(PRESETS["cpu"], seed=seed)
    encoder, budget = build_model(config).encoder, dataclasses.replace(FULL, train_clips=1024, test_clips=1024)
    parts = standardise([encode_split(encoder, config, s, budget, CPU) for s in ("train", "validation", "test")])
    budget = dataclasses.replace(budget, attentive_rates=(1e-2,), attentive_decays=(1.0,))
    scores = [attentive_accuracy(*parts, budget, seed=s) for s in (0, 1)]
    for task in ("direction", "identity"):
        assert abs(scores[0][task][0] - scores[1][task][0]) < 0.05


def test_the_tiny_budget_is_small_and_the_full_one_as_documented() -> None:
    """Catches: results made with the small budget."""
    assert (FULL.clips("train"), FULL.clips("test")) == (4096, 2048)
    assert BUDGETS["tiny"].clips("validation") < FULL.clips("validation")
    assert set(BUDGETS) == {"tiny"}


@pytest.mark.slow
def test_the_kept_encoder_is_the_one_that_the_stored_results_describe() -> None:
    """Catches: an encoder on the shelf that is not of the run that lesson 09 says it is."""
    saved = torch.load(FOLDER / "encoder.pt", weights_only=True)
    config = from_dict(Config, saved["config"])
    stored = read_json(FOLDER / "long.json")
    [run] = [run for run in stored["arms"]["vjepa"] if run["seed"] == config.seed]
    assert run is stored["arms"]["vjepa"][0], "the first seed, whatever its numbers"
    encoder = build_model(config).encoder
    encoder.load_state_dict(saved["encoder"])
    train, test = (
        encode_split(encoder.eval(), config, split, FULL, torch.device("cpu")) for split in ("train", "test")
    )
    for task in ("direction", "identity"):
        score = linear_accuracy(train.pooled, getattr(train, task), test.pooled, getattr(test, task))
        assert score == pytest.approx(run["final"][f"linear_{task}"], abs=0.01)
