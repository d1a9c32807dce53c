# %% [markdown]
# # Homework 4: turns, one term, plans, and an open project
#
# After lessons 10 to 12. Seven exercises and a project, 30 points: three hours, and as long as you like for the project.
#
# In each exercise you write one function. The cell below it is its **check**: it stops with a message that says what is probably wrong, or
# prints that all visible cases are right. Your teacher also runs cases that you do not see, at other sizes and settings, so make it right in
# general. The project is graded by a file of weights that you hand in beside this notebook.
#
# - Write where it says `raise NotImplementedError()`, and keep the names of functions and arguments.
# - You may use torch, numpy, einops and `scipy.stats`. The package's own function for a task is *blocked* in its check: writing it is the task.
#   The rules here also differ from the package's and the lessons' in places, so read them.
# - Do not change the inputs: make new ones.
# - Tensors of real numbers are float32, unless an exercise says something else. Counts and sizes are 1 or more.
# - Stuck? Open the hints one after the other.
#
# The exercises go from easy to hard. Below each check, a picture shows what your function does.

# %%
import io
import math
from pathlib import Path

import einops
import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from minivjepa.data.digits import DigitClips
from minivjepa.encoder import Encoder
from minivjepa.training.config import PRESETS
from minivjepa_course.homework import check, is_right

# %% [markdown]
# ## 1. An angle for each pair (2 points, easy, 15 minutes)
#
# Rotary positions turn pairs of numbers of every query and key. This exercise says by how much, and the next one turns.
#
# `places` is [n, A]: where n tokens are on each of A axes, such as row and column. A place can be a fraction, and it can be negative. Every axis has `pairs` pairs,
# numbered k = 0, 1, ... `pairs` - 1. For each step along its axis, pair k turns by
#
# > `base` to the power of -k / `pairs`, in radians.
#
# The pairs of the axes are **dealt out in turn**: pair 0 of the first axis, pair 0 of the second, and so on to the last axis; then pair 1 of the first axis, pair 1 of
# the second, ... (The package takes all pairs of one axis, and then those of the next.)
#
# Return [n, A * `pairs`], one angle for each pair: place times frequency. (Lesson 10 gave each *number* an angle, here it is each pair.)
#
# <details><summary>Hint 1</summary>First the frequencies of one axis: a list of <code>pairs</code> numbers that begins with 1.</details>
# <details><summary>Hint 2</summary>With two loops: the outer one over k, the inner one over the axes. <code>torch.stack(columns, dim=1)</code> puts columns together.</details>
# <details><summary>Hint 3</summary>Without loops: make [n, pairs, A], then <code>flatten(1)</code>.</details>


# %% grade_id="angles_of" kind="answer"
def angles_of(places: Tensor, pairs: int, base: float) -> Tensor:
    """Places [n, A] -> the angle of every pair [n, A * pairs], the pairs of the axes in turn."""
    ### BEGIN SOLUTION
    frequency = base ** -(torch.arange(pairs) / pairs)
    return (places[:, None, :] * frequency[:, None]).flatten(1)
    ### END SOLUTION


# %% grade_id="check_angles_of" kind="check" points=2
check("hw4", "angles_of", angles_of)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw4", "angles_of", angles_of)
### END HIDDEN TESTS

# %% [markdown]
# The cosines of your angles on a grid of 12 by 12 places, for three pairs of each axis. Along which axis does each pair change, and how fast?

# %% folded=true
if "get_ipython" in globals() and is_right("hw4", "angles_of", angles_of):  # only to look at
    from minivjepa.figures import Picture, strip
    from minivjepa_course.lesson import show

    square = torch.cartesian_prod(torch.arange(12.0), torch.arange(12.0))
    images = list(angles_of(square, 3, 30.0).cos().T.reshape(6, 12, 12))
    figure, _ = strip(
        [images], [f"{axis}, pair {k}" for k in range(3) for axis in ("row", "column")], 1.5, 1.9, limits=(-1, 1)
    )
    alt = "Six squares of stripes. They take turns: horizontal stripes for rows, vertical ones for columns. The stripes of the last two are the widest."
    show(
        Picture(
            figure,
            alt,
            "The cosine of each pair's angle at every place. Rows and columns take turns, and later pairs turn more slowly.",
        )
    )

# %% [markdown]
# ## 2. Turn the pairs (3 points, medium, 20 minutes)
#
# `x` holds queries or keys: [n, d], or with more axes in front, such as [heads, n, d] or [clips, heads, n, d]. The last axis but one counts the tokens. `angles` is
# [n, r], one angle for each of r pairs, and 2 r is at most d.
#
# Lesson 10 paired neighbors. Many language models, LLaMA among them, pair across: **number i and number r + i** make pair i, for i = 0, 1, ... r - 1.
# Turn each pair (a, b) of token j counterclockwise by angle i of token j:
#
# > a becomes a cos - b sin, and b becomes a sin + b cos.
#
# Both stay in their places, i and r + i. All numbers from 2 r on stay as they are. Return a tensor of the shape of `x`.
#
# <details><summary>Hint 1</summary><code>x[..., :r]</code> are all first numbers of the pairs, whatever axes stand in front. Where are the second ones?</details>
# <details><summary>Hint 2</summary>[n, r] fits [clips, heads, n, r] as it is: axes in front are filled in.</details>
# <details><summary>Hint 3</summary><code>torch.cat</code> of three parts along the last axis.</details>


# %% grade_id="turn_pairs" kind="answer"
def turn_pairs(x: Tensor, angles: Tensor) -> Tensor:
    """Queries or keys [..., n, d], angles [n, r] -> the same with numbers i and r + i turned, [..., n, d]."""
    ### BEGIN SOLUTION
    r = angles.shape[1]
    a, b, still = x[..., :r], x[..., r : 2 * r], x[..., 2 * r :]
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([a * cos - b * sin, a * sin + b * cos, still], dim=-1)
    ### END SOLUTION


# %% grade_id="check_turn_pairs" kind="check" points=3
check("hw4", "turn_pairs", turn_pairs)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw4", "turn_pairs", turn_pairs)
### END HIDDEN TESTS

# %% [markdown]
# A query with four pairs on its way from place 0 to place 11, turned by your functions: one curve for each pair.

# %% folded=true
if "get_ipython" in globals() and is_right("hw4", "turn_pairs", turn_pairs) and is_right("hw4", "angles_of", angles_of):
    from minivjepa.figures import Picture, finish, panels
    from minivjepa_course.lesson import show

    way = turn_pairs(
        torch.tensor([1.0, 1.2, 1.4, 1.6] + [0.0] * 4).expand(12, 8), angles_of(torch.arange(12.0)[:, None], 4, 100.0)
    )
    figure, [ax] = panels((4.6, 4.2))
    for k in range(4):
        ax.plot(way[:, k], way[:, 4 + k], ".-", label=f"pair {k}")
    finish(ax, "number i", "number r + i", "A query at places 0 to 11")
    ax.set(aspect="equal")
    alt = "Four arcs around the origin, each at another distance. The arc of pair 0 goes nearly twice around, that of pair 3 is short."
    show(
        Picture(
            figure,
            alt,
            "Each pair goes around on a circle, so no turn changes a length. Pair 0 is the fastest, pair 3 the slowest.",
        )
    )

# %% [markdown]
# ## 3. Does only the offset count? (3 points, medium, 20 minutes)
#
# Rotary positions promise that a score depends on the *offset* between two tokens, and on nothing else about their places. Measure whether it is so.
#
# `scores` is [n, n]: row i is the token that looks, column j the token that is looked at. `places` is int64 [n, A]: where each token is on A axes, in whole numbers, in
# any order. Some places may be empty, and several tokens may be at the same one. The offset of (i, j) is the list of the A numbers `places[j] - places[i]`; it has signs,
# so there and back are two offsets. Each token also looks at itself, at the offset 0.
#
# Put together all scores that have the same offset. Their *spread* is the largest of them minus the smallest. Return the largest spread of all offsets, as a number.
# (If every offset occurs once, it is 0.)
#
# <details><summary>Hint 1</summary>A dict of lists: offset -> its scores. The key can be a tuple.</details>
# <details><summary>Hint 2</summary><code>places.tolist()</code> gives lists of plain numbers, which make good keys. Tensors do not.</details>


# %% grade_id="offset_spread" kind="answer"
def offset_spread(scores: Tensor, places: Tensor) -> float:
    """Scores [n, n] of tokens at places [n, A] -> the largest difference between two scores with the same offset."""
    ### BEGIN SOLUTION
    where = places.tolist()
    groups = {}
    for i, here in enumerate(where):
        for j, there in enumerate(where):
            offset = tuple(b - a for a, b in zip(here, there))
            groups.setdefault(offset, []).append(float(scores[i, j]))
    return max(max(group) - min(group) for group in groups.values())
    ### END SOLUTION


# %% grade_id="check_offset_spread" kind="check" points=3
check("hw4", "offset_spread", offset_spread)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw4", "offset_spread", offset_spread)
### END HIDDEN TESTS

# %% [markdown]
# One query and one key at all pairs of 16 places. In the first panel positions are added to both, in the second your functions turn both, in the third only the query is
# turned. Your number stands above each.

# %% folded=true
if "get_ipython" in globals() and all(is_right("hw4", f.__name__, f) for f in (angles_of, turn_pairs, offset_spread)):
    from minivjepa.figures import Picture, finish, panels
    from minivjepa_course.lesson import show

    drawn = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 8, generator=drawn).unbind()
    line = torch.arange(16)[:, None]
    angle = angles_of(line.float(), 4, 100.0)
    added = torch.cat([angle.sin(), angle.cos()], dim=1)
    q, k = q.expand(16, 8), k.expand(16, 8)
    ways = {
        "added": (q + added) @ (k + added).T,
        "both turned": turn_pairs(q, angle) @ turn_pairs(k, angle).T,
        "the query turned": turn_pairs(q, angle) @ k.T,
    }
    spreads = {name: offset_spread(scores, line) for name, scores in ways.items()}
    figure, axes = panels((10, 3.4), 3)
    for ax, (name, scores) in zip(axes, ways.items()):
        ax.plot((line.T - line).flatten(), scores.flatten(), ".", ms=4)
        finish(ax, "offset", "score" if name == "added" else "", f"{name}: spread {spreads[name]:.2f}", legend=False)
    said = ", ".join(f"{name} {spread:.2f}" for name, spread in spreads.items())
    alt = f"Scores over the offset. Where both are turned, all scores of an offset are one dot; in the others they are spread out. Spreads: {said}."
    show(Picture(figure, alt, f"Only where both are turned does the offset decide. Spreads: {said}."))

# %% [markdown]
# ## 4. A duel of two planners (4 points, medium, 25 minutes)
#
# Two planners tried to reach the same goals from the same starts. `a` and `b` are dicts: the number of a start-goal pair -> `True` if that planner reached the goal. The pairs
# stand in any order. Some were tried by one planner only: leave them out.
#
# A pair that both reach or both miss favors neither. What counts are the n pairs that **exactly one** of the two reached. If neither is better, each of these is the toss of a fair
# coin. The exact test of McNemar gives p:
#
# > p = 2 (C(n, 0) + C(n, 1) + ... + C(n, m)) / 2ⁿ, but at most 1,
#
# where m is the smaller of the two planners' counts, and C(n, k) is the number of ways to choose k of n. With n = 0 it is 1. There are at most 1,000 such pairs.
#
# Return a dict of four:
#
# - `"only_a"`, `"only_b"`: how many pairs only a reached, and how many only b;
# - `"p"`;
# - `"verdict"`: the first of these whose rule holds.
#   1. `"too few"`: even if one planner had won all n of these pairs, p would not be below `alpha`. Then these pairs could not have decided anything.
#   2. `"a"` or `"b"`: p is below `alpha`. It is the planner that won more of the n pairs.
#   3. `"undecided"`.
#
# (Lesson 12 has only the first three. The last tells "we looked and saw no difference" from "we could not have seen one".)
#
# <details><summary>Hint 1</summary>First the two counts, from the shared pairs. The rest needs these two numbers and nothing else.</details>
# <details><summary>Hint 2</summary><code>math.comb(n, k)</code> is C(n, k), a whole number. Add them up before you divide: p may be exactly
# <code>alpha</code>, and a sum of rounded parts can fall a hair below.</details>
# <details><summary>Hint 3</summary>What is m if one planner wins all n pairs? Then what is the sum?</details>


# %% grade_id="duel" kind="answer"
def duel(a: dict[int, bool], b: dict[int, bool], alpha: float) -> dict[str, int | float | str]:
    """How many pairs only one planner reached, McNemar's exact p, and a, b, undecided or too few."""
    ### BEGIN SOLUTION
    only_a = sum(a[pair] and not b[pair] for pair in a if pair in b)
    only_b = sum(b[pair] and not a[pair] for pair in a if pair in b)
    n = only_a + only_b
    p = min(1.0, 2 * sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1)) / 2**n)
    word = "undecided"
    if p < alpha:
        word = "a" if only_a > only_b else "b"
    if 2 / 2**n >= alpha:
        word = "too few"
    return {"only_a": only_a, "only_b": only_b, "p": p, "verdict": word}
    ### END SOLUTION


# %% grade_id="check_duel" kind="check" points=4
check("hw4", "duel", duel)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw4", "duel", duel)
### END HIDDEN TESTS

# %% [markdown]
# What your function says of every pair of counts up to 20, at `alpha` 0.05. How uneven must it be?

# %% folded=true
if "get_ipython" in globals() and is_right("hw4", "duel", duel):  # only to look at
    from minivjepa.figures import Picture, panels
    from minivjepa_course.lesson import show

    WORDS = ("too few", "undecided", "a", "b")

    def said_of(only_a: int, only_b: int) -> str:
        """The verdict for these counts."""
        a = {pair: pair < only_a for pair in range(only_a + only_b)}
        return duel(a, {pair: not reached for pair, reached in a.items()}, 0.05)["verdict"]

    verdicts = [[said_of(only_a, only_b) for only_a in range(21)] for only_b in range(21)]
    figure, [ax] = panels((5.4, 4.4))
    for word, color in zip(WORDS, ("#dddddd", "#8a8a8a", "#0072b2", "#d55e00")):
        spots = [(x, y) for y, row in enumerate(verdicts) for x, found in enumerate(row) if found == word]
        ax.plot(*zip(*spots), "s", ms=8, color=color, label=word)
    ax.set(
        xlabel="pairs that only a reached",
        ylabel="pairs that only b reached",
        aspect="equal",
        title="alpha 0.05",
        yticks=range(0, 21, 5),
    )
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    least = min(only_a for only_a in range(21) if verdicts[0][only_a] == "a")
    beside = min(only_a for only_a in range(21) if verdicts[5][only_a] == "a")
    alt = f"A map of verdicts. A corner with few pairs is too few, a broad band along the diagonal is undecided; a wins at {least} to 0, and at {beside} to 5."
    show(
        Picture(
            figure,
            alt,
            f"The verdict for every pair of counts. Planner a wins at {least} to 0; if b has 5, a needs {beside}.",
        )
    )

# %% [markdown]
# ## 5. One round of the cross-entropy method (4 points, medium, 30 minutes)
#
# A robot starts at the origin of a plane, or of a space of any dimension A. An action is A numbers, by which it moves; there are no walls. It wants to come to
# `goal` [A]. A plan is H actions. This is one round of the search for a good one:
#
# 1. `mean` and `spread` are [H, A], `noise` is [S, H, A]. The plans are mean + spread * noise, every number of them **clipped to -1 .. 1**. The best guess so far competes too: `mean` itself
#    is **one more plan, the last of S + 1**. (It is within -1 .. 1 already. In the package, it takes the place of the first plan.)
# 2. A plan leads to H places, one after each action. It costs the squared distance to the goal at the place that comes **nearest**. The start does not count.
# 3. Keep the `elites` plans that cost least. Where costs are equal, the earlier plan is cheaper. `elites` is from 1 to S + 1.
# 4. The new mean and the new spread move only a part of the way: `keep` times the old one, plus 1 - `keep` times that of the elites. The elites' spread is their std at each
#    number, divided by the number of elites, not by one less. (`keep` is from 0 to 1. A little of it keeps a search from settling too early.)
#
# Return a dict: `"mean"` and `"spread"`, each [H, A].
#
# <details><summary>Hint 1</summary>Actions are steps. The place after three actions is their sum: <code>cumsum</code>.</details>
# <details><summary>Hint 2</summary><code>torch.cat([plans, mean[None]])</code> adds a plan at the end.</details>
# <details><summary>Hint 3</summary><code>argsort(stable=True)</code> keeps equal costs in their order. Does <code>topk</code> promise that?</details>


# %% grade_id="cem_round" kind="answer"
def cem_round(mean: Tensor, spread: Tensor, noise: Tensor, goal: Tensor, elites: int, keep: float) -> dict[str, Tensor]:
    """One round from mean and spread [H, A] with noise [S, H, A] -> the new mean and spread [H, A]."""
    ### BEGIN SOLUTION
    plans = torch.cat([(mean + spread * noise).clamp(-1, 1), mean[None]])
    distance = ((plans.cumsum(dim=1) - goal) ** 2).sum(dim=2)
    best = plans[distance.amin(dim=1).argsort(stable=True)[:elites]]
    return {
        "mean": keep * mean + (1 - keep) * best.mean(dim=0),
        "spread": keep * spread + (1 - keep) * best.std(dim=0, correction=0),
    }
    ### END SOLUTION


# %% grade_id="check_cem_round" kind="check" points=4
check("hw4", "cem_round", cem_round)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw4", "cem_round", cem_round)
### END HIDDEN TESTS

# %% [markdown]
# Four rounds of your function, with plans of five actions. In each panel: plans drawn from what the round before has left.

# %% folded=true
if "get_ipython" in globals() and is_right("hw4", "cem_round", cem_round):  # only to look at
    from minivjepa.figures import Picture, panels
    from minivjepa_course.lesson import show

    drawn = torch.Generator().manual_seed(0)
    goal, mean, spread = torch.tensor([3.0, -1.5]), torch.zeros(5, 2), torch.full((5, 2), 0.8)
    figure, axes = panels((11, 3.2), 4)
    near = []
    for number, ax in enumerate(axes, 1):
        noise = torch.randn(64, 5, 2, generator=drawn)
        ways = F.pad((mean + spread * noise).clamp(-1, 1).cumsum(dim=1), (0, 0, 1, 0))
        ax.plot(*ways.permute(2, 1, 0), "-", color="#0072b2", lw=0.7, alpha=0.5)
        ax.plot(*goal, "o", ms=9, mfc="none", mec="#d55e00", mew=2)
        near.append(float((ways - goal).norm(dim=2).amin(dim=1).median()))
        ax.set(xlim=(-3, 5), ylim=(-4, 4), aspect="equal", title=f"round {number}: {near[-1]:.2f} away")
        mean, spread = cem_round(mean, spread, noise, goal, 8, 0.1).values()
    said = ", ".join(f"{distance:.2f}" for distance in near)
    alt = f"Four panels of 64 paths from the origin and a ring at the goal. Round by round the paths draw together and lead to it. The middle plan comes as near as {said}."
    show(
        Picture(
            figure, alt, f"Plans of four rounds. The median of how near they come to the goal, round by round: {said}."
        )
    )

# %% [markdown]
# ## 6. How far from normal? (4 points, hard, 30 minutes)
#
# `z` is [n, D]: n points. `directions` is [D, K]: K columns of any length from 0.00000001 up. **Bring each column to length 1** first. The shadow of the points along a column is the n products of the
# points with it.
#
# `t` is [m]: two values or more, in rising order, but not always in equal steps and not always as far below 0 as above. For each direction and each t:
#
# 1. Take the mean of cos(t x) over the n points of the shadow, and the mean of sin(t x). The *gap* is the squared distance from what a normal shadow has: (mean cosine - exp(-t²/2))², plus
#    the squared mean sine.
# 2. Even points that are drawn from the normal distribution have a gap, by chance: (1 - exp(-t²)) / n on average. **Subtract this.**
# 3. Multiply by the weight exp(-t²/2).
#
# Then integrate over t with the trapezoid rule: between two neighboring values of t, the width times the mean of both ends. Return [K], one number for each direction.
#
# (In the package nothing is subtracted and the result is multiplied by n. This one is 0 on average for normal points, and can be below 0.)
#
# <details><summary>Hint 1</summary><code>shadows[..., None] * t</code> is [n, K, m].</details>
# <details><summary>Hint 2</summary>The mean over points comes before the square.</details>
# <details><summary>Hint 3</summary><code>torch.trapezoid(y, t)</code> integrates along the last axis, also where steps are unequal.</details>


# %% grade_id="shadow_gaps" kind="answer"
def shadow_gaps(z: Tensor, directions: Tensor, t: Tensor) -> Tensor:
    """Points [n, D], directions [D, K], values [m] -> how far each shadow is from normal, chance subtracted, [K]."""
    ### BEGIN SOLUTION
    angle = (z @ (directions / directions.norm(dim=0)))[..., None] * t
    wanted = torch.exp(-(t**2) / 2)
    gap = (angle.cos().mean(dim=0) - wanted) ** 2 + angle.sin().mean(dim=0) ** 2
    chance = (1 - torch.exp(-(t**2))) / len(z)
    return torch.trapezoid((gap - chance) * wanted, t)
    ### END SOLUTION


# %% grade_id="check_shadow_gaps" kind="check" points=4
check("hw4", "shadow_gaps", shadow_gaps)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw4", "shadow_gaps", shadow_gaps)
### END HIDDEN TESTS

# %% [markdown]
# Three clouds of 200 points, each seen along arrows at all angles:

# %% folded=true
if "get_ipython" in globals() and is_right("hw4", "shadow_gaps", shadow_gaps):  # only to look at
    from minivjepa.figures import Picture, curves
    from minivjepa_course.lesson import show

    drawn = torch.Generator().manual_seed(0)
    normal = torch.randn(200, 2, generator=drawn)
    side = torch.randint(0, 2, (200, 1), generator=drawn) * 2.0 - 1
    around = torch.arange(200) * (2 * math.pi / 200)
    clouds = {
        "normal": normal,
        "cross": normal[:, :1] * torch.cat([torch.ones(200, 1), side], dim=1),
        "ring": 2**0.5 * torch.stack([around.cos(), around.sin()], dim=1),
    }
    degrees = list(range(0, 181, 5))
    arrows = torch.tensor(degrees) * (math.pi / 180)
    arrows = torch.stack([arrows.cos(), arrows.sin()])
    seen = {name: shadow_gaps(cloud, arrows, torch.linspace(-3, 3, 17)) for name, cloud in clouds.items()}
    columns = {name: (degrees, gaps) for name, gaps in seen.items()}
    figure, _ = curves(
        (7, 3.6), ["Your number along each arrow"], columns, "angle of the arrow, degrees", "distance from normal"
    )
    said = ", ".join(f"{name} {float(gaps.mean()):.3f}" for name, gaps in seen.items())
    alt = f"Three curves over the angle. That of the normal cloud stays near 0, that of the ring is level and above it, and that of the cross has peaks and valleys. Means: {said}."
    show(
        Picture(
            figure,
            alt,
            f"A cloud that is not normal can hide from some arrows, but not from all. Means over the arrows: {said}.",
        )
    )

# %% [markdown]
# ## 7. One term in place of three tricks (4 points, hard, 25 minutes)
#
# The loss of a small LeWorldModel. `z` is [B, T, D]: the latents of B clips at T times. `guess` is [B, T - 1, D]: `guess[:, k]` was made from the latents up to time k, and predicts the latent at
# time k + 1. T is at least 2.
#
# > loss = error + `weight` * penalty
#
# - *error*: the mean of all squared differences between the guesses and the latents that they predict.
# - *penalty*: at **each time by itself**, the number of exercise 6 for the B latents of that time, `directions` [D, K] and `t` [m]. Then the mean over all times and all directions. You may
#   call your function, which must then be right, or write it out. `weight` may be 0. Compute the penalty then too, so that every input has a gradient, even if it is all zeros.
#
# **Detach nothing**: gradient flows through both sides of the error, and through whatever else is computed. The check looks at the gradient of each input, and
# at the loss.
#
# <details><summary>Hint 1</summary>Which latent does no guess predict? Its gradient comes only from the penalty.</details>
# <details><summary>Hint 2</summary><code>z[:, k]</code> is [B, D]: points as exercise 6 wants them.</details>


# %% grade_id="one_term" kind="answer"
def one_term(z: Tensor, guess: Tensor, directions: Tensor, t: Tensor, weight: float) -> Tensor:
    """Latents [B, T, D] and guesses [B, T - 1, D] -> squared error plus weight times the mean penalty, one number."""
    ### BEGIN SOLUTION
    error = ((guess - z[:, 1:]) ** 2).mean()
    angle = (z @ (directions / directions.norm(dim=0)))[..., None] * t
    wanted = torch.exp(-(t**2) / 2)
    gap = (angle.cos().mean(dim=0) - wanted) ** 2 + angle.sin().mean(dim=0) ** 2
    chance = (1 - torch.exp(-(t**2))) / len(z)
    return error + weight * torch.trapezoid((gap - chance) * wanted, t).mean()
    ### END SOLUTION


# %% grade_id="check_one_term" kind="check" points=4
check("hw4", "one_term", one_term)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw4", "one_term", one_term)
### END HIDDEN TESTS

# %% [markdown]
# Your loss at work: 64 short clips of eight numbers each go through one linear layer, and a second one guesses the next latent. Both train on your loss, once with weight 0 and once with weight 1.

# %% folded=true
if "get_ipython" in globals() and is_right("hw4", "one_term", one_term):  # only to look at
    from minivjepa.figures import Picture, curves
    from minivjepa_course.lesson import show

    columns = {}
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        clips = torch.randn(64, 1, 8) + 0.3 * torch.randn(64, 3, 8).cumsum(dim=1)
        see, foresee = torch.nn.Linear(8, 4), torch.nn.Linear(4, 4)
        optimiser = torch.optim.Adam([*see.parameters(), *foresee.parameters()], lr=0.02)
        rows = []
        for step in range(301):
            z = see(clips)
            loss = one_term(z, foresee(z[:, :-1]), torch.randn(4, 16), torch.linspace(-3, 3, 9), weight)
            seen = z.detach()
            rows.append(
                (step, F.mse_loss(foresee(seen[:, :-1]).detach(), seen[:, 1:]).item(), seen.std(dim=0).mean().item())
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        columns[f"weight {weight:g}"] = list(zip(*rows))
    figure, axes = curves((9, 3.4), ["squared error", "std across clips"], columns, "step")
    axes[0].set(yscale="log")
    ends = ", ".join(f"{name}: {column[2][-1]:.2f}" for name, column in columns.items())
    alt = f"Two panels over 300 steps: error and std across clips. With weight 0 both fall to nearly 0. With weight 1 the std stays. Stds at the end: {ends}."
    show(
        Picture(
            figure,
            alt,
            f"Without the term the error is lowest, and the latents are dead. The std across clips at the end: {ends}.",
        )
    )

# %% [markdown]
# ## 8. The open project: beat this baseline (6 points, open, 120 minutes)
#
# Train an encoder that sees more in moving handwriting than plain V-JEPA does at this size. Hand in its **weights**: one file whose name ends in `.pt`, beside this notebook.
# How you train is up to you, within three rules:
#
# - The shapes are fixed: those of `new_encoder()` below, the encoder of the preset `cpu`, with 64 features, three blocks and two heads.
# - Train on clips of the split `"train"` only, or on other data of your own. The split `"validation"` is for measuring, and the handwriting of `"test"` is for the exam.
# - **No labels in training**: no loss may know which digit a clip shows, or how it moves. No program can check this; your teacher may ask how you trained, and run it.
#
# Your teacher's program draws fresh clips, encodes them with your weights, averages the tokens, and fits a linear probe for the direction of motion and one for the digit. That is `measure`,
# below, with a secret seed and the handwriting of the exam. Each threshold that a held-out accuracy reaches is worth **one point**:

# %%
THRESHOLDS = {"direction": [0.49, 0.68, 0.84], "identity": [0.23, 0.27, 0.39]}

# %% [markdown]
# **How the thresholds come about.** *Untrained* encoders, and encoders that plain V-JEPA trained for 2,600 steps, three seeds each, were measured on fresh clips of five seeds. The first threshold lies half-way between the two
# means. The second is three hundredths below the lowest reading of a trained encoder, the third is three hundredths above the highest. So plain V-JEPA gets four points.

# %% folded=true
GEOMETRY = PRESETS["cpu"]
LARGEST = 2 * 2**20  # bytes of a file of weights; float32 needs a third of that
REAL = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
CLIPS = 1024  # for each of the two probes: as many to fit as to test


def new_encoder() -> Encoder:
    """An encoder of the shapes that count, with random weights."""
    return Encoder(GEOMETRY.grid, GEOMETRY.dim, GEOMETRY.depth, GEOMETRY.heads)


def check_size(data: bytes) -> None:
    """Raise ValueError for a file that is too large."""
    if len(data) > LARGEST:
        raise ValueError(
            f"it has {len(data) / 2**20:.1f} MiB, expected {LARGEST // 2**20} at most: save only the encoder"
        )


def encoder_from(data: bytes) -> Encoder:
    """The encoder whose `state_dict()` torch.save wrote.  Nothing in the file is executed.  Raises ValueError if it can't be used."""
    check_size(data)
    try:
        held = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception:  # of many types: torch has no one error for a file that it can't read
        raise ValueError(
            "torch.save did not write it, or it holds more than tensors: save encoder.state_dict()"
        ) from None
    wanted = new_encoder().state_dict()
    if not isinstance(held, dict) or not all(
        isinstance(value, Tensor) and not value.is_nested for value in held.values()
    ):
        raise ValueError("it isn't a dict of tensors: save encoder.state_dict()")
    if missing := [name for name in wanted if name not in held]:
        raise ValueError(
            f"{len(missing)} of {len(wanted)} tensors are missing, first {missing[0]}: save encoder.state_dict()"
        )
    if extra := [name for name in held if name not in wanted]:
        raise ValueError(f"{len(extra)} tensors do not belong to this encoder, first {str(extra[0])[:40]!r}")
    for name, value in held.items():
        if value.shape != wanted[name].shape:
            raise ValueError(f"{name} has the shape {list(value.shape)[:6]}, expected {list(wanted[name].shape)}")
        plain = value.dtype in REAL and value.layout == torch.strided and value.device.type == "cpu"
        if not plain or not value.float().isfinite().all():
            raise ValueError(f"{name} holds numbers that aren't finite, or no real numbers")
    encoder = new_encoder()
    encoder.load_state_dict(held)
    return encoder


@torch.no_grad()
def pooled(encoder: Encoder, split: str, seed: int, first: int, count: int) -> Tensor:
    """Mean tokens [count, D] of clips first, first + 1, ... of a split and a seed."""
    clip, _ = DigitClips(GEOMETRY.grid, split, seed).batch(0, torch.arange(first, first + count))
    return encoder(clip).mean(dim=1)


def scores(train: Tensor, held_out: Tensor, seed: int, exam: str) -> dict[str, float]:
    """Held-out accuracies of linear probes on pooled features [CLIPS, D] of the splits "train" and `exam`."""
    from minivjepa.evaluation.probes import linear_accuracy

    known = [DigitClips(GEOMETRY.grid, split, seed).factors(0, torch.arange(CLIPS)) for split in ("train", exam)]
    return {
        name: linear_accuracy(train, getattr(known[0], name), held_out, getattr(known[1], name)) for name in THRESHOLDS
    }


def measure(encoder: Encoder, seed: int, exam: str = "validation") -> dict[str, float]:
    """What the grading measures, on clips of a seed of your own."""
    train, held_out = (pooled(encoder, split, seed, 0, CLIPS) for split in ("train", exam))
    return scores(train, held_out, seed, exam)


# %% [markdown]
# Plain V-JEPA, as a start. It takes a few minutes, so it waits until you say so. `minivjepa.training.minimal` is one screen long: copy it, and change one thing at a time. What do you expect of it?
# Measure with several seeds, and don't choose by the last digit: with 1,024 clips an accuracy is known to about three hundredths.

# %%
TRAIN = False

if TRAIN and "get_ipython" in globals():  # here in the notebook, and not where your functions are graded
    from minivjepa.training.minimal import train

    encoder = train().encoder
    torch.save(encoder.state_dict(), "encoder.pt")
    print(measure(encoder_from(Path("encoder.pt").read_bytes()), seed=1))

# %% [markdown]
# What did you try, what did you expect, and what came out? A few sentences for your teacher; they give no points.

# %% [markdown] grade_id="encoder" kind="written" points=6
# Longer training with a slower teacher; no labels.

# %% [markdown]
# Done? `minivjepa check hw4.ipynb` runs the seven exercises as your teacher will, and prints one line for each. Then hand in this file, and your `.pt` file with it.
