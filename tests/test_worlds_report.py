"""What results/worlds.py measures and docs/worlds.md says of it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pages
import pytest
import rows
import torch
import worlds as script
import worlds_pictures
import worlds_recipes
import worlds_silent
import worlds_tables as tables

from minivjepa.evaluation.statistics import mcnemar
from minivjepa.training.recipe import build_model
from minivjepa.tubelets import Grid
from minivjepa.world.goal_reaching import Task, random_policy
from minivjepa.world.rooms import Rooms
from minivjepa.world.world_clips import WorldClips
from minivjepa.world.world_recipe import WorldConfig


def rows_of(*shares: list[int]) -> list[dict[str, Any]]:
    return [{"seed": 10 + number, "reached": reached} for number, reached in enumerate(shares)]


def test_an_encoder_is_above_a_control_only_if_every_training_is() -> None:
    """Catches: a lucky training that carries two others, a difference with the wrong sign, pairs compared with other pairs."""
    low, high = [0] * 40, [1] * 30 + [0] * 10
    middle, bottom, top, verdict = tables.compared(rows_of(high, high), rows_of(low, low))
    assert (middle, verdict) == (75.0, "above")
    assert bottom < 75 < top
    assert tables.compared(rows_of(low, low), rows_of(high, high))[3] == "below"
    one_unlucky = tables.compared(rows_of(high, high, low), rows_of(low, low, [1, *low[1:]]))
    assert one_unlucky[1] > 0
    assert one_unlucky[3] == "undecided"
    assert tables.compared(rows_of(low, low), rows_of(low, low)) == (0.0, 0.0, 0.0, "undecided")
    assert tables.compared(rows_of([1] * 40), rows_of(low)) == (100.0, 100.0, 100.0, "above")
    half = [1, 0] * 20
    assert tables.compared(rows_of(half), rows_of(half[::-1]))[3] == "undecided"


def test_a_decision_is_counted_once_for_each_robot_under_way_and_its_memory_at_its_peak() -> None:
    """Catches: milliseconds for a step of all robots, memory added up though it was freed."""
    found = script.score(random_policy(0), Rooms(), Task(pairs=6, steps=4))
    assert len(found["reached"]) == 6
    assert found["success"] == sum(found["reached"]) / 6
    assert 0 < found["milliseconds"] < found["milliseconds_alone"]

    def job() -> None:
        for _ in range(5):
            torch.zeros(1024, 1024).add_(1)  # 4 MiB, freed before the next

    assert 4 * 2**20 <= script.peak_memory(job) < 5 * 2**20


def test_actions_that_a_model_is_not_told_still_move_the_robot() -> None:
    """Catches: a control that is told the actions, or whose robot doesn't move."""
    config = script.config_of("rooms-lamps", "lewm, no actions", 10)
    index = torch.arange(3)
    clip, journey = script.clips_of(config, "lewm, no actions").batch(0, index)
    known, told = script.clips_of(config, "lewm").batch(0, index)
    assert torch.equal(clip, known)
    assert not journey.actions.any()
    assert told.actions.all()


def test_every_kind_of_row_is_computed_and_a_second_run_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: an encoder that isn't the trained one, a row without what the page's tables read."""
    real = script.config_of

    def short(world: str, encoder: str, seed: int) -> WorldConfig:
        config = real(world, encoder, seed)
        pretraining = replace(config.pretraining, steps=2, batch=2)
        return replace(config, latent=8, steps=2, batch=4, pretraining=pretraining)

    monkeypatch.setattr(script, "config_of", short)
    monkeypatch.setattr(script, "RUNS", tmp_path)
    monkeypatch.setattr(script, "INVERSE", replace(script.INVERSE, clips=8, frames=3, steps=2))
    monkeypatch.setattr(script, "PLANNERS", {"cem": script.CEM(horizon=2, samples=4, elites=2, rounds=1)})
    monkeypatch.setitem(script.TASKS, "rooms-lamps", replace(script.TASKS["rooms-lamps"], pairs=2, steps=2))
    monkeypatch.setattr(worlds_silent, "STEPS", (1, 2))
    monkeypatch.setattr(worlds_silent, "PAIRS", 2)
    script.model_of.cache_clear()
    found = [script.run_inverse("rooms-lamps", "vjepa, 128", 10), script.run_planner("rooms-lamps", "lewm", 10, "cem")]
    found += [script.run_landscape("rooms-lamps", "vjepa, 128", 10), script.run_longer("rooms-lamps", "vjepa, 128", 10)]
    assert {"position_r2", "lamps_r2", "inverse_loss", "inverse_error", "success", "milliseconds"} <= set(found[0])
    assert {"success", "reached", "milliseconds", "milliseconds_alone", "mebibytes"} <= set(found[1])
    assert len(found[2]["latent"]) == len(found[2]["walking"]) == worlds_silent.SIDE**2
    assert [part["steps"] for part in found[3]["curve"]] == [1, 2]
    config, model = script.model_of("rooms-lamps", "vjepa, 128", 10, False)
    trained = torch.load(tmp_path / "rooms-lamps" / "vjepa-10-encoder" / "checkpoint.pt", weights_only=True)
    assert trained["step"] == 2
    untrained = script.build_world(config).encoder.state_dict()
    assert any(not torch.equal(value, untrained[name]) for name, value in model.encoder.state_dict().items())
    script.model_of.cache_clear()
    monkeypatch.setattr(script.Trainer, "train_step", None)  # no second training
    monkeypatch.setattr(script.WorldTrainer, "train_step", None)
    again = script.run_planner("rooms-lamps", "lewm", 10, "cem")
    assert again["reached"] == found[1]["reached"]
    script.model_of.cache_clear()


def test_curves_grow_with_budget_and_radius_and_hold_the_tasks_own_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: rows and columns swapped, the nearest approach after the budget, a radius that ends the walk for all."""
    task = Task(pairs=40)
    monkeypatch.setitem(script.TASKS, "rooms", task)
    found = torch.tensor(script.run_floor_curves("rooms", "straight")["table"])  # [radii, budgets]
    assert (found.diff(dim=0) >= 0).all()
    assert (found.diff(dim=1) >= 0).all()
    own = found[script.RADII.index(task.radius), script.BUDGETS.index(task.steps)]
    assert own == pytest.approx(script.run_floor("rooms", "straight")["success"])


def test_jobs_are_identified_by_their_keys_and_what_is_cheap_comes_first() -> None:
    """Catches: two jobs with one key, of which a resumed run would skip the second."""
    jobs = [job for world in ("rooms-busy", "maze") for job in script.jobs(world)]
    keys = [(kind, *sorted(key.items())) for kind, key, _ in jobs]
    assert len(set(keys)) == len(keys)
    planners = [key["planner"] for kind, key, _ in jobs if kind == "rows" and key["world"] == "maze"]
    assert planners == sorted(planners, key=["inverse dynamics", *script.PLANNERS].index)
    assert sum(kind == "rows" for kind, _, _ in jobs) == 2 * 3 * len(script.ENCODERS) * 3


def test_a_stopped_comparison_goes_on_and_one_with_other_settings_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches: rows computed twice, results of two recipes in one file."""
    done: list[str] = []

    def run(name: str) -> dict[str, Any]:
        if name == "b" and not done.count("stop"):
            done.append("stop")
            raise KeyboardInterrupt
        done.append(name)
        return {"success": 1.0}

    monkeypatch.setattr(script, "FILE", tmp_path / "worlds.json")
    monkeypatch.setattr(script.sys, "argv", ["worlds.py", "rooms"])
    monkeypatch.setattr(script, "jobs", lambda world: [("rows", {"name": name}, partial(run, name)) for name in "abc"])
    with pytest.raises(KeyboardInterrupt):
        script.main()
    script.main()
    assert done == ["a", "stop", "b", "c"]
    monkeypatch.setattr(script, "PLANNERS", {"cem": script.CEM(rounds=2)})
    with pytest.raises(SystemExit, match="made with other settings of cem"):
        script.main()
    monkeypatch.setattr(script.sys, "argv", ["worlds.py", "room"])
    with pytest.raises(SystemExit, match="unknown worlds room"):
        script.main()


def test_rows_of_two_jobs_at_a_time_are_all_kept(tmp_path: Path) -> None:
    """Catches: a row that another process has just added, and that is written over."""
    file = tmp_path / "worlds.json"
    rows.begin(file, {"inverse": script.INVERSE})
    jobs = [[("rows", {"who": who, "number": n}, dict) for n in range(30)] for who in "ab"]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(partial(rows.run_missing, file), jobs))
    assert len(rows.read_json(file)["rows"]) == 60


def test_a_row_that_another_process_added_meanwhile_is_not_added_again(tmp_path: Path) -> None:
    """Catches: a training that counts twice."""
    file = tmp_path / "worlds.json"
    rows.begin(file, {"inverse": script.INVERSE})

    def slow() -> dict[str, Any]:
        rows.run_missing(file, [("rows", {"who": "a"}, lambda: {"success": 0.5})])
        return {"success": 0.5}

    rows.run_missing(file, [("rows", {"who": "a"}, slow)])
    assert len(rows.read_json(file)["rows"]) == 1
    kinds = ("floors", "curves", "horizons", "rows", "landscapes", "longer")
    names = ("world", "planner", "encoder", "seed", "horizon")
    for kind in kinds:
        keys = [tuple(row.get(name) for name in names) for row in pages.load()["worlds"].get(kind, [])]
        assert len(set(keys)) == len(keys)


def test_what_is_not_measured_is_an_empty_cell_and_rows_come_in_our_order() -> None:
    """Catches: a page that seems complete, numbers in another planner's column, trainings in the order in which they ended."""
    wanted = [
        ("cem", "raw, 128", 10, 0.25),
        ("cem", "lewm", 11, 1),
        ("cem", "lewm", 10, 0.5),
        ("gradient", "lewm", 10, 0),
    ]
    made = [
        {"world": "maze", "planner": planner, "encoder": name, "seed": seed, "success": success}
        for planner, name, seed, success in wanted
    ]
    text = tables.rates_tables({"rows": made})
    assert text.endswith("| lewm |  | 0.0 (0.0) | 75.0 (50.0, 100.0) |\n| raw, 128 |  |  | 25.0 (25.0) |")
    places = [text.index(f"`{world}`") for world in script.WORLDS]
    assert places == sorted(places)


def test_the_oracle_needs_no_more_than_two_steps_ahead() -> None:
    """Catches: a sentence that outlives its numbers."""
    found = {(row["world"], row["horizon"]): row["success"] for row in pages.load()["worlds"]["horizons"]}
    assert found == dict.fromkeys(product(script.WORLDS, script.HORIZONS), 1.0)


def test_random_actions_are_drawn_for_every_radius_and_the_others_for_the_tasks_own() -> None:
    """Catches: rows and columns of a table swapped, the curve of another world or radius."""
    results = pages.load()["worlds"]
    figure = worlds_pictures.floors_picture(results).figure
    for ax, (world, task) in zip(figure.axes, script.TASKS.items()):
        found = {row["planner"]: row["table"] for row in results["curves"] if row["world"] == world}
        drawn = [line.get_ydata() for line in ax.lines[: len(script.RADII) + 2]]
        own = script.RADII.index(task.radius)
        expected = np.array([*found["random"], found["straight"][own], found["oracle"][own]])
        np.testing.assert_allclose(np.array(drawn), 100 * expected, rtol=1e-6)
        assert ax.lines[-1].get_xdata()[0] == task.steps


def test_places_of_a_landscape_are_drawn_by_rank_and_where_they_are() -> None:
    """Catches: x and y swapped, distances of two encoders on two scales, a map of another world."""
    assert worlds_pictures.ranks([30.0, 10.0, 20.0]).tolist() == [1.0, 0.0, 0.5]
    results = pages.load()["worlds"]
    picture = worlds_pictures.landscape_picture(results, pages.LANDSCAPES)
    row = next(r for r in results["landscapes"] if (r["world"], r["encoder"]) == ("maze", "lewm"))
    on_foot = picture.figure.axes[6]  # second row, second column
    places = torch.tensor([row["x"], row["y"]], dtype=torch.float64).T
    torch.testing.assert_close(torch.from_numpy(on_foot.collections[0].get_offsets().data), places)
    assert on_foot.collections[0].get_array().tolist() == worlds_pictures.ranks(row["walking"]).tolist()
    assert f"maze: lewm {row['rank_with_walking']:.2f}" in picture.alt


def test_what_the_pages_say_of_the_lamps_is_so() -> None:
    """Catches: a sentence that outlives its numbers, in README.md, docs/worlds.md and lesson 12."""
    rows = [
        row
        for row in pages.load()["worlds"]["rows"]
        if (row["world"], row["planner"]) == ("rooms-lamps", "inverse dynamics")
    ]
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["seed"]):
        found.setdefault(row["encoder"], []).append(row)
    assert set(found) == {*script.ENCODERS, *script.LAMPS_ONLY}
    assert all([row["seed"] for row in each] == [10, 11, 12] for each in found.values())
    wide = [row for name in ("untrained", "raw", "vjepa", "pixel-target") for row in found[f"{name}, 128"]]
    for name in {name for name in found if not name.startswith("lewm")}:
        assert tables.compared(found["lewm"], found[name])[3] == "above"
        assert all(mcnemar(a["reached"], b["reached"]) < 0.001 for a, b in zip(found["lewm"], found[name]))
    assert tables.compared(found["vjepa, 128"], found["raw, 128"])[3] == "below"
    assert tables.compared(found["vjepa, 128"], found["untrained, 128"])[3] != "above"
    default = found["vjepa, default"]
    assert tables.compared(default, found["untrained, 128"])[3] == "above"
    assert tables.compared(default, found["raw, 128"])[3] == "below"
    assert tables.compared(default, found["pixel-target, 128"])[3] != "above"  # lesson 12: no lead is shown
    assert all(a["success"] > b["success"] for a, b in zip(default, found["vjepa, 128"]))
    assert [row["success"] for row in found["vjepa, 128"]] == pytest.approx([0.055, 0.115, 0.28])
    assert min(row["position_r2"] for row in (*wide, *found["lewm"])) > 0.8
    assert max(row["lamps_r2"] for row in found["lewm"]) < 0.1 < 0.9 < min(row["lamps_r2"] for row in wide)
    assert max(row[name] for row in found["sigreg"] for name in ("lamps_r2", "position_r2")) < 0.5  # it lost both
    actions = (
        WorldClips(Grid(16, 32, 32, 1, 8), script.UNSEEN, world=script.WORLDS["rooms-lamps"])
        .journey(0, torch.arange(300))
        .actions
    )
    assert f"{actions.var():.2f}" == "0.45"
    assert max(row["inverse_error"] for row in found["lewm"]) < 0.35
    assert min(row["inverse_error"] for row in wide) > 0.99 * actions.var()
    means = {
        name: {key: sum(row[key] for row in each) / 3 for key in ("success", "position_r2", "inverse_error")}
        for name, each in found.items()
    }
    assert max(means, key=lambda name: means[name]["success"]) == "lewm"
    assert [f"{means[name]['success']:.3f}" for name in ("lewm", "raw, 128")] == ["0.685", "0.352"]
    assert min(means, key=lambda name: means[name]["inverse_error"]) == "lewm"
    assert means["vjepa, pooled"]["inverse_error"] < means["raw, 128"]["inverse_error"]
    assert means["vjepa, pooled"]["success"] < 0.01
    warned = [f"{means[name]['position_r2']:.2f}" for name in ("vjepa, 128", "untrained, 128")]
    assert warned == ["0.89", "0.93"]


def test_what_the_pages_say_of_leworldmodels_controls_is_so() -> None:
    """Catches: a sentence that outlives its numbers, in README.md, docs/worlds.md and lesson 12."""
    rows = [row for row in pages.load()["worlds"]["rows"] if row["encoder"] in ("lewm, 128", "lewm, no actions")]
    assert len(rows) == 6
    assert max(row["lamps_r2"] for row in rows) < 0.08  # all dropped the lamps
    lost, found = ([row for row in rows if (row["position_r2"] < 0.4) == lost] for lost in (True, False))
    assert len(lost) == len(found) == 3
    assert max(row["success"] for row in lost) < 0.0251
    assert min(row["position_r2"] for row in found) > 0.98
    assert (min(row["success"] for row in found), max(row["success"] for row in found)) == pytest.approx((0.67, 0.86))
    shares = [row["success"] for row in rows if row["encoder"] == "lewm, no actions"]
    assert shares == pytest.approx([0.0, 0.86, 0.67])


def test_what_the_page_says_of_imagining_planners_is_so() -> None:
    """Catches: a sentence that outlives its numbers."""
    rows = [row for row in pages.load()["worlds"]["rows"] if row["world"] == "rooms-lamps"]
    for planner in script.PLANNERS:
        known = {name: each for (_, by, name), each in tables.groups(rows).items() if by == planner}
        assert set(known) == {*script.ENCODERS}
        assert all([row["seed"] for row in each] == [10, 11, 12] for each in known.values())
        lewm = known.pop("lewm")
        assert all(tables.compared(lewm, each)[3] == "above" for each in known.values())
        found = {name: [row["success"] for row in each] for name, each in known.items()}
        for recipe in ("vjepa, default", "vjepa, 128"):
            assert max(found[recipe][:2]) < 0.1451
            assert 0.349 < found[recipe][2] < 0.4101
            assert tables.compared(known[recipe], known["untrained, 128"])[3] == "below"
        assert max(found["vjepa, pooled"]) < 0.06
        assert found["untrained, 128"][2] == max(found["untrained, 128"])


def test_v_jepa_and_the_untrained_encoder_of_a_seed_share_their_first_weights() -> None:
    """Catches: a sentence that outlives the recipes."""
    untrained = script.build_world(script.config_of("rooms-lamps", "untrained, 128", 12)).encoder.state_dict()
    for name in ("vjepa, default", "vjepa, 128"):
        first = build_model(script.pretraining(script.config_of("rooms-lamps", name, 12))).encoder.state_dict()
        assert all(torch.equal(first[key], value) for key, value in untrained.items())


def test_what_the_page_says_of_the_two_recipes_is_so() -> None:
    """Catches: a sentence that outlives its numbers."""
    rows = [row for row in pages.load()["worlds"]["rows"] if row["world"] == "rooms"]
    found = tables.groups(rows)
    default, chosen = ((found["rooms", "cem", name]) for name in ("vjepa, default", "vjepa, 128"))
    assert min(row["success"] for row in default) > 0.949
    assert [min(shares := [row["success"] for row in chosen]), max(shares)] == pytest.approx([0.16, 0.55])
    pixels = sorted(row["success"] for row in found["rooms", "cem", "pixel-target, 128"])
    assert pixels[0] == pytest.approx(0.14)
    assert pixels[1] > 0.9
    masks = {name: worlds_recipes.RECIPES[name].masks for name in ("default", "vjepa", "pixel-target")}
    assert masks == {"default": ("tube",), "vjepa": ("random:0.5",), "pixel-target": ("random:0.5",)}
    for name in ("vjepa, default", "vjepa, 128"):
        known = [row["position_r2"] for row in found["rooms", "inverse dynamics", name]]
        assert min(known) > 0.97


def test_an_average_over_the_picture_is_below_main_directions_in_every_world() -> None:
    """Catches: a sentence that outlives its numbers."""
    found = tables.groups(pages.load()["worlds"]["rows"])
    for world in ("rooms", "rooms-lamps", "rooms-busy"):
        pooled, whole = (found[world, "inverse dynamics", f"vjepa, {name}"] for name in ("pooled", "128"))
        assert tables.compared(whole, pooled)[3] == "above"
    lengths = {
        key: script.config_of("maze", name, 0).latent for key, name in (("mine", "lewm"), ("pooled", "vjepa, pooled"))
    }
    assert lengths == {"mine": 32, "pooled": 64}


def test_what_the_page_says_of_longer_training_is_so() -> None:
    """Catches: a sentence that outlives its numbers, another row than the picture's."""
    results = pages.load()["worlds"]
    found = {
        (row["world"], row["encoder"]): {part["steps"]: part for part in row["curve"]} for row in results["longer"]
    }
    plain, lamps = found["rooms", "raw, 128"], found["rooms-lamps", "raw, 128"]
    assert [round(100 * lamps[steps]["success"]) for steps in (1500, 4000)] == [59, 33]
    assert max(part["success"] for part in lamps.values()) == lamps[1500]["success"]
    assert lamps[4000]["loss"] < lamps[1500]["loss"]
    assert plain[4000]["loss"] < 0.7 * plain[1500]["loss"]
    assert [round(100 * plain[steps]["success"]) for steps in (1500, 4000)] == [95, 93]
    default = found["rooms", "vjepa, default"]
    assert [round(100 * default[steps]["success"]) for steps in (1500, 4000)] == [97, 98]
    assert default[4000]["loss"] < 0.7 * default[1500]["loss"]
    features = found["rooms-lamps", "vjepa, default"]
    assert [round(100 * features[steps]["success"]) for steps in (1500, 4000)] == [55, 49]
    assert script.config_of("rooms-lamps", "vjepa, default", 10).steps == 1200
    goals = worlds_pictures.longer_picture(results).figure.axes[1]
    drawn = {line.get_label(): list(line.get_ydata()) for line in goals.lines}
    assert drawn["raw, 128 in rooms-lamps"] == [100 * part["success"] for part in lamps.values()]


def test_inverse_dynamics_does_as_well_as_the_cross_entropy_method_for_less() -> None:
    """Catches: a sentence that outlives its numbers."""
    found = tables.groups(pages.load()["worlds"]["rows"])
    direct, imagined = (found["rooms-lamps", planner, "lewm"] for planner in ("inverse dynamics", "cem"))
    shares = [sum(row["success"] for row in rows) / len(rows) for rows in (direct, imagined)]
    assert shares == pytest.approx([0.685, 0.67])
    assert tables.compared(direct, imagined)[3] == "undecided"
    for name, low, high in (("milliseconds", 200, 260), ("milliseconds_alone", 30, 40)):
        ratio = sum(row[name] for row in imagined) / sum(row[name] for row in direct)
        assert low < ratio < high


def test_leworldmodel_sees_more_clips_than_v_jepas_encoder() -> None:
    """Catches: a sentence that outlives the recipes."""
    seen = {name: script.config_of("rooms-lamps", name, 0) for name in ("lewm", "vjepa, default", "vjepa, 128")}
    its = {name: c.pretraining.steps * c.pretraining.batch for name, c in seen.items() if name != "lewm"}
    assert [seen["lewm"].steps * seen["lewm"].batch / clips for clips in its.values()] == [6, 3]


def test_what_the_page_says_of_plain_rooms_is_so() -> None:
    """Catches: a sentence that outlives its numbers."""
    rows = [row for row in pages.load()["worlds"]["rows"] if row["world"] == "rooms"]
    found = {name: rows for (_, by, name), rows in tables.groups(rows).items() if by == "inverse dynamics"}
    assert {name: len(rows) for name, rows in found.items()} == dict.fromkeys(script.ENCODERS, 3)
    shares = [row["success"] for name, rows in found.items() for row in rows if name != "vjepa, pooled"]
    assert [min(shares), max(shares)] == pytest.approx([0.89, 0.96])
    trainable = ("lewm", "vjepa, default", "vjepa, 128", "pixel-target, 128")
    for trained, other in product(trainable, ("untrained, 128", "raw, 128")):
        assert tables.compared(found[trained], found[other])[3] != "above"
    assert max(row["success"] for row in found["vjepa, pooled"]) < 0.92
    good = ("lewm", "vjepa, default", "untrained, 128", "raw, 128")
    by_cem = tables.groups(rows)["rooms", "cem", "untrained, 128"]
    assert tables.compared(tables.groups(rows)["rooms", "cem", "lewm"], by_cem)[3] == "undecided"
    planned = [row for row in rows if row["planner"] in script.PLANNERS and row["encoder"] in good]
    assert len(planned) == 4 * 2 * 3
    assert [min(shares := [row["success"] for row in planned]), max(shares)] == pytest.approx([0.87, 0.99])


def test_which_planner_is_best_for_leworldmodel_depends_on_the_world() -> None:
    """Catches: a sentence that outlives its numbers."""
    found = tables.groups(row for row in pages.load()["worlds"]["rows"] if row["encoder"] == "lewm")
    gains = {
        world: [
            cem["success"] - inverse["success"]
            for cem, inverse in zip(found[world, "cem", "lewm"], found[world, "inverse dynamics", "lewm"])
        ]
        for world in ("rooms", "rooms-busy", "rooms-lamps")
    }
    assert min(gains["rooms"]) > 0
    assert gains["rooms-busy"] == pytest.approx([0.1])  # seed 10
    assert [gain > 0 for gain in gains["rooms-lamps"]] == [False, False, True]
    assert min(map(abs, gains["rooms-lamps"])) > 0.119
    means = [sum(row["success"] for row in found["rooms", by, "lewm"]) / 3 for by in ("cem", "inverse dynamics")]
    assert [f"{mean:.3f}" for mean in means] == ["0.967", "0.910"]


def test_what_the_page_says_of_busy_rooms_is_so() -> None:
    """Catches: a sentence that outlives its numbers."""
    rows = [row for row in pages.load()["worlds"]["rows"] if row["world"] == "rooms-busy"]
    found = {name: rows for (_, by, name), rows in tables.groups(rows).items() if by == "inverse dynamics"}
    assert set(found) == {*script.ENCODERS}
    lewm = found.pop("lewm")
    assert all(tables.compared(lewm, rows)[3] == "above" for rows in found.values())
    assert sorted(row["success"] for row in lewm) == pytest.approx([0.165, 0.17, 0.2])
    assert max(row["lamps_r2"] for row in lewm) < 0.01
    assert 0.68 < min(row["position_r2"] for row in lewm) < max(row["position_r2"] for row in lewm) < 0.72
    assert max(row["success"] for each in found.values() for row in each) == pytest.approx(0.13)
    first = {(row["planner"], row["encoder"]): row["success"] for row in rows if row["seed"] == script.SEEDS[0]}
    for planner, best, second in (("gradient", 0.265, 0.2), ("cem", 0.3, 0.14)):
        shares = {name: first[planner, name] for name in script.ENCODERS}
        assert (shares["lewm"], shares["raw, 128"]) == pytest.approx((best, second))
        assert sorted(shares, key=lambda name: -shares[name])[:2] == ["lewm", "raw, 128"]
        assert max(share for name, share in shares.items() if name.startswith("vjepa")) < 0.0051


def test_what_the_page_says_of_the_maze_is_so() -> None:
    """Catches: a sentence that outlives its numbers."""
    rows = [row for row in pages.load()["worlds"]["rows"] if row["world"] == "maze"]
    found = {name: rows for (_, by, name), rows in tables.groups(rows).items() if by == "inverse dynamics"}
    assert set(found) == {*script.ENCODERS}
    assert max(row["success"] for each in found.values() for row in each) == 0
    assert max(row["success"] for row in rows) < 0.0051
    assert {row["encoder"] for row in rows if row["planner"] == "gradient"} == {*script.ENCODERS}
    assert max(row["position_r2"] for row in found["lewm"]) < 0.05
    assert min(row["position_r2"] for row in found["raw, 128"]) > 0.99
    assert script.INVERSE.frames == 16
