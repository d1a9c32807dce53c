"""Pictures of docs/worlds.md, from results/worlds.json."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from worlds_recipes import ENCODERS
from worlds_silent import goal_of
from worlds_tables import FLOORS, PLANNERS, groups

from minivjepa.figures import COLORS, STYLES, Picture, curves, finish, panels
from minivjepa.world.base_world import displayable
from minivjepa.world.worlds import WORLDS

HEADS = {
    "lewm": "latents of\nLeWorldModel",
    "vjepa, default": "latents of\nV-JEPA",
    "raw, 128": "raw pixels,\n128 numbers",
}
PIXELS = 96  # of the world's own picture
MARKERS = dict(zip(PLANNERS, "o^s"))


def floors_picture(results: dict[str, Any]) -> Picture:
    """Goals reached by the controls in each world, by budget and radius."""
    figure, axes = panels((9, 3.5), len(WORLDS))
    said = []
    for ax, world in zip(axes, WORLDS):
        found = {row["planner"]: row for row in results["curves"] if row["world"] == world}
        task = results["settings"][f"task of {world}"]
        radii = found["random"]["radii"]
        for number, (radius, shares) in enumerate(zip(radii, found["random"]["table"])):
            shade = colormaps["viridis_r"]((number + 1) / len(radii))
            ax.plot(found["random"]["budgets"], 100 * np.array(shares), color=shade, label=f"random, radius {radius:g}")
        for name, style in zip(("straight", "oracle"), STYLES[1:]):
            shares = 100 * np.array(found[name]["table"][radii.index(task["radius"])])
            ax.plot(found[name]["budgets"], shares, color="black", ls=style, label=f"{FLOORS[name]}, the task's radius")
        ax.axvline(task["steps"], color="gray", lw=1)
        ax.set(ylim=(0, 103))
        finish(ax, "steps", "goals reached (%)", world, legend=False)
        ax.label_outer()
        low, high = (100 * found["random"]["table"][r][b] for r, b in ((0, 0), (-1, -1)))
        said.append(f"{world} {low:.0f} to {high:.0f} %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)
    return Picture(
        figure,
        f"Goals reached over steps in each world. Random actions, from the strictest task to the easiest: {'; '.join(said)}.",
        "Colors: random actions, from a small radius (light) to a large one (dark). The gray line: the task's own budget.",
    )


def cost_picture(results: dict[str, Any]) -> Picture:
    """Goals reached against processor time per decision: a large mark for each encoder and planner, a small one for each training."""
    figure, axes = panels((9, 6.6), 2, 2)
    colors, said = dict(zip(ENCODERS, COLORS)), []
    cost, found = [row["milliseconds"] for row in results["rows"]], groups(results["rows"])
    for ax, world in zip(axes, WORLDS):
        means = {}
        for (where, planner, encoder), rows in found.items():
            if where == world and encoder in colors:
                x, y = (np.array([row[name] for row in rows]) for name in ("milliseconds", "success"))
                ax.plot(x, 100 * y, MARKERS[planner], color=colors[encoder], ms=4, alpha=0.4)
                ax.plot(x.mean(), 100 * y.mean(), MARKERS[planner], color=colors[encoder], ms=9)
                means[100 * y.mean()] = f"{encoder} with {planner}, {100 * y.mean():.0f} % at {x.mean():.2g} ms"
        said.append(f"{world}: {means[max(means)]}")
        for row, style in zip((row for row in results["floors"] if row["world"] == world), STYLES[1:]):
            ax.axhline(100 * row["success"], color="black", lw=1, ls=style, label=FLOORS[row["planner"]])
        ax.set(xscale="log", xlim=(min(cost) / 1.5, max(cost) * 1.5), ylim=(-3, 104))
        finish(ax, "processor time for a decision (ms)", "goals reached (%)", world, legend=False)
        ax.label_outer()
    for encoder, color in colors.items():
        axes[0].plot([], [], color=color, lw=6, label=encoder)
    for planner, marker in MARKERS.items():
        axes[0].plot([], [], marker, color="gray", ms=9, label=planner)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9)
    return Picture(
        figure,
        f"Dots of goals reached over milliseconds per decision in each world. Most goals: {'; '.join(said)}.",
        "Small marks are training runs, large ones their means, black lines the controls. Left is cheaper, up is better.",
    )


def longer_picture(results: dict[str, Any]) -> Picture:
    """Loss and goals reached while predictors train on and on."""
    columns, said = {}, []
    for row in results["longer"]:
        steps, loss, success = zip(*((part["steps"], part["loss"], 100 * part["success"]) for part in row["curve"]))
        columns[f"{row['encoder']} in {row['world']}"] = steps, loss, success
        said.append(f"{row['encoder']} in {row['world']}: {', '.join(f'{share:.0f}' for share in success)}")
    figure, axes = curves((9, 3.2), ["loss", "goals reached (%)"], columns, "training steps", marker="o")
    axes[0].set(xscale="log", yscale="log")
    axes[1].set(xscale="log", ylim=(-3, 103))
    return Picture(
        figure,
        f"Two panels over training steps: the loss falls, and percent of goals reached. {'; '.join(said)}.",
        "One training of each, at a constant learning rate.",
    )


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
