"""The picture of latent distances in docs/worlds.md, from results/worlds.json."""

from typing import Any

import numpy as np
from worlds_silent import goal_of

from minivjepa.figures import Picture, panels
from minivjepa.world.base_world import displayable
from minivjepa.world.worlds import WORLDS

HEADS = {"lewm": "latents of\nLeWorldModel", "vjepa, 128": "latents of\nV-JEPA", "raw, 128": "raw pixels,\n128 numbers"}
PIXELS = 96  # of the world's own picture


def ranks(values: list[float]) -> np.ndarray:
    """From 0 for the nearest place to 1 for the farthest: scales of latents differ, their order can be compared."""
    return np.argsort(np.argsort(np.array(values), kind="stable")) / (len(values) - 1)


def landscape_picture(results: dict[str, Any], worlds: tuple[str, ...]) -> Picture:
    """One row a world: the world with its goal, then how far each place is from it, on foot and in each encoder's latents."""
    figure, axes = panels((10, 2.35 * len(worlds) + 0.3), 2 + len(HEADS), len(worlds))
    said = []
    for world, (first, *others) in zip(worlds, axes.reshape(len(worlds), -1)):
        found = {each["encoder"]: each for each in results["landscapes"] if each["world"] == world}
        scene = WORLDS[world].unseen
        frame = displayable(scene.render(goal_of(scene), PIXELS, PIXELS))[0]
        maps = [found["lewm"]["walking"], *(found[name]["latent"] for name in HEADS)]
        first.imshow(frame.permute(1, 2, 0).numpy(), extent=(0, 1, 1, 0))
        for ax, far in zip(others, maps):
            ax.scatter(found["lewm"]["x"], found["lewm"]["y"], c=ranks(far), cmap="viridis_r", s=14, marker="s", lw=0)
            ax.plot(*found["lewm"]["goal"][::-1], "*", color="white", mec="black", ms=12)
        for ax in (first, *others):
            ax.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[], aspect=1)
        first.set_ylabel(world)
        told = ", ".join(f"{name} {found[name]['rank_with_walking']:.2f}" for name in HEADS)
        said.append(f"{world}: {told}")
    for ax, title in zip(axes, ("the goal", "on foot", *HEADS.values())):
        ax.set_title(title, fontsize=10)
    words = "; ".join(said)
    return Picture(
        figure,
        f"Maps of how far each place is from a goal, on foot and in latents. Rank correlation with the walk: {words}.",
        "Yellow is near the goal (the star), dark is far.",
    )
