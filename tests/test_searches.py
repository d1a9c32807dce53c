"""results/search*.py and results/matrix.py: what is trained is what its name says, and one failure takes nothing with it."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import matrix
import pytest
import search
import search_arms

from minivjepa.experiments.plan import plan_jobs
from minivjepa.training.arms import VARIANTS
from minivjepa.training.config import PRESETS, Config, changed_fields, to_dict
from minivjepa.training.recipe import build_model
from minivjepa.training.runs import Run

BASE = Config()
FAST, SLOW = replace(BASE, lr=0.1), replace(BASE, lr=0.2)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Trials that take no time, with threads in place of processes; the learning rates that were trained with. 0.2 fails."""
    rates: list[float] = []

    def trial(config: Config, seed: int, *_: Any) -> dict[str, Any]:
        rates.append(config.lr)
        if config.lr == 0.2:
            raise ValueError("the loss is nan at step 7")
        return {"seed": seed, "score": config.lr}

    monkeypatch.setattr(search, "trial", trial)
    monkeypatch.setattr(search, "ProcessPoolExecutor", lambda workers, mp_context: ThreadPoolExecutor(1))
    return rates


def test_a_trial_that_fails_is_named_and_the_others_are_kept(
    tmp_path: Path, trained: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    """Catches: one diverged run that loses those that were under way."""
    file = tmp_path / "s.json"
    wanted = [("slow", SLOW, 100, build_model), ("fast", FAST, 100, build_model), ("fast", FAST, 101, build_model)]
    runs = search.run_missing(wanted, file)
    assert [run["seed"] for run in runs["fast"]] == [100, 101]
    assert "failed: slow, seed 100: the loss is nan at step 7" in capsys.readouterr().err
    held = json.loads(file.read_text())
    assert held.pop(search.RECIPES)["changes"] == {"fast": {"lr": 0.1}}
    assert set(held) == {"fast"}
    search.run_missing(wanted, file)
    assert trained == [0.2, 0.1, 0.1, 0.2]  # it alone is tried again


def test_a_trial_that_was_another_one_is_not_counted(
    tmp_path: Path, trained: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: old numbers under a name that means something else now."""
    file = tmp_path / "s.json"
    search.run_missing([("fast", FAST, 100, build_model)], file)
    with pytest.raises(SystemExit, match=r"other runs of 'fast' \(lr: 0.1 saved, 0.3 given\)"):
        search.run_missing([("fast", replace(FAST, lr=0.3), 101, build_model)], file)
    old = json.loads(file.read_text())
    del old[search.RECIPES]  # as before recipes were kept
    file.write_text(json.dumps(old))
    search.run_missing([("fast", FAST, 100, build_model), ("fast", FAST, 101, build_model)], file)
    assert "fast" in json.loads(file.read_text())[search.RECIPES]["changes"]


def test_the_recorded_trials_are_those_of_the_script() -> None:
    """Catches: a trial of search_arms.py, or the preset under it, that was changed after its runs were made."""
    held = json.loads(search_arms.FILE.read_text())
    keys = [key for key in search_arms.EVERY if "/".join(key) in held]
    assert {"/".join(key) for key in keys} == {*held} - {search.RECIPES} == {*held[search.RECIPES]["changes"]}
    search.check_recipes(search_arms.FILE, held, search_arms.wanted(keys, search_arms.FIRST))


def test_every_trial_is_shown_and_the_best_of_both_seeds_wins() -> None:
    """Catches: a winner by one lucky seed; a mean over another's runs."""

    def run(seed: int, score: float) -> dict[str, Any]:
        return {"seed": seed, **dict.fromkeys(search_arms.SCORES, score)}

    results = {
        "vjepa/as it is/today": [run(100, 0.5), run(101, 0.5)],
        "vjepa/lr / 2/today": [run(100, 0.6), run(101, 0.2)],
        "vjepa/lr * 2/today": [run(100, 0.4)],
    }
    lines = search_arms.trials_table(results).splitlines()[2:]
    assert [line.split(" | ")[2:5] for line in lines] == [
        ["as it is", "100, 101", "**0.500**"],
        ["lr / 2", "100, 101", "0.400"],
        ["lr * 2", "100", "0.400"],
    ]


# --- results/matrix.py ---


@pytest.fixture
def experiments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """matrix.py with an empty results folder, and arms that the test may add."""
    monkeypatch.setattr(matrix, "FOLDER", tmp_path / "results")
    monkeypatch.setattr(matrix, "RUNS", tmp_path / "runs")
    monkeypatch.setattr(matrix, "VARIANTS", dict(VARIANTS))
    (tmp_path / "results").mkdir()
    return tmp_path


def test_tuned_arms_join_their_own_experiments_only(experiments: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: the experiment `variants` that also trains the winners of the search."""
    monkeypatch.setattr(matrix, "best", lambda *_, **__: [("vjepa", "as it is", "new")])
    monkeypatch.setattr(matrix, "read_json", lambda file: {})
    matrix.add_tuned_arms()
    assert "vjepa-for-new" in matrix.VARIANTS
    words = matrix.EXPERIMENTS["variants"].split()
    assert words[words.index("--arms") + 1].split(",") == [*VARIANTS]


def test_an_experiment_waits_for_the_search_that_finds_its_arms(experiments: Path) -> None:
    """Catches: hours of training before "unknown arm"."""
    matrix.check_arms(["plan-today", "matrix", "variants"])
    with pytest.raises(SystemExit, match=r"plan-new-tuned needs vjepa-for-new, .*; run python results/search_arms.py"):
        matrix.check_arms(["plan-today", "plan-new-tuned"])


def kept_results(arms: dict[str, list[int]], config: Config) -> dict[str, Any]:
    """A results.json as far as restore reads it."""
    seeds = sorted({seed for each in arms.values() for seed in each})
    return {
        "preset": "tiny",
        "config": to_dict(config),
        "changes": {arm: changed_fields(config, matrix.with_arm(config, arm)) for arm in arms},
        "controls": {},
        "raw_pixels": [],
        "untrained": [{"seed": seed} for seed in seeds],
        "arms": {arm: [{"seed": seed} for seed in each] for arm, each in arms.items()},
    }


def test_kept_runs_of_an_arm_that_was_another_one_are_refused(
    experiments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: old results laid under today's definition of an arm."""
    kept, config = experiments / "kept.json", replace(PRESETS["tiny"], masks=("tube",))
    kept.write_text(json.dumps(kept_results({"vjepa": [0], "squared-error": [0, 3]}, config)))
    matrix.restore(experiments / "first", kept)
    jobs = {job.folder.name: job for job in plan_jobs(["squared-error"], [3], config, experiments / "first")}
    Run(experiments / "first" / "runs" / "squared-error-3").check_same(jobs["squared-error-3"].config, "digits")
    monkeypatch.setitem(VARIANTS, "squared-error", {"lr": 9.0})
    with pytest.raises(SystemExit, match=r"other runs of squared-error \(.*lr: 0.\d+ saved, 9.0 given"):
        matrix.restore(experiments / "second", kept)
    old = kept_results({"squared-error": [0]}, config)
    del old["changes"]
    kept.write_text(json.dumps(old))
    matrix.restore(experiments / "third", kept)  # an older file doesn't tell


def test_a_teacher_is_trained_again_where_its_pupils_are_missing(experiments: Path) -> None:
    """Catches: a pupil that waits for the weights of a run of which results/ holds only the numbers."""
    file = experiments / "results" / "matrix.json"
    file.write_text(json.dumps(kept_results({"vjepa": [10, 11], "frozen": [10, 11]}, PRESETS["tiny"])))
    (experiments / "results" / "variants.json").write_text(
        json.dumps(kept_results({"generation-2": [10], "generation-3": [10]}, PRESETS["tiny"]))
    )
    again = matrix.to_train_again(["matrix", "variants"])
    assert ("matrix", "frozen", 11) in again
    assert ("matrix", "generation-2", 11) in again
    assert ("matrix", "frozen", 10) not in again
    assert matrix.to_train_again(["matrix"]) == set()
    matrix.restore(experiments / "runs" / "matrix", file, again)
    laid = {folder.name for folder in (experiments / "runs" / "matrix" / "runs").iterdir()}
    assert {"vjepa-11", "frozen-10"} <= laid
    assert "frozen-11" not in laid
