"""Tables and pictures of world models say what their results say; the ablation runs what it names."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pages as results
import pytest
import torch
import world_ablation as ablation
from page_figures import loss_against_probe, success_rates
from page_tables import heuristics_table, variant_table, world_pairs_table, world_table

from minivjepa.evaluation.statistics import mcnemar, paired
from minivjepa.training.config import from_dict
from minivjepa.training.recipe import build_model
from minivjepa.world.base_world import displayable
from minivjepa.world.comparison import rates_of
from minivjepa.world.goal_reaching import Outcome
from minivjepa.world.rooms import Rooms
from minivjepa.world.world_recipe import PRETRAINING, WorldConfig, build_frozen, build_lewm, pretraining
from minivjepa.world.world_trainer import WorldNet, position_r2
from minivjepa_course.pictures.clouds import by_angle, clouds_pushed, folding, seed_dots, shadow, strength, tug
from minivjepa_course.pictures.films import HELD
from minivjepa_course.pictures.goal_maps import (
    distance_maps,
    planning_rounds,
    rollout_errors,
    success_against_time,
    success_dots,
    ways,
)
from minivjepa_course.pictures.room_films import robots_in_motion, strips


def judged(door: int, room: int, **more: Any) -> dict[str, Any]:
    """Results of 20 pairs, of which some were reached."""
    reached = torch.tensor([k < door for k in range(10)] + [k < room for k in range(10)])
    through = torch.arange(20) < 10
    return {"seconds": 12.0, **rates_of(Outcome(torch.zeros(20, 3, 2), torch.zeros(20, 2), reached, through)), **more}


RESULTS = {
    "task": {"pairs": 20, "steps": 2},
    "random": judged(0, 2),
    "straight": judged(5, 10),
    "oracle": judged(10, 10),
    "models": [judged(8, 10, model="lewm", seed=3, position_r2=0.987, training_seconds=61.0)],
}


def test_the_world_table_and_picture_say_what_was_counted() -> None:
    """Catches: door and room exchanged, an interval of another row, a model without its seed."""
    table = world_table(RESULTS)
    assert (
        "| lewm, seed 3 | 90.0 % (69.9 to 97.2) | 80.0 % (49.0 to 94.3) | 100.0 % (72.2 to 100.0) | 0.987 | 61 | 12 |"
        in table
    )
    assert "| random actions | 10.0 % (2.8 to 30.1) | 0.0 %" in table
    assert "| straight to the goal | 75.0 %" in table
    picture = success_rates(RESULTS)
    assert "LeWorldModel, seed 3: 90.0 % (69.9 to 97.2)" in picture.alt
    assert "within 2 steps, over 20 start-goal pairs" in picture.caption
    assert picture.png()


def test_two_models_are_compared_on_the_pairs_that_only_one_reached() -> None:
    """Catches: the two counts exchanged, a seed's pairs beside another's, a p-value of shares instead of pairs."""
    models = [judged(door, 10, model=name, seed=seed) for seed, name, door in
              ((3, "lewm", 8), (4, "lewm", 10), (3, "vjepa", 2), (4, "vjepa", 2))]  # fmt: skip
    table = world_pairs_table({**RESULTS, "models": models})
    assert "| seed 3 | seed 4 |" in table
    assert (
        "| lewm and vjepa | 6 and 0, p = 0.031 | 8 and 0, p = 0.008 | +0.350 (-0.285 to +0.985), undecided |" in table
    )
    assert "| vjepa and straight | 0 and 3, p = 0.250 | 0 and 3, p = 0.250 |  |" in table


def test_ablation_tables_show_means_ranges_and_paired_differences() -> None:
    """Catches: an interval beyond what a rate can be; rows of one name not put together; seeds paired in their order in the file."""
    found = {"feature_std": 1.0, "effective_rank": 11.0, "success": 0.25}
    rows = [
        {"name": name, "seed": seed, "loss": loss, "position_r2": r2, **found}
        for name, seed, loss, r2 in (("default", 1, 1.0, 0.5), ("default", 2, 3.0, 0.9), ("other", 2, 1.0, 1.0), ("other", 1, 1.0, 0.6))
    ]  # fmt: skip
    table = variant_table({"variants": rows})
    assert (
        "| default | 2.000 (1.000 to 3.000) | 1.000 (1.000 to 1.000) | 11.0 (11.0 to 11.0) | 0.700 (0.500 to 0.900) |"
        in table
    )
    assert table.splitlines()[2].endswith("| 0.250 (0.250 to 0.250) |  |")
    assert table.splitlines()[3].endswith("| +0.100 (+0.100 to +0.100), above |")
    seeds = [
        {"seed": seed, "name": "none of them", "weight": 0.1, "feature_std": 0.5, "effective_rank": None}
        for seed in (1, 2)
    ]
    untrained, changed = ([{**row, "position_r2": r2} for row in seeds] for r2 in (0.5, 0.25))
    table = heuristics_table({"heuristics": changed, "untrained": untrained})
    assert (
        "| none of them | 0.1 | 0.500 (0.500 to 0.500) |  |  | 0.250 (0.250 to 0.250) |  | -0.250 (-0.250 to -0.250), below |"
        in table
    )


def test_pictures_of_worlds_have_words() -> None:
    """Catches: a picture that says nothing to people who cannot see it; a count that is off by one."""
    frames = displayable(Rooms().render(torch.tensor([[0.2, 0.2], [0.2, 0.3]]), 32, 32))
    assert 0 <= float(frames.min()) <= float(frames.max()) <= 1
    near = torch.tensor([[0.2, 0.2], [0.2, 0.35], [0.2, 0.5]])
    film = robots_in_motion(Rooms(), {"A": near, "B": near[:2]}, near[2], 0.08, {"A": [near]})
    assert "A reaches it, 2 steps; B misses it, 1 steps" in film.alt
    assert len(film.frames) == len(near) + HELD
    assert (film.frames[0] != film.frames[1]).any()
    assert (film.frames[2] == film.frames[-1]).all()
    assert "a clip, 2 pictures each: start; goal" in strips({"a clip": list(frames)}, ["start", "goal"]).alt
    ranking = [{"weight": w, "loss": loss, "position_r2": loss / 9} for w in (0.0, 0.1) for loss in (1.0, 2.0, 3.0)]
    picture = loss_against_probe({"ranking": ranking, "spearman": {"0.0": [-1, -1, -1], "0.1": [0.5, 0.1, 0.9]}})
    assert "lambda 0.1, 3 runs: rank correlation 0.50 (0.10 to 0.90)" in picture.caption
    assert picture.png()


def test_pictures_of_clouds_say_what_was_drawn() -> None:
    """Catches: a shadow on the wrong line, a gap to the wrong curve, the first moment taken for the last, axes exchanged."""
    line, point = torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), torch.zeros(2, 2)
    assert (
        "of the shadow: 1.00. Largest gap between the blue curve and the gray one: 1.00."
        in shadow("line", line, 0).caption
    )
    assert (
        "of the shadow: 0.00. Largest gap between the blue curve and the gray one: 0.99."
        in shadow("line", line, 90).caption
    )
    path = [(0, point), (5, line)]
    film = clouds_pushed({"point": path})
    assert "move for 5 steps" in film.caption
    assert "at the end: point 0.50." in film.caption
    assert film.frames.shape[0] > len(path)
    assert "point 1.0 to 2.0." in by_angle([0, 90], {"point": [1.0, 2.0]}).caption
    assert (
        "at a standard deviation of 0.1: SIGReg 0.2." in strength([0.1, 0.5, 2.0], {"SIGReg": [1.0, 5.0, 50.0]}).caption
    )
    pulled = tug(path, [0.1, 0.5], {"push": [1.0, 2.0]}, "a test")
    assert "a test: the standard deviation goes from 0.000 to 0.500 in 5 steps" in pulled.alt
    folded = folding([1.0, 2.0], [30.0, 1.5], {"linear probe": [0.9, 0.1]}, 16)
    assert "into 16 numbers" in folded.caption
    assert "from 30.0 to 1.5; linear probe from 0.90 to 0.10" in folded.alt
    rows = {"default": ([0.9, 0.8], [0.7, 0.6]), "lambda 0": ([0.01, 0.02], [0.3, 0.2])}
    runs = seed_dots(
        {"LeWorldModel": rows, "other": rows}, {"LeWorldModel": {"lambda 0": "below"}, "other": {}}, "the default's"
    )
    assert "LeWorldModel, default: 0.60 to 0.70; LeWorldModel, lambda 0: 0.20 to 0.30 below; other, default" in runs.alt
    assert "other, lambda 0: 0.20 to 0.30." in runs.alt
    assert "compare R² with the default's" in runs.caption
    for made in (pulled, folded, runs):
        assert made.png()


def test_pictures_of_goals_count_what_they_show() -> None:
    """Catches: plans that pass the goal miscounted, a control taken for a model, rows and columns of a map exchanged."""
    frame, goal = displayable(Rooms().render(torch.tensor([0.2, 0.2]), 16, 16)), torch.tensor([0.2, 0.8])
    near, away = torch.tensor([[0.5, 0.5], [0.2, 0.75]]), torch.tensor([[0.5, 0.5], [0.8, 0.2]])
    plans = torch.stack([near, away, away])
    rounds = planning_rounds(frame, goal, [(plans, plans[:1]), (plans[:1], plans[:1])], 0.08)
    assert "1 of 3 in round 1, 1 of 1 in round 2" in rounds.alt
    side = torch.full((10, 10), 3.0)
    side[2, 7], side[0, 0] = 1.0, torch.nan
    pointing = distance_maps({"mine": side}, torch.tensor([0.25, 0.75]), 0.08)
    assert "the goal at 0.75 from the left and 0.25 from the top" in pointing.alt
    assert "mine: least 0.00 from the goal" in pointing.alt
    dots = success_dots({"a": [0.5, 0.75], "b": [1.0]}, {"random": 0.125})
    assert "a 0.5, 0.75; b 1. Controls: random 0.125" in dots.alt
    times = success_against_time({"search": {"a": (12.0, 0.5)}, "reflex": {"a": (0.5, 0.25), "b": (0.5, 1.0)}})
    assert "search, a: 12 ms, 0.50; reflex, a: 0.5 ms, 0.25; reflex, b: 0.5 ms, 1.00" in times.alt
    way = ways([frame], ["pair 7"], [{"the way": near}], [goal])
    assert "the way, the goal drawn in. From left to right: pair 7" in way.alt
    errors = rollout_errors({"model": [0.1, 0.25]}, 0.08)
    assert "model: 0.10 after one step, 0.25 at the end" in errors.caption
    film_strips = strips({"imagined": [frame, frame], "true": [frame, frame]}, ["start", "step 1"])
    assert "imagined above true" in film_strips.caption
    for made in (rounds, pointing, dots, times, way, errors, film_strips):
        assert len(made.alt) >= 40
        assert len(made.caption) >= 40
        assert made.png()


def position_known(saved: dict[str, Any], config: WorldConfig) -> float:
    """How well the kept weights of a model know the robot's position."""
    if "model" in saved:
        model: WorldNet = build_lewm(config)
        model.load_state_dict(saved["model"])
    else:
        vjepa = build_model(pretraining(config))
        vjepa.encoder.load_state_dict(saved["encoder"])
        model = build_frozen(config, vjepa.encoder)
    return position_r2(model, config.scene, config.size, torch.device("cpu"))


@pytest.mark.parametrize("name", ["vjepa", "lewm"])
def test_the_kept_models_are_those_that_the_stored_results_describe(name: str) -> None:
    """Catches: weights on the shelf that are not of the runs that lesson 12 says they are."""
    saved = torch.load(results.FOLDER / "world.pt", weights_only=True)[name]
    [row] = [row for row in results.load()["world"]["models"] if row["model"] == name]
    config = from_dict(WorldConfig, row["config"])
    assert from_dict(WorldConfig, saved["config"]) == config
    assert position_known(saved, config) == pytest.approx(row["position_r2"], abs=0.005)


@pytest.mark.parametrize(("name", "encoder"), [("vjepa", "vjepa, default"), ("lewm", "lewm")])
def test_the_kept_models_of_the_lamps_are_those_that_the_stored_results_describe(name: str, encoder: str) -> None:
    """Catches: lesson 12 training inverse dynamics on other weights than those of the first rows."""
    saved = torch.load(results.FOLDER / "worlds.pt", weights_only=True)[name]
    stored = results.load()["worlds"]
    config = from_dict(WorldConfig, saved["config"])
    assert config == replace(from_dict(WorldConfig, stored["settings"][f"rooms-lamps, {encoder}"]), seed=10)
    key = {"world": "rooms-lamps", "planner": "inverse dynamics", "encoder": encoder, "seed": 10}
    [row] = [row for row in stored["rows"] if all(row[name] == value for name, value in key.items())]
    assert position_known(saved, config) == pytest.approx(row["position_r2"], abs=0.005)


def test_rank_correlation_is_spearmans_with_an_interval() -> None:
    """Catches: the sign of the loss, Pearson's correlation, an interval that does not hold its middle."""
    losses = [float(k) for k in range(1, 21)]
    middle, low, high = ablation.rank_correlation(losses, [np.exp(-k) for k in losses])
    assert middle == pytest.approx(1.0)
    assert low == pytest.approx(1.0)
    noisy = list(np.random.default_rng(1).normal(size=20))
    middle, low, high = ablation.rank_correlation(losses, noisy)
    assert low < middle < high
    assert low < 0 < high


def test_the_ablation_names_every_run_once_and_options_are_drawn_by_number() -> None:
    """Catches: a run that is counted twice or resumed as another; options that depend on how many are drawn."""
    found = ablation.experiments((10, 11, 12))
    for rows in found.values():
        keys = [tuple(key.items()) for key, _ in rows]
        assert len(set(keys)) == len(keys)
    assert len(found["ranking"]) == 2 * ablation.RUNS
    assert ablation.random_options(3) == ablation.random_options(3) != ablation.random_options(4)
    assert {key["name"] for key, _ in found["variants"]} == {ablation.UNTRAINED, *ablation.LEWM_CHANGES}


def test_the_ablation_resumes_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: its own results refused as those of other settings; a finished run that is done again."""
    done: list[int] = []

    def job(number: int) -> dict[str, float]:
        done.append(number)
        if len(done) == 4:
            raise KeyboardInterrupt
        return {"loss": number, "position_r2": -number}

    rows = [({"number": k, "weight": 0.1}, partial(job, k)) for k in range(6)]
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(ablation, "FILE", tmp_path / "kept.json")
    monkeypatch.setattr(ablation, "experiments", lambda seeds: {"ranking": rows})
    with pytest.raises(KeyboardInterrupt):
        ablation.main()
    ablation.main()
    assert done == [0, 1, 2, 3, 3, 4, 5]
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert kept["complete"]
    assert kept["spearman"]["0.1"] == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.slow
def test_a_run_of_each_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: an experiment that fails after an hour; SIGReg that does nothing when it is added to V-JEPA."""
    small = {"dim": 16, "depth": 1, "predictor_dim": 16, "batch": 8}
    monkeypatch.setattr(ablation, "BASE", replace(ablation.BASE, steps=5, latent=8, directions=8, hidden=16, **small))
    monkeypatch.setattr(ablation, "PAIRS", replace(ablation.PAIRS, pairs=4, steps=2))
    monkeypatch.setattr(ablation, "CLIPS", replace(PRETRAINING, steps=5, monitor_clips=16, **{**small, "heads": 2}))
    monkeypatch.setattr(ablation, "PROBED", (320, 160))
    variant = ablation.run_lewm("lambda 0", 10)
    assert variant["second_loss"] == 0.0
    assert 0 <= variant["success"] <= 1
    stds = {}
    for name in ("all three", "without EMA", "without mask", "none of them"):
        for weight in (0.0, 0.1):
            found = ablation.run_heuristics(name, weight, 10)
            assert ("target_feature_std" in found) == (name in ("all three", "without mask"))
            stds[name, weight] = found["feature_std"]
    assert all(stds[name, 0.0] != stds[name, 0.1] for name, _ in stds)
    assert ablation.run_random(2, 0.1, 10)["options"] == ablation.random_options(2)


def test_what_is_said_of_collapse_in_world_models_is_so() -> None:
    """Catches: a sentence of results/README.md that outlives its numbers."""
    stored = results.load()["world_ablation"]

    def of(rows: str, key: str, **wanted: Any) -> dict[int, float]:
        return {
            row["seed"]: row[key] for row in stored[rows] if all(row[name] == value for name, value in wanted.items())
        }

    model = {row["seed"]: row["position_r2"] for row in stored["variants"] if row["name"] == "untrained"}
    for name in ("lambda 0", "lambda .001"):
        assert max(of("variants", "feature_std", name=name).values()) < 0.03
        assert paired(of("variants", "position_r2", name=name), model).answer == "undecided"
    assert min(of("variants", "position_r2", name="default").values()) > 0.99
    assert mean(of("variants", "success", name="default").values()) > 0.99
    untrained = of("untrained", "position_r2")
    assert f"{mean(of('untrained', 'feature_std').values()):.3f}" == "0.176"
    names = {row["name"] for row in stored["heuristics"]}
    assert len(names) == 5
    for name in names:
        assert mean(of("heuristics", "feature_std", name=name, weight=0.0).values()) < 0.0615
        assert paired(of("heuristics", "position_r2", name=name, weight=0.0), untrained).answer == "undecided"
        assert paired(of("heuristics", "position_r2", name=name, weight=0.1), untrained).answer == "below"


def test_what_is_said_of_reaching_goals_is_so() -> None:
    """Catches: a goal of the project that the recorded run does not reach, a sentence that outlives its numbers."""
    world = results.load()["world"]
    rates = {row["model"]: row for row in world["models"]}
    task = world["task"]
    assert (task["pairs"], task["radius"], task["steps"]) == (200, 0.08, 25)
    assert world["oracle"]["door"]["trials"] == 100
    assert world["oracle"]["all"]["success"] >= 0.98
    assert min(rates[name]["all"]["success"] for name in ("lewm", "vjepa")) >= 0.90
    assert rates["untrained"]["all"]["success"] >= 0.85  # enough to plan with
    assert world["random"]["all"]["high"] < min(row["all"]["low"] for row in rates.values())
    for row in rates.values():  # it is the door that costs goals
        assert row["room"]["hits"] >= row["door"]["hits"]
    several = results.load()["world_seeds"]
    trained = {name: {row["seed"]: row for row in several["models"] if row["model"] == name} for name in rates}
    shares = {name: {seed: row["all"]["success"] for seed, row in rows.items()} for name, rows in trained.items()}
    assert paired(shares["vjepa"], shares["untrained"]).answer == "undecided"
    assert paired(shares["lewm"], shares["untrained"]).answer == "above"
    p = {
        seed: mcnemar(trained["vjepa"][seed]["reached"], trained["untrained"][seed]["reached"]) for seed in (10, 11, 12)
    }
    assert [seed for seed in p if p[seed] < 0.05] == [10]
    assert [seed for seed in p if shares["vjepa"][seed] > shares["untrained"][seed]] == [10]
    straight = several["straight"]
    for row in several["models"]:
        assert row["all"]["hits"] > straight["all"]["hits"]
        assert mcnemar(row["reached"], straight["reached"]) < 0.05
    assert several["straight"]["room"]["success"] == 1.0
    for row in world["models"]:  # what was run alone and what was run beside others agree
        assert row["reached"] in [other["reached"] for other in several["models"]]
    trials = results.load()["world_search"]["trials"]
    assert world["task"]["seed"] != 30_000_000  # pairs of the search
    best = max(trials, key=lambda trial: trial["models"]["lewm"]["door"])
    assert best["cost"].startswith("nearest step")
    assert best["horizon"] == world["planner"]["horizon"]
