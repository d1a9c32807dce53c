"""PushT: gym-pusht's physics, our camera, and goals that a recorded episode reached."""

import builtins
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from minivjepa.tubelets import Grid
from minivjepa.world.base_world import displayable
from minivjepa.world.goal_reaching import random_policy
from minivjepa.world.push_t import (
    SIDE,
    Episodes,
    PushClips,
    PushTask,
    Table,
    push,
    record,
    render,
    replay_policy,
    straight_policy,
)

TASK = PushTask(pairs=12)
GRID = Grid(4, 32, 32, 1, 8)


@pytest.fixture(scope="module")
def pairs() -> Episodes:
    """The pairs of the task."""
    pytest.importorskip("gym_pusht", reason="needs gym-pusht: pip install 'minivjepa[pusht]'", exc_type=ImportError)
    return TASK.draw()


def row(**changed: float) -> Tensor:
    """A state in gym-pusht's pixels and degrees: the agent below on the left, the block in the middle, upright."""
    values = {"y": 400.0, "x": 100.0, "block_y": 200.0, "block_x": 256.0, "angle": 0.0, "down": 0.0, "right": 0.0}
    y, x, block_y, block_x, angle, down, right = (values | changed).values()
    places = [value / SIDE for value in (y, x, block_y, block_x)]
    return torch.tensor([*places, math.radians(angle), down / SIDE, right / SIDE])


def test_episodes_depend_on_their_seeds_and_nothing_else(pairs: Episodes) -> None:
    """Catches: an episode that depends on those before it, numbers drawn from the clock, pairs that change with their count."""
    again = record([int(pairs.seeds[3])], TASK.ahead)
    assert torch.equal(again.states[0], pairs.states[3])
    assert torch.equal(again.actions[0], pairs.actions[3])
    assert torch.equal(replace(TASK, pairs=5).draw().states, pairs.states[:5])
    assert len(set(pairs.seeds.tolist())) == TASK.pairs
    assert not torch.equal(pairs.states[0], pairs.states[1])


def test_the_recorded_actions_reach_every_goal_bit_for_bit(pairs: Episodes) -> None:
    """Catches: physics that depend on more than seed and actions, an oracle that misses its goals."""
    goal = pairs.states[:, -1]
    whole = replace(TASK, near=1e-9)  # so that none stops before the last step
    path = push(whole, pairs, replay_policy(pairs))
    assert torch.equal(path[:, : TASK.ahead + 1], pairs.states)
    assert TASK.reached(push(TASK, pairs, replay_policy(pairs))[:, -1], goal).all()


def test_no_pair_is_solved_at_its_start_and_floors_are_low(pairs: Episodes) -> None:
    """Catches: goals where the block need not move, a task that random actions or a walk past the block solve."""
    start, goal = pairs.states[:, 0], pairs.states[:, -1]
    assert not TASK.reached(start, goal).any()
    assert (SIDE * (goal - start)[:, 2:4].norm(dim=1) >= TASK.moved).all()
    for policy in (random_policy(0), straight_policy):
        path = push(TASK, pairs, policy)
        assert path.shape == (TASK.pairs, TASK.steps + 1, 7)
        assert TASK.reached(path[:, -1], goal).float().mean() < 0.5
    assert torch.equal(path[:, 0], start)


def test_success_is_dino_wms_rule() -> None:
    """Catches: agent and block judged one by one, degrees taken for radians, a full turn counted as a difference."""
    task, goal = PushTask(), row()
    near = {"x": 114.0, "block_y": 213.0}  # 14 and 13 pixels: 19.1 together
    assert task.reached(row(**near), goal)
    assert not task.reached(row(**near, y=409.0), goal)  # 21.1 together
    assert task.reached(torch.stack([row(angle=19.0), row(angle=-19.0), row(angle=379.0)]), goal).all()
    assert not task.reached(
        torch.stack([row(angle=21.0), row(angle=-21.0), row(angle=180.0), row(angle=381.0)]), goal
    ).any()
    assert task.reached(row(down=90.0, right=-90.0), goal)  # velocities don't count


def test_an_action_aims_ahead_of_the_agent_down_and_right(pairs: Episodes) -> None:
    """Catches: axes exchanged, an absolute target, a state of another moment."""
    table = Table(int(pairs.seeds[0]))
    table.game.agent.position, table.game.block.position = (256, 400), (100, 100)
    before = torch.tensor(table.state())
    assert torch.equal(before, torch.tensor(table.state()))
    after = torch.tensor(table.step([0.0, 0.5]))
    assert after[1] - before[1] > 10 / SIDE
    assert after[0] == before[0]
    assert torch.tensor(table.step([-1.0, 0.0]))[0] < after[0]
    for _ in range(30):
        far = table.step([1.0, 1.0])
    assert max(far[:2]) <= 1.001  # targets beyond the square are cut


def test_the_picture_shows_the_block_where_gym_pusht_draws_it(pairs: Episodes) -> None:
    """Catches: a T that is mirrored, turned the other way round, or drawn at its center of mass."""
    for seed in pairs.seeds[:4].tolist():
        table = Table(seed)
        theirs = torch.from_numpy(table.game.render()[5::10, 5::10].astype(float))  # 680 pixels -> 68
        slate = (theirs[..., 0] > 100) & (theirs[..., 2] > theirs[..., 0] + 15)  # the agent is bluer, the goal green
        mine = displayable(render(torch.tensor(table.state()), 68, 68))[2] > 0.5
        assert (slate & mine).sum() / (slate | mine).sum() > 0.8


def test_what_moves_in_the_state_moves_in_the_picture() -> None:
    """Catches: a block that doesn't turn, an agent below the block, numbers of the state that change nothing."""
    still = render(row(), 32, 32)
    assert still.shape == (3, 32, 32)
    moved, turned, agent = (
        render(row(**change), 32, 32) for change in ({"block_x": 288.0}, {"angle": 90.0}, {"x": 132.0})
    )
    assert torch.allclose(moved[:, :20, 2:], still[:, :20, :-2], atol=1e-5)  # 32 of 512 are 2 of 32 pixels
    assert (turned != still).any(dim=0).sum() > 20
    bars = [(frame[2] > still[2].min() + 0.5).sum() for frame in (still, turned)]
    assert abs(bars[0] - bars[1]) <= 6  # as large as before
    assert torch.equal(agent[:, :20], still[:, :20])
    assert not torch.equal(agent, still)
    assert torch.allclose(render(row(angle=360.0), 32, 32), still, atol=1e-4)
    assert torch.equal(render(row(down=99.0), 32, 32), still)
    above = displayable(render(row(y=215.0, x=256.0), 32, 32))
    assert above[0, 13, 16] > 0.9  # the agent is red, the block isn't
    both = torch.stack([row(), row(angle=90.0)])
    torch.testing.assert_close(render(both, 32, 32), torch.stack([still, turned]))


def test_clips_are_cut_from_episodes_with_their_own_actions(pairs: Episodes) -> None:
    """Catches: actions of another step, clips that end beyond the episode, a last frame that no clip shows."""
    clips = PushClips(GRID, 3, pairs)
    clip, journey = clips.batch(0, torch.arange(300))
    assert clip.shape == (300, 3, 4, 32, 32)
    assert torch.equal(clips.see(journey.states[:2]), clip[:2])
    places = set()
    for states, actions in zip(journey.states, journey.actions):
        [(episode, when)] = torch.argwhere((pairs.states == states[0]).all(dim=2)).tolist()
        assert torch.equal(pairs.states[episode, when : when + 4], states)
        assert torch.equal(pairs.actions[episode, when : when + 3], actions)
        places.add((episode, when))
    assert {when for _, when in places} == set(range(TASK.ahead - 2))
    assert {episode for episode, _ in places} == set(range(TASK.pairs))
    again, _ = clips.batch(0, torch.tensor([7]))
    assert torch.equal(again[0], clip[7])
    assert not torch.equal(PushClips(GRID, 4, pairs).batch(0, torch.arange(4))[0], clip[:4])


def test_what_cannot_be_used_is_refused(pairs: Episodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches: nonsense that fails deep inside, an import error that doesn't say what to install."""
    for wrong, message in (
        ({"pairs": 0}, "pairs is 0, expected a number above 0"),
        ({"steps": 10}, r"steps is 10, expected ahead \(25\) or more"),
        ({"moved": 10.0}, r"moved is 10.0, expected more than near \(20.0\)"),
        ({"first": -1}, "first is -1"),
        ({"near": math.nan}, "near is nan"),
    ):
        with pytest.raises(ValueError, match=message):
            PushTask(**wrong)
    with pytest.raises(ValueError, match="expected 1 or more of each"):
        record([], 3)
    with pytest.raises(ValueError, match="the episodes have 26 frames, expected 30 or more"):
        PushClips(Grid(30, 32, 32, 1, 8), 0, pairs)
    with pytest.raises(ValueError, match="fewer than 1 of 100 episodes move the block by 500"):
        PushTask(pairs=1, ahead=1, steps=1, moved=500.0).draw()
    usual = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("gym_pusht"):
            raise ImportError("No module named 'gym_pusht'")
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match=r"needs gym-pusht .*run: pip install 'minivjepa\[pusht\]'"):
        Table(0)
