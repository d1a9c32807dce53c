"""What every world promises, and what the busy rooms and the maze add to it."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from minivjepa.tubelets import Grid
from minivjepa.world import maze_layouts
from minivjepa.world.base_world import DETOUR, World
from minivjepa.world.goal_reaching import controls, pursue
from minivjepa.world.maze import Maze
from minivjepa.world.maze_layouts import CELL, SIDE, doors, is_kept_back, layouts
from minivjepa.world.planner import CEM
from minivjepa.world.rooms_busy import DOORS, LATEST, SPEED, RoomsBusy
from minivjepa.world.world_clips import WorldClips
from minivjepa.world.world_recipe import WorldConfig, build_frozen
from minivjepa.world.world_trainer import open_clips
from minivjepa.world.worlds import TASKS, WORLDS

CPU = torch.device("cpu")
NAMES = pytest.mark.parametrize("name", WORLDS)
NEW = pytest.mark.parametrize("name", [name for name in WORLDS if name != "rooms"])
MAZE, BUSY = Maze(), RoomsBusy()


def drawn(world: World, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Starts and goals of some episodes."""
    generator = torch.Generator().manual_seed(seed)
    start = world.draw(torch.rand(count, world.numbers, generator=generator))
    return start, world.goal(start, torch.rand(count, world.more, generator=generator))


def actions(count: int, steps: int, seed: int = 0) -> Tensor:
    """Some that go on in a direction, and some beyond -1 .. 1."""
    return 1.5 * torch.randn(count, steps, 2, generator=torch.Generator().manual_seed(seed)).cumsum(dim=1) / steps**0.5


@NAMES
def test_a_state_decides_its_picture_and_what_follows(name: str) -> None:
    """Catches: a world with a memory of its own, pictures that depend on their batch or cannot be seen again."""
    world = WORLDS[name]
    start, goal = drawn(world, 5)
    path = world.walk(start, actions(5, 6))
    assert path.shape == (5, 7, start.shape[1])
    frames = world.render(path, 32, 32)
    assert frames.shape == (5, 7, 3, 32, 32)
    assert bool(frames.isfinite().all())
    again = world.walk(start[2:3], actions(5, 6)[2:3])
    assert torch.equal(again[0], path[2])
    torch.testing.assert_close(world.render(path[2, 4], 32, 32), frames[2, 4], rtol=0, atol=1e-5)
    assert torch.equal(world.walk(path[:, 3], actions(5, 6)[:, 3:]), path[:, 3:])
    assert torch.equal(start, drawn(world, 5)[0])
    assert not torch.equal(start, goal)


@NAMES
def test_training_clips_and_models_show_the_world_of_the_config(name: str) -> None:
    """Catches: an option that is stored and not used; examples of main directions from another world."""
    config = WorldConfig(model="untrained", world=name)
    clips = open_clips(config, CPU)
    assert clips.world == WORLDS[name]
    clip, journey = clips.batch(0, torch.arange(2))
    assert torch.equal(clip, clips.world.render(journey.states, 32, 32).transpose(1, 2))
    assert torch.equal(journey.positions, journey.states[..., :2])
    other = build_frozen(WorldConfig(model="untrained", world="maze" if name == "rooms" else "rooms"))
    assert not torch.equal(build_frozen(config).directions.mean, other.directions.mean)


def test_options_of_the_rooms_are_refused_elsewhere() -> None:
    """Catches: a world that is not there; options that would change nothing."""
    with pytest.raises(ValueError, match="unknown world 'mars'; choose from rooms, rooms-lamps, rooms-busy, maze"):
        WorldConfig(world="mars")
    with pytest.raises(ValueError, match=r"--rooms\.\* is about the world rooms, and --world is maze"):
        WorldConfig(world="maze", rooms=replace(WorldConfig().rooms, door=0.4))


@NEW
def test_the_floors_leave_room_for_models(name: str) -> None:
    """Catches: a task that solves itself, that a straight walk solves, or that cannot be solved."""
    world, task = WORLDS[name], replace(TASKS[name], pairs=12)
    policies = controls(world, CEM(), task.seed)
    reached = {who: pursue(world, task, policies[who], CPU).reached.sum() for who in ("random", "straight", "oracle")}
    assert reached["random"] <= 2
    assert reached["straight"] <= 4
    assert reached["oracle"] == 12


@NEW
def test_every_pair_can_be_walked_and_leads_around_something(name: str) -> None:
    """Catches: goals in walls or out of reach, pairs of different episodes, ways that a straight walk would find."""
    world, task = WORLDS[name], replace(TASKS[name], pairs=100)
    start, goal = task.draw(world, CPU)
    far, line = world.walking_distance(start, goal), world.line(start, goal)
    assert bool(far.isfinite().all())
    assert bool((far >= DETOUR * line).all())
    assert bool((line >= task.apart).all())
    assert bool((far <= task.steps * world.speed).all())
    fixed = [k for k in range(2, start.shape[1]) if name == "maze" or k != 3]  # 3: the clock
    assert torch.equal(start[:, fixed], goal[:, fixed])
    assert bool(world.through(start, goal).all())
    fewer, _ = replace(task, pairs=7).draw(world, CPU)
    assert torch.equal(fewer, start[:7])


@NEW
def test_the_start_of_an_episode_says_nothing_about_its_goal(name: str) -> None:
    """Catches: numbers that start and goal share; lamps, strangers or walls that point at the goal."""
    world = WORLDS[name]
    start, goal = drawn(world, 4000)
    if name == "rooms-busy":  # a robot in the doorway is where the door is
        room = ~(BUSY.rooms.in_strip(start[:, 1]) | BUSY.rooms.in_strip(goal[:, 1]))
        start, goal = start[room], goal[room]
    if isinstance(world, RoomsBusy):
        start = torch.cat([start, world.lamps(start).flatten(1)], dim=1)
    both = torch.cat([start, goal[:, :2]], dim=1).T
    found = torch.corrcoef(both)[: start.shape[1], start.shape[1] :].nan_to_num()
    assert float(found.abs().max()) < 0.08


def test_what_moves_by_itself_is_a_function_of_the_clock() -> None:
    """Catches: strangers that leave their room or jump, lamps that last or that come back, a goal in the past."""
    start, goal = drawn(BUSY, 300)
    path = BUSY.walk(start, torch.zeros(300, 80, 2))
    where, low = BUSY.where(path), BUSY.rooms.robot - 1e-5  # [300, 81, 2, 2]
    steps = (where[:, 1:] - where[:, :-1]).abs()
    assert float(steps.max()) <= SPEED + 1e-5
    assert float(steps.flatten(1).amax(dim=1).quantile(0.1)) > 0.01
    assert bool((where[:, :, 0, 1] < 0.5 - BUSY.rooms.strip + 1e-5).all())
    assert bool((where[:, :, 1, 1] > 0.5 + BUSY.rooms.strip - 1e-5).all())
    assert bool(((where >= low) & (where <= 1 - low)).all())
    assert float(where.amax(dim=(0, 1))[0, 0]) > 0.9 > 0.1 > float(where.amin(dim=(0, 1))[1, 0])  # they use all of it
    lamps = BUSY.lamps(path)[:, :, 0, 0]
    assert abs(float(torch.corrcoef(torch.stack([lamps[:, 10], lamps[:, 11]]))[0, 1])) < 0.2
    assert len(lamps.unique()) > 0.99 * lamps.numel()
    assert torch.equal(BUSY.lamps(path[:, 33]), BUSY.lamps(torch.cat([path[:, 0, :2], path[:, 33, 2:]], dim=1)))
    assert bool(((goal[:, 3] >= 1) & (goal[:, 3] <= LATEST)).all())


def test_a_stranger_looks_like_the_robot_but_for_a_mark() -> None:
    """Catches: a robot that its color gives away, a mark that cannot be seen, a robot under a stranger."""
    start = drawn(BUSY, 1)[0][0]
    start[:2], start[6:8] = torch.tensor([0.2, 0.8]), torch.tensor([0.5, 0.5])
    size, (y, x) = 256, BUSY.where(start)[0].tolist()
    frame, edge = BUSY.render(start, size, size), 0.8 * BUSY.rooms.robot

    def at(y: float, x: float) -> Tensor:
        return frame[:, int(y * size), int(x * size)]

    body = at(0.2, 0.8)
    torch.testing.assert_close(at(y + edge, x), body, rtol=0, atol=0.1)
    torch.testing.assert_close(at(0.2 + edge, 0.8), body, rtol=0, atol=0.1)
    assert float((at(y, x) - body).abs().max()) > 1
    covered = BUSY.render(torch.cat([torch.tensor([y, x]), start[2:]]), size, size)
    torch.testing.assert_close(covered[:, int(y * size), int(x * size)], body, rtol=0, atol=0.1)


def test_door_and_colors_change_between_episodes_and_only_there() -> None:
    """Catches: a door that is painted where robots cannot pass, episodes that are all alike, lamps in a world without changes."""
    start, _ = drawn(BUSY, 400)
    assert len(start[:, 2].unique()) == DOORS
    assert len(start[:, 5].unique()) == 2
    assert float((BUSY.walk(start, actions(400, 5))[:, :, [2, 4, 5]] - start[:, None, [2, 4, 5]]).abs().max()) == 0
    line = (torch.arange(32) + 0.5) / 32
    dark = replace(BUSY, strangers=0, glare=0.0)
    empty = torch.cat([torch.full((400, 2), -9.0), start[:, 2:6]], dim=1)
    column = dark.render(empty, 32, 32)[:, 2, :, 16]  # blue, along the wall
    opening = (line - start[:, 2:3]).abs() <= BUSY.rooms.door / 2
    assert bool((column[opening].max() < column[~opening].min()).all())
    through = torch.cat([start[:, 2:3], torch.full((400, 1), 0.3), start[:, 2:]], dim=1)
    assert bool((BUSY.walk(through, torch.tensor([[0.0, 1.0]] * 4).expand(400, 4, 2))[:, -1, 1] > 0.8).all())
    lamps_only = WORLDS["rooms-lamps"]
    same = drawn(lamps_only, 50)[0][:, [2, 5]]
    assert torch.equal(same, same[:1].expand(50, 2))
    assert not torch.equal(*lamps_only.render(drawn(lamps_only, 2)[0], 32, 32)[:, :, 30:, 30:])


# ---------------------------------------------------------------- the maze


def test_layouts_are_spanning_trees_and_some_are_never_trained_on() -> None:
    """Catches: cells out of reach, circles, a test maze that was in training."""
    seeds = torch.arange(3000)
    trained, kept = layouts(seeds, False), layouts(seeds, True)
    assert not bool(is_kept_back(trained).any())
    assert bool(is_kept_back(kept).all())
    assert not set(trained.tolist()) & set(kept.tolist())
    assert len(trained.unique()) > 2500
    share = is_kept_back(torch.arange(100_000)).float().mean()
    assert 0.24 < float(share) < 0.26
    ends = doors(CPU).ends.tolist()
    for layout in [*trained[:50].tolist(), *kept[:50].tolist()]:
        opened = [ends[door] for door in range(maze_layouts.DOORS) if layout >> door & 1]
        assert len(opened) == SIDE**2 - 1
        reached = {0}
        for _ in range(SIDE**2):
            reached |= {end for pair in opened if set(pair) & reached for end in pair}
        assert len(reached) == SIDE**2
    clips = WorldClips(Grid(2, 32, 32, 1, 8), world=MAZE).batch(0, torch.arange(500))[1]
    assert not bool(is_kept_back(clips.states[..., 2].long()).any())
    assert bool(is_kept_back(TASKS["maze"].draw(MAZE, CPU)[0][:, 2].long()).all())


def walls_of(layout: int) -> list[tuple[float, float, float, float]]:
    """All walls as rectangles (top, bottom, left, right), written differently from Maze."""
    half, found = MAZE.wall / 2, []
    opened = {tuple(pair) for door, pair in enumerate(doors(CPU).ends.tolist()) if layout >> door & 1}
    for row in range(SIDE):
        for column in range(-1, SIDE):
            cell = row * SIDE + column
            if column in (-1, SIDE - 1) or (cell, cell + 1) not in opened:
                x = (column + 1) * CELL
                found.append((row * CELL - half, (row + 1) * CELL + half, x - half, x + half))
    for row in range(-1, SIDE):
        for column in range(SIDE):
            cell = row * SIDE + column
            if row in (-1, SIDE - 1) or (cell, cell + SIDE) not in opened:
                y = (row + 1) * CELL
                found.append((y - half, y + half, column * CELL - half, (column + 1) * CELL + half))
    return found


def clear(layout: int, points: Tensor, slack: float = 2e-5) -> Tensor:
    """Whether a square of the robot's size at each point [..., 2] touches no wall."""
    y, x = points.unbind(-1)
    free, reach = torch.ones_like(y, dtype=torch.bool), MAZE.robot - slack
    for top, bottom, left, right in walls_of(layout):
        free &= (y <= top - reach) | (y >= bottom + reach) | (x <= left - reach) | (x >= right + reach)
    return free


@settings(max_examples=20)
@given(seed=st.integers(0, 2**31))
def test_no_robot_passes_through_a_wall_of_the_maze(seed: int) -> None:
    """Catches: a closed door that lets robots pass, a corner that is cut, a start inside a wall, robots that stick."""
    start, _ = drawn(MAZE, 6, seed)
    path = MAZE.walk(start, actions(6, 40, seed))
    slow = replace(MAZE, speed=MAZE.speed / 4).walk(start, actions(6, 40, seed).repeat_interleave(4, dim=1))
    for number in range(6):
        assert bool(clear(int(start[number, 2]), torch.cat([path, slow], dim=1)[number, :, :2]).all())
    assert float((path[:, 1:] - path[:, :-1])[..., :2].abs().max()) <= MAZE.speed + 1e-6


def test_robots_pass_open_doors_and_stop_at_closed_ones() -> None:
    """Catches: doors on the wrong side, rows and columns exchanged."""
    ends, middles = doors(CPU).ends, doors(CPU).middles
    start, _ = drawn(MAZE, 40)
    for door in range(maze_layouts.DOORS):
        down = bool(ends[door, 1] - ends[door, 0] > 1)
        here = start.clone()
        here[:, :2] = middles[door] - CELL / 2 * torch.tensor([down, not down])
        push = torch.tensor([float(down), float(not down)]).expand(40, 4, 2)
        far = (MAZE.walk(here, push)[:, -1] - here)[:, :2].norm(dim=1)
        opened = (start[:, 2].long() >> door & 1).bool()
        assert bool((far[opened] > CELL * 0.9).all())
        assert bool((far[~opened] < CELL * 0.3).all())


def test_a_maze_looks_as_its_walls_say() -> None:
    """Catches: doors that are painted as walls, or walls on the wrong axis."""
    start, _ = drawn(MAZE, 5)
    frames = MAZE.render(torch.cat([torch.full((5, 2), -1.0), start[:, 2:]], dim=1), 32, 32)
    line = (torch.arange(32) + 0.5) / 32
    points = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=-1)
    for frame, layout in zip(frames, start[:, 2].long().tolist()):
        solid = torch.zeros(32, 32, dtype=torch.bool)
        for top, bottom, left, right in walls_of(layout):
            y, x = points.unbind(-1)
            solid |= (y > top) & (y < bottom) & (x > left) & (x < right)
        corners = ((points / CELL - (points / CELL).round()).abs() * CELL < MAZE.wall / 2).all(dim=-1)
        painted = frame[2] > frame[2].mean()  # blue
        assert torch.equal(painted, solid | corners)


def test_walking_distance_in_the_maze_is_a_way_that_exists_and_is_hardly_longer_than_the_shortest() -> None:
    """Catches: an oracle that cuts corners or walks through walls, distances that take detours."""
    side, reach = 81, 4
    line = torch.linspace(0.0, 1.0, side, dtype=torch.float64)
    points = torch.stack(torch.meshgrid(line, line, indexing="ij"), dim=-1)
    ids, shares = (
        torch.arange(side**2).view(side, side),
        torch.linspace(0, 1, 21, dtype=torch.float64)[:, None, None, None],
    )
    moves = [
        (d, r) for d in range(reach + 1) for r in range(-reach, reach + 1) if math.gcd(d, r) == 1 and (d > 0 or r > 0)
    ]
    for layout in drawn(MAZE, 3)[0][:, 2].long().tolist():
        starts, ends, lengths = [], [], []
        for down, right in moves:
            here = (slice(0, side - down), slice(max(0, -right), side - max(0, right)))
            there = (slice(down, side), slice(max(0, right), side + min(0, right)))
            free = clear(layout, points[here] + shares * (points[there] - points[here]), 1e-6).all(dim=0)
            starts.append(ids[here][free])
            ends.append(ids[there][free])
            lengths.append((points[there] - points[here]).norm(dim=-1)[free])
        graph = csr_matrix((torch.cat(lengths), (torch.cat(starts), torch.cat(ends))), shape=(side**2,) * 2)
        inside = torch.where(clear(layout, points, 1e-6).flatten())[0]
        some = inside[torch.randperm(len(inside), generator=torch.Generator().manual_seed(0))[:20]]
        shortest = torch.from_numpy(dijkstra(graph, directed=False, indices=some.numpy()))[:, inside]
        states = torch.cat([points.flatten(0, 1), torch.full((side**2, 1), float(layout))], dim=1).float()
        found = MAZE.walking_distance(states[inside], states[some][:, None])
        assert found.shape == shortest.shape
        assert float((shortest - found).max()) < 0.02  # never shorter; the grid's own ways are a little too long
        assert float((found - shortest).max()) < 0.15
        assert float((found / shortest)[shortest > 1].max()) < 1.1
        back = MAZE.walking_distance(states[some][:, None], states[inside])
        torch.testing.assert_close(found, back)
