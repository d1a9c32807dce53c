"""The rooms and other worlds through the gymnasium API."""

import numpy as np
import pytest
import torch

from minivjepa.tubelets import Grid

gymnasium = pytest.importorskip("gymnasium", reason="gymnasium is not installed: pip install 'minivjepa[world]'")

from gymnasium.utils.env_checker import check_env  # noqa: E402

from minivjepa.world.goal_reaching import Task  # noqa: E402
from minivjepa.world.gym_worlds import EnvironmentClips, WorldEnv  # noqa: E402
from minivjepa.world.maze import Maze  # noqa: E402
from minivjepa.world.world_recipe import WorldConfig, build_lewm  # noqa: E402
from minivjepa.world.worlds import TASKS, WORLDS  # noqa: E402

GRID = Grid(4, 32, 32, 1, 8)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", WORLDS)
def test_every_world_passes_gymnasiums_own_check(name: str) -> None:
    """Catches: observations outside their space, a reset that its seed does not decide."""
    made = gymnasium.make(f"minivjepa.world.gym_worlds:minivjepa/{name}-v0")
    check_env(made.unwrapped)
    assert made.unwrapped.world == WORLDS[name]
    assert made.unwrapped.task == TASKS[name]


@pytest.mark.parametrize("name", WORLDS)
def test_a_seed_decides_an_episode_bit_for_bit(name: str) -> None:
    """Catches: lamps or strangers that depend on the time of day, a start that only the first reset draws."""

    def film(seed: int) -> np.ndarray:
        env = WorldEnv(name)
        first, info = env.reset(seed=seed)
        return np.stack([first, info["goal_picture"], *(env.step(np.array([0.5, -1.0]))[0] for _ in range(4))])

    env = WorldEnv(name)
    assert np.array_equal(film(3), film(3))
    assert not np.array_equal(film(3), film(4))
    assert not np.array_equal(env.reset(seed=3)[0], env.reset()[0])


def test_an_episode_ends_at_the_goal_or_when_its_steps_are_spent() -> None:
    """Catches: success and cut-off exchanged, a reward for nothing, a goal that is too near."""
    env = WorldEnv(task=Task(steps=3, apart=0.5))
    _, info = env.reset(seed=0)
    assert np.linalg.norm(info["position"] - info["goal"]) >= 0.5
    ends = [env.step(np.zeros(2, np.float32))[1:4] for _ in range(3)]
    assert ends == [(0.0, False, False), (0.0, False, False), (0.0, False, True)]
    env.state = env.goal.clone()
    assert env.step(np.zeros(2, np.float32))[1:4] == (1.0, True, False)
    with pytest.raises(ValueError, match="worlds know no options"):
        env.reset(options={"goal": 1})


class Logged(WorldEnv):
    """The rooms, which write down where the robot was."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[torch.Tensor] = []

    def render(self) -> np.ndarray:
        self.places.append(self.state)
        return super().render()


def test_clips_of_an_environment_are_those_of_the_rooms() -> None:
    """Catches: channels last, colors that are scaled otherwise, actions that do not belong to their frames."""
    env = Logged()
    clip, journey = EnvironmentClips(env, GRID, seed=1).batch(5, torch.tensor([3, 8]))
    assert clip.shape == (2, 3, 4, 32, 32)
    assert journey.actions.shape == (2, 3, 2)
    again, _ = EnvironmentClips(WorldEnv(), GRID, seed=1).batch(5, torch.tensor([8]))
    assert torch.equal(again[0], clip[1])
    places = torch.stack(env.places).view(2, 4, 2)
    frames = env.world.render(places, 32, 32).transpose(1, 2)
    assert (clip - frames).abs().max() < 0.02  # pictures have 256 levels
    torch.testing.assert_close(env.world.move(places[:, :3], journey.actions), places[:, 1:])


class Short(WorldEnv):
    """The rooms, where an episode ends in the upper half."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, object]]:
        seen, reward, _, _, info = super().step(action)
        return seen, reward, bool(self.state[0] < 0.5), False, info


def test_no_clip_holds_the_end_of_an_episode() -> None:
    """Catches: an action that is said to lead from the end of one episode into the next."""
    clips, journey = EnvironmentClips(Short(), GRID, seed=1).batch(0, torch.arange(4))
    assert clips.shape[0] == len(journey.actions) == 4
    assert (
        float(clips[:, 0, 1:-1, :12].amax()) < 1.0 < float(clips[:, 0].amax())
    )  # red, the robot, is below but at the ends
    with pytest.raises(ValueError, match="1000 episodes ended within"):
        EnvironmentClips(WorldEnv(task=Task(steps=1)), Grid(3, 16, 16, 1, 8)).batch(0, torch.arange(1))


def test_the_goal_picture_shows_the_goal_and_nonsense_is_refused() -> None:
    """Catches: a goal picture of the start, actions that are NaN, worlds that are not there."""
    env = WorldEnv()
    _, info = env.reset(seed=3)
    assert np.array_equal(info["goal_picture"], env.picture(env.goal))
    assert not np.array_equal(info["goal_picture"], env.picture(env.state))
    with pytest.raises(ValueError, match="expected two numbers from -1 to 1"):
        env.step(np.array([np.nan, 0.0], np.float32))
    with pytest.raises(ValueError, match=r"no pair 0\.3 apart was found"):
        WorldEnv(Maze(shortest=200, longest=300)).reset(seed=0)
    with pytest.raises(ValueError, match="unknown world 'mars'; choose from rooms"):
        WorldEnv("mars")


def test_what_cannot_be_used_is_refused() -> None:
    """Catches: a world without pictures that fails deep inside an encoder."""
    cart = gymnasium.make("MountainCarContinuous-v0")
    with pytest.raises(ValueError, match=r"expected a picture, uint8 \(H, W, 3\)"):
        EnvironmentClips(cart, GRID).batch(0, torch.arange(1))
    with pytest.raises(ValueError, match="expected a Box with finite bounds"):
        EnvironmentClips(gymnasium.make("CartPole-v1"), GRID)


def test_pusht_drops_in() -> None:
    """Catches: an adapter that only knows our own rooms. Clips of gym-pusht, and a training step on them."""
    pytest.importorskip("gym_pusht", reason="needs gym-pusht: pip install 'minivjepa[pusht]'", exc_type=ImportError)
    env = gymnasium.make("gym_pusht/PushT-v0", obs_type="pixels", observation_width=64, observation_height=64)
    clip, journey = EnvironmentClips(env, GRID).batch(0, torch.arange(3))
    assert clip.shape == (3, 3, 4, 32, 32)
    assert clip[:, :, 1:].sub(clip[:, :, :-1]).abs().amax(dim=(1, 2, 3, 4)).min() > 0.1  # something moves
    again, _ = EnvironmentClips(env, GRID).batch(0, torch.tensor([2]))
    torch.testing.assert_close(again[0], clip[2])
    config = WorldConfig(dim=16, depth=1, hidden=32, latent=8, predictor_dim=16, directions=16)
    error, term = build_lewm(config).losses(clip, journey.actions, config.seed, 0)
    assert bool((error + term).isfinite())
