"""The worlds by name, and what counts as success in each.

Read in lesson 12.
"""

from minivjepa.world.base_world import World
from minivjepa.world.goal_reaching import Task
from minivjepa.world.maze import Maze
from minivjepa.world.rooms import Rooms
from minivjepa.world.rooms_busy import RoomsBusy

WORLDS: dict[str, World] = {
    "rooms": Rooms(),
    "rooms-lamps": RoomsBusy(strangers=0, changing=False, glare=0.6),
    "rooms-busy": RoomsBusy(),
    "maze": Maze(),
}
TASKS: dict[str, Task] = {
    "rooms": Task(),
    "rooms-lamps": Task(radius=0.06, steps=30),
    "rooms-busy": Task(radius=0.06, steps=30),
    "maze": Task(radius=0.06, steps=80),
}
