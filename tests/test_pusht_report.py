"""What results/pusht.py measures and docs/worlds.md says of it."""

from itertools import product
from pathlib import Path
from typing import Any

import pages
import pusht as script
import pusht_tables as tables
import pytest
import torch
from worlds_tables import compared

from minivjepa.world.push_t import SIDE, PushTask, record


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A few pairs and episodes, in a folder for themselves."""
    pytest.importorskip("gym_pusht", reason="needs gym-pusht: pip install 'minivjepa[pusht]'", exc_type=ImportError)
    task = PushTask(pairs=6, ahead=8, steps=10)
    for name, value in {
        "RUNS": tmp_path, "FILE": tmp_path / "pusht.json", "POOL": range(70), "LENGTH": 20, "TASKS": {"pusht": task},
        "INVERSE": script.Inverse(clips=20, frames=9, steps=3, batch=16, hidden=16),
    }.items():  # fmt: skip
        monkeypatch.setattr(script, name, value)
    for kept in (script.pool, script.pairs, script.model_of, script.inverse_of):
        kept.cache_clear()
    yield
    for kept in (script.pool, script.pairs, script.model_of, script.inverse_of):
        kept.cache_clear()


@pytest.mark.usefixtures("small")
def test_no_pair_comes_from_an_episode_that_models_train_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: pairs from the pool, episodes of two seeds that are the same, a pool that is recorded anew for every model."""
    pool, pairs = script.pool(), script.pairs("pusht")
    assert not set(pool.seeds.tolist()) & set(pairs.seeds.tolist())
    starts = torch.cat([pool.states[:, 0], pairs.states[:, 0]])
    assert len(starts.unique(dim=0)) == len(starts)
    script.pool.cache_clear()
    monkeypatch.setattr(script, "record", None)  # read from its file
    assert torch.equal(script.pool().states, pool.states)


def test_the_recorded_settings_keep_training_and_test_apart() -> None:
    """Catches: a pool so long that it reaches the seeds of the pairs."""
    assert all(task.first > 100 * script.POOL.stop for task in script.TASKS.values())
    assert script.INVERSE.frames <= script.LENGTH + 1
    assert script.INVERSE.frames == 1 + max(task.ahead for task in script.TASKS.values())


@pytest.mark.usefixtures("small")
def test_a_score_counts_goals_pair_by_pair() -> None:
    """Catches: a ceiling that misses goals, a nearest approach in other units, time that isn't counted per decision."""
    found = script.run_floor("pusht", "replay")
    assert found["reached"] == [1] * 6
    assert found["success"] == 1
    assert found["nearest"] < script.TASKS["pusht"].near
    still = script.score(lambda step, index, state, goal: torch.zeros(len(index), 2), "pusht")
    start, goal = script.pairs("pusht").states[:, 0], script.pairs("pusht").states[:, -1]
    assert still["reached"] == [0] * 6
    assert still["nearest"] == pytest.approx(float(SIDE * (goal - start)[:, :4].norm(dim=1).median()), abs=5)
    assert 0 < still["milliseconds"] < 10


@pytest.mark.usefixtures("small")
def test_the_true_state_and_pictures_go_through_the_same_steps() -> None:
    """Catches: a ceiling that sees pictures, main directions of another world's pictures, a probe of other states."""
    known = script.run_inverse("pusht", "state", 0)
    assert min(known[name] for name in ("agent_r2", "block_r2", "angle_r2")) > 0.999
    model = script.model_of("raw", 0)
    clips = script.clips_of("raw", 0)
    z = model.embed(clips.see(record(range(500, 570), 1).states)).flatten(0, 1)
    assert z.shape == (140, 64)
    assert z.std(dim=0).min() > 0.01  # other pictures' directions would be dead here
    assert script.run_inverse("pusht", "raw", 0)["block_r2"] < known["block_r2"]


def test_jobs_are_told_apart_and_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: two jobs with one key, rows computed twice, results of two tasks in one file."""
    keys = [(kind, *sorted(key.items())) for kind, key, _ in script.jobs()]
    assert len(set(keys)) == len(keys)
    done: list[str] = []

    def job(name: str) -> dict[str, Any]:
        done.append(name)
        if done == ["a", "b"]:
            raise KeyboardInterrupt
        return {"success": 1.0}

    monkeypatch.setattr(script, "FILE", tmp_path / "pusht.json")
    monkeypatch.setattr(script, "jobs", lambda: [("rows", {"name": n}, lambda n=n: job(n)) for n in "abc"])
    with pytest.raises(KeyboardInterrupt):
        script.main()
    script.main()
    assert done == ["a", "b", "b", "c"]
    monkeypatch.setattr(script, "TASKS", {"pusht": PushTask(near=10.0)})
    with pytest.raises(SystemExit, match="made with other settings of pusht"):
        script.main()


def test_tables_name_every_training_and_floors_come_first() -> None:
    """Catches: a column shifted by one, rows of another task, a training compared with itself."""
    row = {"success": 0.25, "low": 0.2, "high": 0.3, "nearest": 31.0, "milliseconds": 0.5, "reached": [1, 0, 0, 0]}
    known = {"agent_r2": 0.9, "block_r2": 0.8, "angle_r2": 0.1, "inverse_loss": 0.07}
    key = {"world": "pusht", "planner": "inverse dynamics", "encoder": "raw"}
    rows = [{**key, "seed": seed, **row, **known} for seed in (10, 11)]
    other = {**rows[0], "world": "pusht, 10 steps", "success": 0.5}
    floors = [{"world": "pusht", "planner": name, **row} for name in tables.FLOORS]
    results = {"floors": floors, "rows": [*rows, other]}
    lines = tables.pusht_table(results).splitlines()
    assert lines[2] == "| pusht | random actions |  | 25.0 % (20.0 to 30.0) | 31 |  |"
    rates = "25.0 % (20.0 to 30.0); 25.0 % (20.0 to 30.0)"
    assert lines[5:] == [f"| pusht | raw | inverse dynamics | {rates} | 31 | 0.5 |"]
    assert tables.known_table(results).splitlines()[2:] == ["| raw | 0.90 | 0.80 | 0.10 | 0.070 |"]
    floors.append({**floors[1], "world": "pusht, 10 steps", "reached": [0, 0, 0, 0]})
    straight = tables.straight_table(results).splitlines()[2:]
    assert [line.split(" | ")[-1] for line in straight] == ["undecided |", "one training |"]
    assert "+25.0 (" in straight[1]


def test_the_recorded_floors_and_ceiling_are_as_the_page_says() -> None:
    """Catches: a sentence that outlives its numbers."""
    results = pages.load()["pusht"]
    reached = {(row["world"], row["planner"]): row["success"] for row in results["floors"]}
    assert all(share == 1 for (_, planner), share in reached.items() if planner == "replay")
    assert all(share < 0.05 for (_, planner), share in reached.items() if planner == "random")
    assert reached["pusht", "straight"] < 0.1 < 0.25 < reached["pusht, 10 steps", "straight"] < 0.4
    encoders = [row for row in results["rows"] if row["encoder"] != "state"]
    states = {
        row["seed"]: row["success"] for row in results["rows"] if (row["world"], row["encoder"]) == ("pusht", "state")
    }
    assert sorted(states) == [10, 11, 12]
    assert [min(states.values()), max(states.values())] == pytest.approx([0.32, 0.40])
    assert max(row["success"] for row in encoders if row["world"] == "pusht") == pytest.approx(0.06)
    assert max(row["success"] for row in encoders if row["world"] == "pusht, 10 steps") < 0.2
    known = [row for row in encoders if "angle_r2" in row]
    assert min(row["block_r2"] for row in known) > 0.85
    assert 0.5 < min(row["agent_r2"] for row in known) <= max(row["agent_r2"] for row in known) < 0.75
    assert max(abs(row["angle_r2"]) for row in known) < 0.05
    losses = {
        row["encoder"]: row["inverse_loss"]
        for row in results["rows"]
        if row.get("seed") == 10 and "inverse_loss" in row
    }
    assert losses["raw, 128"] < losses["state"]
    found = tables.groups(results["rows"])
    assert all(len(rows) == 3 for rows in found.values())
    assert len(found) == 2 * len((*script.NAMES, *script.SLOW)) + 1  # every encoder in both tasks, and CEM in one
    for task, other in product(script.TASKS, ("untrained", "raw")):
        mine, theirs = (found[task, "inverse dynamics", name] for name in ("vjepa", other))
        assert compared(mine, theirs)[3] == "undecided"
    far = {
        key[2]: rows for key, rows in tables.groups(results["rows"]).items() if key[:2] == ("pusht", "inverse dynamics")
    }
    assert compared(far["lewm"], far["untrained"])[::3] == (pytest.approx(3.0), "above")
    assert compared(far["lewm"], far["raw"])[3] == "undecided"
