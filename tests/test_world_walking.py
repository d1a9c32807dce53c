"""Walking distance in the rooms, against shortest paths on a fine grid."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from minivjepa.world.rooms import Rooms

ROOMS = Rooms()
OTHERS = (Rooms(wall=0.3, door=0.2, door_at=0.3), Rooms(robot=0.03, door=0.4, door_at=0.6))
SIDE = 101  # points of the grid on each axis
MOVES = [(0, 1), (1, 0)] + [
    (down, right * sign)
    for down in range(1, 6)
    for right in range(1, 6)
    if math.gcd(down, right) == 1
    for sign in (1, -1)
]


def free(rooms: Rooms, y: Tensor, x: Tensor) -> Tensor:
    """Whether the robot's centre can be at (y, x) inside the world."""
    return ((x - 0.5).abs() >= rooms.strip) | ((y - rooms.door_at).abs() <= rooms.gap)


def grid_steps(rooms: Rooms) -> tuple[Tensor, csr_matrix]:
    """Points [SIDE^2, 2] of a grid, and the lengths of all straight moves of up to 5 rows or columns that touch no wall."""
    line = torch.linspace(rooms.robot, 1 - rooms.robot, SIDE, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    ids, starts, ends, lengths = torch.arange(SIDE * SIDE).view(SIDE, SIDE), [], [], []
    shares = torch.linspace(0, 1, 101, dtype=torch.float64)[:, None, None]
    for down, right in MOVES:
        here = (slice(0, SIDE - down), slice(max(0, -right), SIDE - max(0, right)))
        there = (slice(down, SIDE), slice(max(0, right), SIDE + min(0, right)))
        dy, dx = y[there] - y[here], x[there] - x[here]
        clear = free(rooms, y[here] + shares * dy, x[here] + shares * dx).all(dim=0)
        starts.append(ids[here][clear])
        ends.append(ids[there][clear])
        lengths.append(dy.hypot(dx)[clear])
    matrix = csr_matrix((torch.cat(lengths), (torch.cat(starts), torch.cat(ends))), shape=(SIDE * SIDE,) * 2)
    return torch.stack([y, x], dim=-1).flatten(0, 1), matrix


@pytest.mark.parametrize("rooms", [ROOMS, *OTHERS])
def test_walking_distance_is_the_shortest_path(rooms: Rooms) -> None:
    """Catches: an oracle that cuts the doorway's corners, or that always walks through its middle."""
    points, steps = grid_steps(rooms)
    order = torch.randperm(SIDE * SIDE, generator=torch.Generator().manual_seed(0))
    order = order[free(rooms, *points[order].T)]
    doorway = rooms.in_strip(points[order, 1])
    starts = torch.cat([order[~doorway][:20], order[doorway][:10]])
    on_grid = torch.from_numpy(dijkstra(steps, directed=False, indices=starts.numpy()))[:, order]
    excess = on_grid - rooms.walking_distance(points[starts][:, None], points[order])
    assert float(excess.min()) > -1e-4  # no path on the grid is shorter
    assert float(excess.max()) < 0.025  # the shortest one on the grid is hardly longer


@given(seed=st.integers(0, 2**31), number=st.integers(0, 2))
def test_walking_obeys_the_triangle_inequality_and_is_as_far_there_as_back(seed: int, number: int) -> None:
    """Catches: a doorway that is known from one side only, starts in the doorway that are sent back to its ends."""
    rooms = (ROOMS, *OTHERS)[number]
    a, b, c = rooms.place(torch.rand(3, 200, 2, generator=torch.Generator().manual_seed(seed))).unbind(0)
    found = rooms.walking_distance(a, b)
    torch.testing.assert_close(found, rooms.walking_distance(b, a))
    assert bool((found >= (a - b).norm(dim=1) - 1e-6).all())
    assert bool((found <= rooms.walking_distance(a, c) + rooms.walking_distance(c, b) + 1e-6).all())


def test_from_inside_the_doorway_the_way_leads_around_its_corner() -> None:
    """Catches: a straight line through the wall from the doorway to its own side."""
    corner, room = torch.tensor([ROOMS.door_at + ROOMS.gap, 0.5 - ROOMS.strip]), torch.tensor([0.9, 0.3])
    inside = torch.tensor([0.5, 0.49])
    around = (inside - corner).norm() + (corner - room).norm()
    assert float(ROOMS.walking_distance(inside, room)) == pytest.approx(float(around))
    assert float(around) > float((inside - room).norm()) + 0.01
    assert float(ROOMS.walking_distance(inside, torch.tensor([0.5, 0.51]))) == pytest.approx(0.02)
