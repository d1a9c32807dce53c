"""`minivjepa world train | plan` from outside: what they leave, what they say, and how they end."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from minivjepa.commands.world_watch import film
from minivjepa.world.comparison import summary
from minivjepa.world.goal_reaching import Outcome, Task
from minivjepa.world.rooms import Rooms
from minivjepa.world.world_recipe import WorldConfig
from minivjepa.world.world_trainer import load_world
from tests.test_cli import ENVIRONMENT, call, refused

COMMON = [
    "--device", "cpu", "--latent", "8", "--predictor-dim", "16", "--predictor-depth", "1", "--batch", "8", "--steps", "6", "--warmup", "1",
    "--log-every", "3", "--checkpoint-every", "2",
]  # fmt: skip
SMALL = [*COMMON, "--dim", "16", "--depth", "1", "--hidden", "16", "--directions", "8"]
SMALL_VJEPA = [
    *COMMON, "--model", "vjepa", "--pretraining.steps", "3", "--pretraining.dim", "24", "--pretraining.depth", "1", "--pretraining.log-every", "2",
    "--pretraining.monitor-clips", "16", "--pretraining.predictor-depth", "1",
]  # fmt: skip
SMALL_UNTRAINED = [*COMMON, "--model", "untrained", "--pretraining.dim", "24", "--pretraining.depth", "1"]
BUDGET = [
    "--device",
    "cpu",
    "--task.pairs",
    "6",
    "--task.steps",
    "12",
    "--planner.samples",
    "32",
    "--planner.rounds",
    "2",
]
SHORT = [*BUDGET[:4], "--task.steps", "2", "--planner.samples", "8", "--planner.elites", "2", "--planner.rounds", "1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One small run of every kind."""
    folder = tmp_path_factory.mktemp("worlds")
    for name, words in (("lewm", SMALL), ("vjepa", SMALL_VJEPA), ("untrained", SMALL_UNTRAINED)):
        assert call("world", "train", *words, "--out", str(folder / name)) == 0
    return {name: folder / name for name in ("lewm", "vjepa", "untrained")}


def test_every_kind_of_world_model_is_trained_and_can_be_loaded(trained: dict[str, Path]) -> None:
    """Catches: a run that its own plan command cannot read; V-JEPA's run lost; an encoder that trains on after freezing."""
    for name, out in trained.items():
        left = [".lock", "checkpoint.pt", "config.json", "metrics.jsonl"] + (["encoder"] if name == "vjepa" else [])
        assert sorted(p.name for p in out.iterdir()) == sorted(left)
        config, model = load_world(out)
        assert isinstance(config, WorldConfig)
        assert config.model == name
        assert model.embed(torch.zeros(1, 3, 1, 32, 32)).shape == (1, 1, 8)
        saved = torch.load(out / "checkpoint.pt", weights_only=True)["model"]
        assert all(torch.equal(value, saved[part]) for part, value in model.state_dict().items())
    encoders = [
        torch.load(trained["vjepa"] / part, weights_only=True)["model"]
        for part in ("encoder/checkpoint.pt", "checkpoint.pt")
    ]
    name = "encoder.blocks.0.mlp.fc1.weight"
    assert torch.equal(encoders[0][name], encoders[1][name])
    untrained = torch.load(trained["untrained"] / "checkpoint.pt", weights_only=True)["model"]
    assert not torch.equal(encoders[0][name], untrained[name])


def test_plan_compares_all_on_the_same_pairs(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a model left out, intervals that do not belong to their counts, a second comparison in the same folder."""
    out = tmp_path / "plan"
    words = ["world", "plan", *map(str, trained.values()), "--out", str(out), *SHORT]
    assert call(*words) == 0
    said = capsys.readouterr().out
    results = json.loads((out / "results.json").read_text())
    assert "\n".join(summary(results)) in said
    assert [row["model"] for row in results["models"]] == list(trained)
    for row in (results["random"], results["straight"], results["oracle"], *results["models"]):
        assert row["all"]["trials"] == 6 == row["door"]["trials"] * 2
        assert row["all"]["hits"] == sum(row["reached"])
        assert row["all"]["low"] <= row["all"]["success"] <= row["all"]["high"]
    assert "is not empty" in refused(capsys, *words)
    assert "holds a run of another config" in refused(capsys, *words, "--resume", "--task.steps", "3")
    kept = (out / "oracle.json").read_text()
    (out / "run-2.json").unlink()  # as if it had been stopped there
    (out / "results.json").unlink()
    assert call(*words, "--resume") == 0
    assert (out / "oracle.json").read_text() == kept
    again = json.loads((out / "results.json").read_text())
    for row, before in zip(again["models"], results["models"]):
        assert {**row, "seconds": 0} == {**before, "seconds": 0}


def test_training_resumes_and_refuses_to_mix_runs(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: --resume with nothing there, a second run in the same folder, another config under --resume."""
    out = str(trained["lewm"])
    assert "nothing to resume" in refused(capsys, "world", "train", *SMALL, "--out", str(tmp_path / "new"), "--resume")
    assert not (tmp_path / "new").exists()
    assert "is not empty" in refused(capsys, "world", "train", *SMALL, "--out", out)
    assert "weight: 0.1 saved, 0.5 given" in refused(
        capsys, "world", "train", *SMALL, "--weight", ".5", "--out", out, "--resume"
    )
    before = (trained["lewm"] / "checkpoint.pt").read_bytes()
    assert call("world", "train", *SMALL, "--out", out, "--resume") == 0
    assert (trained["lewm"] / "checkpoint.pt").read_bytes() == before


def test_damage_is_named_and_a_run_is_known_by_its_weights(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: tracebacks for files that were cut off, pairs lost at the end, rows of a run that was trained again since."""
    run, plan = tmp_path / "run", tmp_path / "plan"
    shutil.copytree(trained["lewm"], run)
    words = ["world", "plan", str(run), "--out", str(plan), *SHORT]
    assert "given twice" in refused(capsys, *words[:3], str(run), *words[3:])
    for name, content, says in (
        ("metrics.jsonl", b"", "metrics.jsonl is missing or empty"),
        ("metrics.jsonl", b"{}\n", "a line is not a row of metrics"),
        ("checkpoint.pt", b"", "is not a checkpoint of minivjepa"),
        ("config.json", b"null", "is not a config of this version"),
    ):
        whole = (run / name).read_bytes()
        (run / name).write_bytes(content)
        assert says in refused(capsys, *words)
        assert not plan.exists()
        (run / name).write_bytes(whole)
    assert call(*words) == 0
    results = (plan / "results.json").read_bytes()
    assert b"--resume" not in results
    for name, content in (("run-0.json", b"{"), ("oracle.json", b"")):
        whole = (plan / name).read_bytes()
        (plan / name).write_bytes(content)
        assert f"{name} is damaged" in refused(capsys, *words, "--resume")
        (plan / name).write_bytes(whole)
    shutil.rmtree(run)
    assert call("world", "train", *SMALL, "--seed", "5", "--out", str(run)) == 0
    assert "holds a run of another config" in refused(capsys, *words, "--resume")
    assert (plan / "results.json").read_bytes() == results


def test_a_run_of_another_world_plans_and_is_filmed_there(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a maze that is judged by the task of the rooms, runs of two worlds in one table, films of another episode."""
    run, plan = tmp_path / "maze", tmp_path / "plan"
    assert call("world", "train", *SMALL, "--world", "maze", "--out", str(run)) == 0
    assert call("world", "plan", str(run), "--out", str(plan), *SHORT, "--task.apart", "0.4") == 0
    results = json.loads((plan / "results.json").read_text())
    assert results["world"] == "maze"
    assert (results["task"]["radius"], results["task"]["steps"], results["task"]["apart"]) == (0.06, 2, 0.4)
    assert results["oracle"]["door"]["trials"] == 6
    both = refused(capsys, "world", "plan", str(run), str(trained["lewm"]), "--out", str(tmp_path / "no"), *SHORT)
    assert "the runs were trained in different worlds" in both
    words = [*SHORT[6:], "--planner.horizon", "2", "--robots", "1"]
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        film = ["world", "watch", str(run), "--seed", seed, "--out", str(tmp_path / f"{name}.gif")]
        assert call(*film, *words) == 0
        assert "of 1 goals of maze in 80 steps" in capsys.readouterr().out
    a, b, c = ((tmp_path / f"{name}.gif").read_bytes() for name in "abc")
    assert a.startswith(b"GIF89a")
    assert a == b != c
    said = refused(capsys, "world", "watch", str(run), "--world", "rooms", "--out", str(tmp_path / "d.gif"))
    assert "was trained in maze, not in rooms" in said
    assert "a new file" in refused(capsys, "world", "watch", "random", "--out", str(tmp_path / "a.gif"))


def test_a_film_lasts_until_the_last_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: a robot that waits for a step, and whose last frames are lost."""
    shown = []
    monkeypatch.setattr(
        "minivjepa.figures.feature_colors.imagination_film",
        lambda columns, notes, inches: shown.append(len(notes)) or [],
    )
    monkeypatch.setattr("minivjepa.figures.feature_colors.gif", lambda frames: b"")
    steps = torch.tensor([0.0, 0.0, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2])  # it moves in the 2nd and in the 5th step
    path = (0.2 + steps[:, None].expand(8, 2))[None]
    nothing = torch.zeros(1, dtype=torch.bool)
    for upto, length in ((8, 6), (5, 3), (2, 1)):
        film(Rooms(), Outcome(path[:, :upto], path[:, -1], nothing, nothing), 0.08)
        assert shown[-1] == length


def test_options_that_would_have_no_effect_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a LeWorldModel's width given to V-JEPA, a planner's budget given to random actions."""
    train = ["world", "train", "--out", str(tmp_path / "run")]
    said = refused(capsys, *train, "--model", "vjepa", "--dim", "128")
    assert "--dim means nothing to the model vjepa" in said
    assert "--pooled means nothing to the model lewm" in refused(capsys, *train, "--pooled")
    said = refused(capsys, *train, "--model", "untrained", "--pretraining.lr", "0.5")
    assert "--pretraining.lr means nothing to the model untrained" in said
    said = refused(capsys, *train, "--model", "raw", "--pretraining.depth", "5")
    assert "--pretraining.depth means nothing to the model raw" in said
    assert not (tmp_path / "run").exists()
    for who in ("random", "straight"):
        words = ["world", "watch", who, "--out", str(tmp_path / "a.gif"), "--planner.samples", "9"]
        assert f"{who} doesn't plan" in refused(capsys, *words)


def test_another_worlds_radius_decides_what_fits(
    trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: an option refused because of another world's radius, a task that is solved from the start."""
    assert Task(apart=0.07).radius == 0.08  # the maze's radius is smaller
    words = ["world", "plan", str(trained["lewm"]), "--out", str(tmp_path / "plan"), "--task.apart", "0.07"]
    assert "radius is 0.08, expected less than apart (0.07)" in refused(capsys, *words)


@pytest.mark.parametrize("by", ["gradient", "inverse"])
def test_models_can_act_without_the_oracles_planner(
    by: str, trained: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: a table of two ways to act under one name, an oracle that changes with the models, a film of another policy."""
    run, out = str(trained["lewm"]), tmp_path / "plan"
    words = ["world", "plan", run, "--out", str(out), *BUDGET]
    budget = {"gradient": ["--gradient.rounds", "2"], "inverse": ["--inverse.clips", "64", "--inverse.steps", "20"]}[by]
    assert call(*words, "--by", by, *budget) == 0
    results = json.loads((out / "results.json").read_text())
    assert results["by"]["name"] == {"gradient": "Gradient", "inverse": "Inverse"}[by]
    assert results["by"][budget[0].split(".")[1]] == int(budget[1])
    assert "holds a run of another config" in refused(capsys, *words, "--resume")
    other = tmp_path / "cem"
    assert call(*words[:4], str(other), *words[5:]) == 0
    cem = json.loads((other / "results.json").read_text())
    assert cem["by"]["name"] == "CEM"
    assert cem["oracle"]["reached"] == results["oracle"]["reached"]
    assert any(cem["oracle"]["reached"])
    for name, how in (("a", by), ("b", "cem")):
        film = ["world", "watch", run, "--by", how, "--robots", "1", "--out", str(tmp_path / f"{name}.gif")]
        assert call(*film) == 0
    assert (tmp_path / "a.gif").read_bytes() != (tmp_path / "b.gif").read_bytes()
    said = refused(capsys, "world", "watch", "oracle", "--by", by, "--out", str(tmp_path / "c.gif"))
    assert "--by is for trained models" in said
    budget = ["--planner.samples", "9", "--out", str(tmp_path / "d.gif")]
    assert "--planner.* is about --by cem" in refused(capsys, "world", "watch", run, "--by", by, *budget)


BAD = {
    "no part": (["world"], None),
    "an unknown part": (["world", "dream"], "unknown command 'world dream'; choose from lab, train, ablate"),
    "an unknown model": (
        ["world", "train", "--model", "dreamer"],
        "unknown model 'dreamer'; choose from lewm, vjepa, pixel-target, untrained, raw",
    ),
    "a model without its name": (["world", "train", "--model"], "--model: expected one argument"),
    "a word for a number": (["world", "train", "--steps", "many"], "Error parsing --steps"),
    "a negative lambda": (["world", "train", "--weight", "-1"], "weight is -1.0, expected 0 or more"),
    "a patch that does not divide": (["world", "train", "--patch", "7"], "does not divide"),
    "clips of one frame": (["world", "train", "--frames", "1"], "frames is 1, expected 2 or more"),
    "heads that do not divide": (["world", "train", "--heads", "5"], "width 64 is not divisible by 5 heads"),
    "a door too narrow": (["world", "train", "--rooms.door", ".1"], "lets no robot of radius 0.06 pass"),
    "pictures of another size than V-JEPA's": (
        ["world", "train", "--model", "vjepa", "--size", "40"],
        "give the same --size",
    ),
    "a seed that would not be used": (
        ["world", "train", "--model", "vjepa", "--pretraining.seed", "3"],
        "pretraining.seed is 3, but --seed is used; leave --pretraining.seed out",
    ),
    "a device that is not there": (["world", "train", "--device", "tpu"], "unknown device 'tpu'"),
    "a run that is not there": (
        ["world", "plan", "nowhere"],
        "holds no run (no config.json); give the folder that `minivjepa world train`",
    ),
    "no pairs": (["world", "plan", "nowhere", "--task.pairs", "0"], "pairs is 0, expected a number above 0"),
    "a world that is not there": (
        ["world", "train", "--world", "mars"],
        "choose from rooms, rooms-lamps, rooms-busy, maze",
    ),
    "rooms that are not there": (
        ["world", "train", "--world", "maze", "--rooms.door", ".3"],
        "--rooms.* is about the world rooms, and --world is maze; leave it out",
    ),
    "another kind of file": (["world", "watch", "oracle"], "expected a name ending in .gif"),
    "a planner that is not there": (
        ["world", "plan", "nowhere", "--by", "dreaming"],
        "unknown --by 'dreaming'; choose from cem, gradient, inverse",
    ),
    "settings that would be ignored": (
        ["world", "plan", "nowhere", "--inverse.steps", "9"],
        "--inverse.* is about --by inverse, and --by is cem; leave it out",
    ),
    "clips too short for a goal": (
        ["world", "plan", "nowhere", "--by", "inverse", "--inverse.frames", "1"],
        "frames is 1, expected 2 or more",
    ),
    "too many elites": (["world", "plan", "nowhere", "--planner.elites", "900"], "900 elites of 64 samples"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_one_clear_message_and_leaves_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: tracebacks, and folders that were made before the mistake was found."""
    words, message = BAD[name]
    if message is None:
        assert call(*words) == 2
        assert "world train  train a world model" in capsys.readouterr().out
        return
    out = tmp_path / "out"
    assert message in refused(capsys, *words[:2], "--out", str(out), *words[2:])
    assert not out.exists()


def test_a_run_of_the_other_kind_or_unfinished_is_refused(
    tmp_path: Path, trained: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: V-JEPA runs taken for world models, plans made with half-trained ones."""
    encoder = trained["vjepa"] / "encoder"
    said = refused(capsys, "world", "plan", str(encoder), "--out", str(tmp_path / "a"))
    assert "encoder was made by `minivjepa train`; give a folder that `minivjepa world train` made" in said
    said = refused(capsys, "probe", str(trained["lewm"]))
    assert "was made by `minivjepa world train`; give a folder that `minivjepa train` made" in said
    half = tmp_path / "half"
    half.mkdir()
    (half / "config.json").write_bytes((trained["lewm"] / "config.json").read_bytes())
    assert "is not trained to its end" in refused(capsys, "world", "plan", str(half), "--out", str(tmp_path / "a"))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("part", ["train", "plan"])
def test_help_shows_units_and_defaults(part: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: an option without an explanation."""
    assert call("world", part, "--help") == 0
    said = re.sub(r"[│\s]+", " ", capsys.readouterr().out)  # as it was before it was wrapped into a box
    words = {
        "train": ("--weight", "Lambda", "in sides of the world", "(default: 0.1)"),
        "plan": ("--task.radius", "in sides of the world", "(default: 200)", "95 % intervals"),
    }
    for word in words[part]:
        assert word in said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
def test_ctrl_c_leaves_a_run_that_resumes_to_the_same_weights(tmp_path: Path) -> None:
    """Catches: a torn checkpoint, an exit code that is not 130, advice that is missing."""
    words = [*SMALL, "--steps", "400"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert call("world", "train", *words, "--out", str(whole)) == 0
    child = subprocess.Popen(
        [sys.executable, "-m", "minivjepa", "world", "train", *words, "--out", str(parts)],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    for _ in range(600):
        if (parts / "checkpoint.pt").exists():
            break
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    assert "--resume" in said
    assert torch.load(parts / "checkpoint.pt", weights_only=True)["step"] < 400
    assert call("world", "train", *words, "--out", str(parts), "--resume") == 0
    one, two = (torch.load(out / "checkpoint.pt", weights_only=True) for out in (whole, parts))
    assert all(torch.equal(value, two["model"][name]) for name, value in one["model"].items())


def test_a_preset_is_where_the_options_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Catches: a preset that is not read before its options, or that --model overrides in silence."""
    small = ["--size", "28", "--depth", "1", "--steps", "1", "--warmup", "0", "--batch", "2", "--device", "cpu"]
    assert call("world", "train", "--preset", "lewm-official", *small, "--out", str(tmp_path / "run")) == 0
    config, _ = load_world(tmp_path / "run")
    assert (config.latent, config.depth, config.weight) == (192, 1, 0.09)
    assert call("world", "train", "--preset", "none", "--out", str(tmp_path / "no")) == 2
    assert "unknown preset 'none'; choose from lewm, vjepa, pixel-target, untrained, raw" in capsys.readouterr().err
    assert call("world", "train", "--preset", "lewm-official", "--model", "vjepa", "--out", str(tmp_path / "no")) == 2
    assert "V-JEPA sees 32 x 32 pixels, --size is 224" in capsys.readouterr().err
