"""What world models and their judges must not get away with: each of these was broken once, and no test noticed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from minivjepa.training.loop import MONITOR_STEP
from minivjepa.training.runs import Run, RunStopped
from minivjepa.tubelets import Grid
from minivjepa.world.action_predictor import FRAMES, encode_frames
from minivjepa.world.goal_reaching import Task, picture_costs, planning_policy, pursue, replan, straight_policy
from minivjepa.world.le_world_model import LeWorldModel
from minivjepa.world.planner import CEM
from minivjepa.world.rooms import Rooms
from minivjepa.world.world_clips import Journey, WorldClips
from minivjepa.world.world_recipe import WorldConfig, build_frozen, build_lewm, learning_rate, pretraining
from minivjepa.world.world_trainer import WorldTrainer, load_world, open_clips, position_r2

CPU = torch.device("cpu")
ROOMS = Rooms()
SMALL = WorldConfig(
    dim=16, depth=1, hidden=32, latent=8, predictor_dim=16, predictor_depth=1, directions=8, batch=8, steps=4, warmup=2, log_every=2,
)  # fmt: skip


def trainer(config: WorldConfig, out: Path, source: WorldClips | None = None) -> WorldTrainer:
    run = Run(out, WorldConfig)
    run.create(config, "rooms")
    return WorldTrainer(config, build_lewm(config), source or open_clips(config, CPU), run, CPU)


class Spy(WorldClips):
    """Clips that remember which steps they were asked for."""

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, Journey]:
        self.asked = [*getattr(self, "asked", []), step]
        return super().batch(step, index)


def test_every_step_has_its_clips_and_its_learning_rate(tmp_path: Path) -> None:
    """Catches: one batch for the whole run; a schedule that is not applied."""
    source = Spy(SMALL.clips)
    training, rates = trainer(SMALL, tmp_path / "run", source), []
    training.fit(lambda step, row: rates.append(training.optimiser.param_groups[0]["lr"]))
    assert [step for step in source.asked if step != MONITOR_STEP] == [0, 1, 2, 3]
    assert rates[1:] == [learning_rate(SMALL, step) for step in range(4)]


@pytest.mark.parametrize("build", [build_lewm, build_frozen])
def test_only_matrices_decay(build: Callable[[WorldConfig], LeWorldModel], tmp_path: Path) -> None:
    """Catches: biases and the gains of norms that are pulled to 0; a parameter that no group trains."""
    config = replace(SMALL, weight_decay=0.5)
    run = Run(tmp_path / "run", WorldConfig)
    run.create(config, "rooms")
    training = WorldTrainer(config, build(config), open_clips(config, CPU), run, CPU)
    training.train_step()
    decay = {p: group["weight_decay"] for group in training.optimiser.param_groups for p in group["params"]}
    assert set(decay) == {p for p in training.model.parameters() if p.requires_grad}
    assert all(value == (0.5 if p.ndim > 1 else 0.0) for p, value in decay.items())


def test_frames_are_split_before_they_are_encoded() -> None:
    """Catches: a limit on frames that counts clips, so that long clips need several times the memory."""
    model = build_frozen(WorldConfig(model="untrained", latent=16, predictor_dim=24))
    sizes: list[int] = []
    model.encoder.register_forward_pre_hook(lambda module, given: sizes.append(len(given[0])))
    clip, _ = WorldClips(Grid(3, 32, 32, 1, 8)).batch(0, torch.arange(200))
    features = encode_frames(model.encoder, clip)
    assert sum(sizes) == 600
    assert max(sizes) <= FRAMES
    alone = [encode_frames(model.encoder, part) for part in clip.split(1)]
    torch.testing.assert_close(features, torch.cat(alone))


def test_clips_show_the_rooms_of_the_config() -> None:
    """Catches: options that are stored and not used."""
    rooms = Rooms(door=0.4)
    assert open_clips(replace(SMALL, rooms=rooms), CPU).world == rooms
    seen = [build_frozen(WorldConfig(model="untrained", rooms=r)).directions.mean for r in (ROOMS, rooms)]
    assert not torch.equal(*seen)  # examples come from there too


def test_batchnorm_is_there_exactly_if_asked_for() -> None:
    """Catches: an ablation of something that was never built."""
    for batchnorm in (True, False):
        names = [type(part).__name__ for part in build_lewm(replace(SMALL, batchnorm=batchnorm)).modules()]
        assert ("BatchNorm1d" in names) == batchnorm


@pytest.mark.parametrize("where", ["loss", "weights"])
def test_training_that_blows_up_stops_and_saves_nothing(where: str, tmp_path: Path) -> None:
    """Catches: a run of NaN that is called finished."""
    training = trainer(SMALL, tmp_path / "run")
    parameter = next(training.model.parameters())
    if where == "loss":
        torch.nn.init.constant_(parameter, float("nan"))
        training.train_step()
        with pytest.raises(RunStopped, match="the loss is nan at step 1"):
            training.save()
    else:
        torch.nn.init.constant_(parameter, float("inf"))
        with pytest.raises(RunStopped, match="a weight is no longer finite"):
            training.save()
    assert not training.run.checkpoint_file.exists()


class Noise(torch.nn.Module):
    """Latents of a thousand numbers that know nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def embed(self, clip: Tensor) -> Tensor:
        return torch.randn(len(clip), clip.shape[2], 1024, generator=self.generator)


def test_the_position_is_asked_of_frames_that_the_probe_has_not_seen() -> None:
    """Catches: a probe that is tested on what it learned from, and finds a place in noise."""
    assert position_r2(Noise(), ROOMS, 16, CPU) < 0.1  # type: ignore[arg-type]


def test_a_frozen_model_imagines_with_the_actions_step_by_step() -> None:
    """Catches: actions left out, a rollout of one step, a state that is not fed back."""
    model = build_frozen(WorldConfig(model="untrained", latent=16, predictor_dim=24, predictor_heads=2)).eval()
    torch.manual_seed(0)
    z, actions = torch.randn(3, 16), torch.rand(3, 2, 2) * 2 - 1
    imagined = model.imagine(z, actions)
    assert imagined.shape == (3, 2, 16)
    assert not torch.allclose(imagined, model.imagine(z, -actions), atol=1e-4)
    again = model.imagine(imagined[:, 0], actions[:, 1:])
    torch.testing.assert_close(imagined[:, 1], again[:, 0])


class Recorder(CEM):
    """A planner that remembers where its searches begin."""

    def plan(self, cost, mean, noise):  # type: ignore[no-untyped-def]
        means.append(mean.clone())
        return torch.full_like(mean, 0.25).cumsum(dim=1).clamp(max=1)


means: list[Tensor] = []


def test_a_search_begins_with_what_was_left_of_the_plan_before() -> None:
    """Catches: plans that are thrown away, or not moved on by a step."""
    means.clear()
    policy = planning_policy(Recorder(horizon=3), lambda position, goal: lambda plans: plans[..., 0, 0], seed=0)
    pursue(ROOMS, Task(pairs=2, steps=2), policy, CPU)
    assert torch.equal(means[0], torch.zeros(2, 3, 2))
    assert torch.equal(means[1][0, :, 0], torch.tensor([0.5, 0.75, 0.0]))


def test_the_best_guess_takes_part_and_every_round_draws_anew() -> None:
    """Catches: a search that can end worse than it began; the same noise in every round or step."""
    drawn: list[Tensor] = []

    def cost(plans: Tensor) -> Tensor:
        drawn.append(plans.clone())
        return plans.square().sum(dim=(2, 3))

    pairs, mean = torch.arange(2), torch.full((2, 3, 2), 0.3)
    for step in (0, 1):
        replan(CEM(horizon=3, samples=8, elites=2, rounds=2), cost, mean, seed=1, step=step, pairs=pairs)
    assert torch.equal(drawn[0][:, 0], mean)
    assert not torch.equal(drawn[0][:, 1:], drawn[2][:, 1:])
    drawn.clear()
    replan(CEM(horizon=6, samples=64), cost, torch.zeros(2, 6, 2), seed=1, step=0, pairs=pairs)
    assert float((drawn[0][:, :, 1:] * drawn[0][:, :, :-1]).mean()) > 0.15  # the first round persists from step to step


def test_who_walks_straight_needs_no_model_within_a_room_and_misses_behind_the_wall() -> None:
    """Catches: a control that knows of walls, or that does not move."""
    task = Task()
    outcome = pursue(ROOMS, task, straight_policy(ROOMS), CPU)
    assert bool(outcome.reached[~outcome.through].all())
    assert 0.3 < float(outcome.reached[outcome.through].float().mean()) < 0.9
    first = outcome.path[:, 1] - outcome.path[:, 0]
    _, goal = task.draw(ROOMS, CPU)
    assert bool(((first * (goal - outcome.path[:, 0])).sum(dim=1) >= 0).all())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Rooms(robot=0.24, door=0.49), "leave no rooms"),
        (lambda: Task(apart=0.6).draw(Rooms(wall=0.45), CPU), "no pair 0.6 apart was found"),
        (lambda: Task(radius=0.4).draw(Rooms(), CPU), "or no robot has to move"),
        (lambda: Task(radius=float("inf")), "radius is inf"),
        (lambda: Task(seed=2**40), "expected a whole number from 0 to"),
        (lambda: Task(pairs=10**9), "expected at most 10000"),
        (lambda: CEM(persistence=0.999999), "expected a number from 0 to 0.99"),
        (lambda: CEM(spread=float("inf")), "spread is inf"),
        (lambda: WorldConfig(lr=float("inf")), "lr is inf"),
        (lambda: WorldConfig(weight=float("inf")), "weight is inf"),
        (lambda: WorldConfig(model="vjepa", predictor_dim=16, predictor_heads=8), "heads at least 6 wide"),
        (lambda: WorldConfig(model="vjepa", latent=1100), "latent is 1100, expected at most 1024"),
        (lambda: WorldClips(Grid(1, 32, 32, 1, 8)), "a clip of 1 frame shows no action"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(make: object, says: str) -> None:
    """Catches: pairs that break their promise, a search that never ends, hours of training for a run that cannot be."""
    with pytest.raises(ValueError, match=says):
        make()  # type: ignore[operator]


def test_a_planner_sees_with_a_model_that_is_not_training(tmp_path: Path) -> None:
    """Catches: BatchNorm that looks at the planner's batch, so that one pair's goal changes another's plan."""
    training = trainer(SMALL, tmp_path / "run")
    training.fit(lambda step, row: None)
    config, model = load_world(tmp_path / "run")
    assert isinstance(model, LeWorldModel)
    assert not model.training
    cost = picture_costs(model, config.rooms, config.size, config.size)
    place, goal = torch.tensor([[0.3, 0.2], [0.7, 0.8]]), torch.tensor([[0.7, 0.3], [0.2, 0.7]])
    plans = torch.rand(2, 4, 3, 2, generator=torch.Generator().manual_seed(0))
    together, alone = cost(place, goal)(plans), cost(place[:1], goal[:1])(plans[:1])
    torch.testing.assert_close(together[:1], alone)


def test_the_encoder_of_a_frozen_model_has_the_seed_of_its_run() -> None:
    """Catches: an untrained control with the same weights for every seed."""
    assert pretraining(WorldConfig(model="vjepa", seed=7)).seed == 7
