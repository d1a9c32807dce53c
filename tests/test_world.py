"""The rooms, their clips, the world models and the planner, each checked against a second computation."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from minivjepa.evaluation.statistics import rate_in_words, wilson
from minivjepa.objective import sigreg, unit_directions
from minivjepa.training.runs import Run
from minivjepa.tubelets import Grid
from minivjepa.world.base_world import MEAN, STD
from minivjepa.world.goal_reaching import Task, oracle_costs, picture_costs, planning_policy, pursue, random_policy
from minivjepa.world.le_world_model import ActionBlock, LatentPredictor
from minivjepa.world.planner import CEM, latent_cost
from minivjepa.world.rooms import BACKGROUND, ROBOT, WALL, Rooms
from minivjepa.world.world_clips import WorldClips
from minivjepa.world.world_recipe import PRESETS, WorldConfig, build_frozen, build_lewm, learning_rate
from minivjepa.world.world_trainer import WorldTrainer, open_clips, position_r2

CPU = torch.device("cpu")
ROOMS = Rooms()
SMALL = WorldConfig(
    dim=16, depth=1, hidden=32, latent=8, predictor_dim=16, predictor_depth=1, directions=32, batch=16, steps=8, warmup=2,
    log_every=4, checkpoint_every=3,
)  # fmt: skip


def places(count: int, seed: int = 0) -> Tensor:
    return ROOMS.place(torch.rand(count, 2, generator=torch.Generator().manual_seed(seed)))


def inside(position: Tensor) -> Tensor:
    """Whether a robot's centre is where it may be, written differently from Rooms: no wall within a box of its radius."""
    y, x = position.unbind(-1)
    slack = 2e-5
    world = (torch.minimum(y, x) >= ROOMS.robot - slack) & (torch.maximum(y, x) <= 1 - ROOMS.robot + slack)
    room = (x <= 0.5 - ROOMS.wall / 2 - ROOMS.robot + slack) | (x >= 0.5 + ROOMS.wall / 2 + ROOMS.robot - slack)
    top, bottom = ROOMS.door_at - ROOMS.door / 2, ROOMS.door_at + ROOMS.door / 2
    doorway = (y - ROOMS.robot >= top - slack) & (y + ROOMS.robot <= bottom + slack)
    return world & (room | doorway)


def test_a_frame_is_what_a_slow_loop_paints() -> None:
    """Catches: rows and columns swapped, a wall where the door is, colors in another order."""
    position, height, width = torch.tensor([0.3, 0.62]), 12, 20
    fast = ROOMS.render(position, height, width)
    for row in range(height):
        for column in range(width):
            y, x = (row + 0.5) / height, (column + 0.5) / width
            wall = abs(x - 0.5) < ROOMS.wall / 2 and not ROOMS.door_at - 0.14 <= y <= ROOMS.door_at + 0.14
            far = math.hypot(y - 0.3, x - 0.62)
            share = 1 / (1 + math.exp(-(ROOMS.robot - far) * 2 * height))
            for color in range(3):
                under = WALL[color] if wall else BACKGROUND[color]
                wanted = ((1 - share) * under + share * ROBOT[color] - MEAN) / STD
                assert abs(float(fast[color, row, column]) - wanted) < 1e-4, (row, column, color)


def test_many_frames_in_one_pass_are_the_same_as_one_by_one() -> None:
    """Catches: broadcasting that mixes up the frames of a batch."""
    position = places(6).view(2, 3, 2)
    together = ROOMS.render(position, 16, 16)
    assert together.shape == (2, 3, 3, 16, 16)
    torch.testing.assert_close(together[1, 2], ROOMS.render(position[1, 2], 16, 16))


@given(seed=st.integers(0, 2**31), speed=st.floats(0.01, 0.49))
def test_no_robot_passes_through_a_wall(seed: int, speed: float) -> None:
    """Catches: a fast robot that jumps the wall, a corner of the doorway that can be cut, one that a wall throws to the door."""
    rooms = replace(ROOMS, speed=speed)
    actions = (
        6 * torch.rand(40, 12, 2, generator=torch.Generator().manual_seed(seed)) - 3
    )  # cut to -1 .. 1 by the rooms
    path = rooms.walk(places(40, seed), actions)
    assert inside(path).all()
    assert (path[:, 1:] - path[:, :-1]).abs().max() <= speed + 1e-4  # no robot jumps
    # a quarter of a step is shorter than the doorway is deep, so a robot that changes rooms is seen in the doorway
    assert speed / 4 < 2 * rooms.strip
    slow = replace(rooms, speed=speed / 4)
    steps = path[:, :1]
    for action in actions.unbind(1):
        for _ in range(4):
            steps = torch.cat([steps, slow.move(steps[:, -1], action)[:, None]], dim=1)
    assert inside(steps).all()


def test_a_wall_stops_a_robot_and_it_slides_along() -> None:
    """Catches: robots that stick to walls, or that a wall throws back."""
    start = torch.tensor([0.2, 0.3])
    path = ROOMS.walk(start, torch.tensor([[0.2, 1.0]] * 4))
    assert abs(float(path[-1, 1]) - (0.5 - ROOMS.strip)) < 1e-6
    assert abs(float(path[-1, 0]) - (0.2 + 4 * 0.2 * ROOMS.speed)) < 1e-6
    through = ROOMS.walk(torch.tensor([ROOMS.door_at, 0.3]), torch.tensor([[0.0, 1.0]] * 4))
    assert abs(float(through[-1, 1]) - (0.3 + 4 * ROOMS.speed)) < 1e-6


def test_walking_distance_bounds_every_walk() -> None:
    """Catches: a detour on the wrong side. No path is shorter than the straight line; through the door it is longer."""
    a, b = places(500, 1), places(500, 2)
    found, straight = ROOMS.walking_distance(a, b), (a - b).norm(dim=1)
    assert (found >= straight - 1e-5).all()
    one_room = (a[:, 1] < 0.5) == (b[:, 1] < 0.5)
    one_room &= ~ROOMS.in_strip(a[:, 1]) & ~ROOMS.in_strip(b[:, 1])
    torch.testing.assert_close(found[one_room], straight[one_room])
    ends = torch.tensor([[0.1, 0.1]]), torch.tensor([[0.1, 0.9]])
    leg = math.hypot(ROOMS.door_at - ROOMS.gap - 0.1, 0.5 - ROOMS.strip - 0.1)  # to the upper corner of the doorway
    assert abs(float(ROOMS.walking_distance(*ends)) - (2 * leg + 2 * ROOMS.strip)) < 1e-5


def test_robots_start_everywhere_they_can_be_and_nowhere_else() -> None:
    """Catches: starts inside the wall; a doorway where no robot ever is, so no model can learn it."""
    found = places(2000)
    assert inside(found).all()
    assert 0.1 < ROOMS.in_strip(found[:, 1]).float().mean() < 0.35


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"door": 0.1}, "lets no robot of radius 0.06 pass"),
        ({"door_at": 0.9}, "leaves the world"),
        ({"speed": 0.7}, "speed is 0.7"),
    ],
)
def test_a_world_that_cannot_be_lived_in_is_refused(change: dict[str, float], message: str) -> None:
    """Catches: a door too narrow, which would look like a planner that fails."""
    with pytest.raises(ValueError, match=message):
        Rooms(**change)


def test_a_trajectory_depends_on_seed_step_and_index_alone() -> None:
    """Catches: numbers that depend on the batch they are drawn in."""
    source = WorldClips(Grid(5, 16, 16, 1, 8), seed=3)
    clip, journey = source.batch(7, torch.tensor([4, 9, 2]))
    again, alone = WorldClips(Grid(5, 16, 16, 1, 8), seed=3).batch(7, torch.tensor([9]))
    assert torch.equal(clip[1], again[0])
    assert torch.equal(journey.actions[1], alone.actions[0])
    assert clip.shape == (3, 3, 5, 16, 16)
    assert journey.actions.shape == (3, 4, 2)
    for other in (source.journey(8, torch.tensor([9])), WorldClips(source.grid, seed=4).journey(7, torch.tensor([9]))):
        assert not torch.equal(other.actions, alone.actions)
    with pytest.raises(ValueError, match="has 1 channels, expected 3"):
        WorldClips(Grid(5, 16, 16, 1, 8, 1))


def test_clips_show_what_the_actions_did() -> None:
    """Catches: frames or actions shifted by one step."""
    clip, journey = WorldClips(Grid(4, 16, 16, 1, 8)).batch(0, torch.arange(5))
    for k in range(3):
        torch.testing.assert_close(
            ROOMS.move(journey.positions[:, k], journey.actions[:, k]), journey.positions[:, k + 1]
        )
    torch.testing.assert_close(clip[:, :, 2], ROOMS.render(journey.positions[:, 2], 16, 16))
    actions = WorldClips(Grid(9, 16, 16, 1, 8)).journey(0, torch.arange(2000)).actions
    assert actions.abs().max() <= 1
    one, next_ = actions[:, 4].flatten(), actions[:, 5].flatten()
    assert 0.3 < float(torch.corrcoef(torch.stack([one, next_]))[0, 1]) < 0.8  # it wanders, and does not tremble


def predictor(memory: int = 4) -> LatentPredictor:
    torch.manual_seed(0)
    made = LatentPredictor(6, 12, 2, 2, 2, memory).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return made


def test_before_training_the_predictor_says_that_nothing_changes() -> None:
    """Catches: gates that start open, an initialisation that undoes AdaLN-zero."""
    torch.manual_seed(0)
    made, z = LatentPredictor(6, 12, 2, 2, 2, 4), torch.randn(3, 4, 6)
    assert torch.equal(made(z, torch.randn(3, 4, 2)), z)
    block, x = ActionBlock(12, 2), torch.randn(2, 3, 12)
    block.start()
    assert torch.equal(block(x, torch.randn(2, 3, 12), torch.ones(3, 3, dtype=torch.bool)), x)
    model = build_lewm(SMALL)
    z = torch.randn(2, SMALL.latent)
    assert torch.equal(model.imagine(z, torch.rand(2, 3, 2))[:, -1], z)


@given(frame=st.integers(1, 3), of_actions=st.booleans())
def test_what_comes_later_changes_no_prediction(frame: int, of_actions: bool) -> None:
    """Catches: a future that leaks through the attention or through the actions."""
    made, z, a = predictor(), torch.randn(2, 4, 6).double(), torch.randn(2, 4, 2).double()
    before = made(z, a)
    changed = [z.clone(), a.clone()]
    changed[of_actions][:, frame] += 1.0
    after = made(*changed)
    torch.testing.assert_close(after[:, :frame], before[:, :frame], rtol=1e-12, atol=1e-12)
    assert (after[:, frame] - before[:, frame]).abs().max() > 1e-4
    assert frame == 3 or (after[:, frame + 1] - before[:, frame + 1]).abs().max() > 1e-6  # and it is remembered


def test_more_frames_than_the_memory_are_refused() -> None:
    """Catches: positions that run out in silence."""
    with pytest.raises(ValueError, match="given 5 frames, expected at most the 4"):
        predictor()(torch.randn(1, 5, 6).double(), torch.randn(1, 5, 2).double())


def test_imagination_feeds_itself_and_looks_back_as_far_as_the_memory() -> None:
    """Catches: an action used a step late; a window that is one too short."""
    model = build_lewm(replace(SMALL, frames=3)).double()  # memory 2
    for parameter in model.predictor.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    z, a = torch.randn(2, 8).double(), torch.randn(2, 3, 2).double()
    first = model.predictor(z[:, None], a[:, :1])[:, 0]
    second = model.predictor(torch.stack([z, first], 1), a[:, :2])[:, 1]
    third = model.predictor(torch.stack([first, second], 1), a[:, 1:])[:, 1]
    torch.testing.assert_close(model.imagine(z, a), torch.stack([first, second, third], dim=1))


def test_the_losses_are_next_latent_error_and_lambda_times_sigreg() -> None:
    """Catches: a target that is detached, a lambda that is forgotten, samples mixed over time."""
    model = build_lewm(SMALL)
    clip, journey = open_clips(SMALL, CPU).batch(0, torch.arange(16))
    directions = unit_directions(SMALL.latent, SMALL.directions, SMALL.seed, 0, CPU)
    assert torch.allclose(directions.norm(dim=0), torch.ones(32))
    error, term = model.losses(clip, journey.actions, SMALL.seed, 0)
    z = model.embed(clip)
    torch.testing.assert_close(error, (model.predictor(z[:, :-1], journey.actions) - z[:, 1:]).square().mean())
    by_step = [sigreg(z[:, k], directions) for k in range(SMALL.frames)]
    torch.testing.assert_close(term, 0.1 * torch.stack(by_step).mean())
    # at the start the prediction is the latent before: detached targets would halve the gradient of their distance
    gradient = torch.autograd.grad(error, z_of := list(model.projector.parameters()), retain_graph=True)[0]
    z = model.embed(clip)
    by_hand = torch.autograd.grad((z[:, :-1] - z[:, 1:]).square().mean(), z_of)[0]
    torch.testing.assert_close(gradient, by_hand)


def test_sigreg_has_the_gradient_of_finite_differences() -> None:
    """Catches: a statistic through which gradients do not flow."""
    torch.manual_seed(0)
    z = torch.randn(12, 3, dtype=torch.float64, requires_grad=True)
    directions = torch.nn.functional.normalize(torch.randn(3, 5, dtype=torch.float64), dim=0)
    assert torch.autograd.gradcheck(lambda x: sigreg(x, directions), z)


def test_sigreg_of_turned_samples_is_the_same_in_expectation() -> None:
    """Catches: directions that favour axes. Exactly: turning samples and directions together changes nothing."""
    torch.manual_seed(0)
    z = torch.randn(200, 4, dtype=torch.float64) * torch.tensor([0.2, 0.5, 1.0, 2.0], dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0]
    many = torch.nn.functional.normalize(torch.randn(4, 20_000, dtype=torch.float64), dim=0)
    torch.testing.assert_close(sigreg(z @ turn, turn.T @ many), sigreg(z, many))
    values = [torch.cat([sigreg(x, part)[None] for part in many.split(500, dim=1)]).mean() for x in (z, z @ turn)]
    assert abs(values[0] / values[1] - 1) < 0.03


def test_main_directions_keep_what_differs_and_predict_nothing_of_actions() -> None:
    """Catches: PCA over tokens instead of frames, an encoder that trains on."""
    model = build_frozen(WorldConfig(model="untrained", latent=16, predictor_dim=24, predictor_heads=2))
    frames = ROOMS.render(places(64), 32, 32)
    z = model.embed(frames[:, :, None])[:, 0]
    assert z.shape == (64, 16)
    assert torch.allclose(z.mean(dim=1), torch.zeros(64), atol=1e-4)
    assert torch.allclose(z.std(dim=1, correction=0), torch.ones(64), atol=1e-2)
    axes = model.directions.directions
    torch.testing.assert_close(axes.T @ axes, torch.eye(16), rtol=0, atol=1e-4)
    assert not any(p.requires_grad for p in model.encoder.parameters())
    with pytest.raises(ValueError, match="16 main directions need as many frames, given 3"):
        model.directions.fit(torch.randn(3, 16, 64))


def test_the_planner_finds_the_optimum_of_a_known_function() -> None:
    """Catches: elites that are the worst, a spread that never shrinks, actions beyond their bounds."""
    best = (
        torch.tensor([[0.5, -0.3], [0.9, 0.2], [-0.6, 0.0]]).expand(4, 3, 2)
        * torch.tensor([1, -1, 0.5, 2])[:, None, None]
    )
    generator = torch.Generator().manual_seed(0)
    planner = CEM(horizon=3, samples=200, elites=20, rounds=12)
    found = planner.plan(
        lambda plans: (plans - best[:, None]).square().sum(dim=(2, 3)),
        torch.zeros(4, 3, 2),
        lambda number: torch.randn(4, 200, 3, 2, generator=generator),
    )
    assert (found - best.clamp(-1, 1)).abs().max() < 0.05
    with pytest.raises(ValueError, match="9 elites of 4 samples"):
        CEM(samples=4, elites=9)


def test_a_plan_costs_its_squared_distance_to_the_goal_where_it_comes_nearest() -> None:
    """Catches: plans compared with another pair's goal, or with the goal of the last chunk."""

    class Sums:
        def embed(self, clip: Tensor) -> Tensor:
            return clip.mean(dim=(1, 3, 4))[..., None]

        def imagine(self, z: Tensor, actions: Tensor) -> Tensor:
            return z[:, None] + actions.cumsum(dim=1)

    now, goal, plans = torch.randn(3, 2), torch.randn(3, 2), torch.randn(3, 1500, 4, 2)  # more than one chunk
    cost = latent_cost(Sums(), now, goal)(plans)
    for pair, plan in ((0, 0), (2, 1499), (1, 700)):
        path = now[pair] + plans[pair, plan].cumsum(dim=0)
        torch.testing.assert_close(cost[pair, plan], (path - goal[pair]).square().mean(dim=1).min())


def test_half_of_the_pairs_lead_through_the_door_and_all_are_far_apart() -> None:
    """Catches: pairs that are solved before the first step; pairs that depend on how many there are."""
    task = Task(pairs=41)
    start, goal = task.draw(ROOMS, CPU)
    assert ((start - goal).norm(dim=1) >= task.apart).all()
    through = (start[:, 1] < 0.5) != (goal[:, 1] < 0.5)
    assert through.tolist() == [index % 2 == 0 for index in range(41)]
    assert torch.equal(replace(task, pairs=5).draw(ROOMS, CPU)[0], start[:5])
    with pytest.raises(ValueError, match=r"apart is 0\.7, expected at most 0\.6"):
        Task(apart=0.7)


def test_the_oracle_reaches_all_goals_and_random_actions_few() -> None:
    """Catches: a task that cannot be solved, a task that solves itself, robots that move on after success."""
    task = Task(pairs=40)
    oracle = planning_policy(CEM(), oracle_costs(ROOMS), task.seed)
    ceiling = pursue(ROOMS, task, oracle, CPU)
    assert ceiling.reached.float().mean() >= 0.95
    assert inside(ceiling.path).all()
    _, goal = task.draw(ROOMS, CPU)
    assert torch.equal(((ceiling.path[:, -1] - goal).norm(dim=1) <= task.radius), ceiling.reached)
    floor = pursue(ROOMS, task, random_policy(task.seed), CPU)
    assert floor.reached.float().mean() < 0.4
    again = pursue(ROOMS, replace(task, pairs=10), oracle, CPU)
    torch.testing.assert_close(again.path, ceiling.path[:10])


def test_wilson_intervals_are_those_of_the_book() -> None:
    """Catches: the normal approximation, which is empty at 100 %."""
    low, high = wilson(200, 200)
    assert high == pytest.approx(1.0)
    assert abs(low - 0.98116) < 1e-4  # n / (n + z^2)
    low, high = wilson(81, 263)  # Newcombe 1998, table I
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert rate_in_words({"success": 81 / 263, "low": low, "high": high}) == "30.8 % (25.5 to 36.6)"


def train(config: WorldConfig, out: Path) -> WorldTrainer:
    run = Run(out, WorldConfig)
    if not run.config_file.exists():
        run.create(config, "rooms")
    trainer = WorldTrainer(config, build_lewm(config), open_clips(config, CPU), run, CPU)
    trainer.fit(lambda step, row: None)
    return trainer


def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Catches: running statistics, optimiser state or losses that a checkpoint forgets."""
    whole = train(SMALL, tmp_path / "whole")

    class Stop(Exception):
        pass

    def stop_after(step: int, row: object) -> None:
        if step == 5:
            raise Stop

    run = Run(tmp_path / "parts", WorldConfig)
    run.create(SMALL, "rooms")
    stopped = WorldTrainer(SMALL, build_lewm(SMALL), open_clips(SMALL, CPU), run, CPU)
    with pytest.raises(Stop):
        stopped.fit(stop_after)
    resumed = train(SMALL, tmp_path / "parts")
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in whole.run.history()]
    assert rows == [{k: v for k, v in row.items() if k != "seconds"} for row in resumed.run.history()]
    assert [row["step"] for row in rows] == [0, 1, 2, 4, 5, 8]


def test_the_learning_rate_warms_up_and_ends_low() -> None:
    """Catches: a division by a warm-up of 0, a cosine that never arrives."""
    assert learning_rate(SMALL, 0) == SMALL.lr / 2
    assert learning_rate(SMALL, 2) == SMALL.lr
    assert learning_rate(replace(SMALL, steps=1000, warmup=0), 999) < 0.051 * SMALL.lr


def test_our_world_model_has_the_numbers_that_the_table_on_fidelity_names() -> None:
    """Catches: a default that changed, and a table that still compares the old one with LeWorldModel's."""
    config, planner = WorldConfig(), CEM()
    model = build_lewm(config)
    assert (config.frames, model.predictor.memory) == (4, 3)
    assert (config.size, config.patch, config.dim, config.depth) == (32, 8, 64, 2)
    assert isinstance(model.projector.norm, torch.nn.BatchNorm1d)
    assert not any(isinstance(part, torch.nn.Dropout) for part in model.modules())
    assert (config.weight, config.directions) == (0.1, 256)
    assert (config.lr, config.weight_decay, config.batch) == (1e-3, 0.01, 96)
    assert (planner.samples, planner.elites, planner.rounds, planner.horizon) == (64, 8, 4, 10)
    clip = torch.rand(2, 3, 4, 32, 32)
    frames = clip.transpose(1, 2).flatten(0, 1)[:, :, None]
    assert torch.equal(model.eval().embed(clip).flatten(0, 1), model.projector(model.encoder(frames).mean(dim=1)))


def test_the_preset_lewm_official_has_leworldmodels_numbers_and_can_be_trained() -> None:
    """Catches: a number of the published config that is wrong, or sizes that do not fit each other."""
    config = PRESETS["lewm-official"]
    assert (config.frames, config.size, config.patch, config.batch) == (4, 224, 14, 128)
    assert (config.latent, config.dim, config.depth, config.heads, config.hidden) == (192, 192, 12, 3, 2048)
    assert (config.predictor_dim, config.predictor_depth, config.predictor_heads) == (192, 6, 16)
    assert (config.weight, config.directions, config.lr, config.weight_decay) == (0.09, 1024, 5e-5, 1e-3)
    model, clips = build_lewm(config), open_clips(config, CPU)
    assert model.predictor.blocks[0].mlp.fc1.out_features == 768  # docs/fidelity.md says so
    clip, journey = clips.batch(0, torch.arange(2))
    sum(model.losses(clip, journey.actions, 0, 0)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.slow
def test_without_sigreg_latents_collapse_and_with_it_they_do_not(tmp_path: Path) -> None:
    """Catches: a regulariser without effect, or a hidden safeguard that would make it look needless."""
    config = replace(SMALL, dim=32, hidden=64, batch=48, steps=250, lr=3e-3, log_every=125)
    kept, lost = train(config, tmp_path / "kept"), train(replace(config, weight=0.0), tmp_path / "lost")
    kept_std, lost_std = (t.run.history()[-1]["feature_std"] for t in (kept, lost))
    assert kept_std > 0.5
    assert lost_std < 0.1
    assert lost.run.history()[-1]["loss"] < kept.run.history()[-1]["loss"]  # the collapsed one looks better
    assert position_r2(kept.model, ROOMS, 32, CPU) > 0.5


def test_a_picture_says_nothing_but_where_the_robot_is() -> None:
    """Catches: a planner that is given positions; now and goal swapped."""
    model = build_lewm(SMALL).eval()
    position, goal = places(3, 1), places(3, 2)
    cost = picture_costs(model, ROOMS, 32, 32)(position, goal)
    plans = torch.zeros(3, 2, 1, 2)
    frames = ROOMS.render(torch.stack([position, goal]), 32, 32)
    now, wanted = (model.embed(part[:, :, None])[:, 0] for part in frames)
    torch.testing.assert_close(cost(plans)[:, 0], (now - wanted).square().mean(dim=1).detach())  # nothing moves yet
