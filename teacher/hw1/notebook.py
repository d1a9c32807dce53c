# %% [markdown]
# # Homework 1: tokens and masks
#
# After lessons 01 and 02. Eight exercises, 25 points, two to three hours.
#
# In each you write one function. The cell below it is its **check**: it stops with a message that says what is probably wrong, or prints that
# all visible cases are right. Your teacher also runs cases that you do not see, at other sizes and settings, so make it right in general.
#
# - Write where it says `raise NotImplementedError()`, and keep the names of functions and arguments.
# - You may use torch, numpy and einops. The package's own function for a task is *blocked* in its check: writing it is the task. The rules here
#   also differ from the package's in places, so read them.
# - Do not change the inputs: make new tensors.
# - Stuck? Open the hints one after the other.
#
# The exercises go from easy to hard. Below many checks, a picture shows what your function does.

# %%
import math

import einops
import numpy as np
import torch
from torch import Tensor

from minivjepa_course.homework import check, is_right

# %% [markdown]
# ## 1. How many tokens? (2 points, easy, 10 minutes)
#
# A clip has `frames` frames of `height` x `width` pixels. A tubelet is `tubelet` frames deep and `patch` pixels wide and high. Where
# tubelets do not divide the clip, what is left over at the end is dropped. An axis that is shorter than a tubelet has none: its count is 0.
#
# Return two things: the grid `(t, h, w)` of tubelets, and how many there are.
#
# <details><summary>Hint 1</summary>How often does a tubelet fit into the frames? Into the height? Into the width?</details>
# <details><summary>Hint 2</summary>Whole-number division is <code>//</code>.</details>


# %% grade_id="grid_shape" kind="answer"
def grid_shape(frames: int, height: int, width: int, tubelet: int, patch: int) -> tuple[tuple[int, int, int], int]:
    """((t, h, w), number of tubelets) of a clip; what is left over is dropped."""
    ### BEGIN SOLUTION
    t, h, w = frames // tubelet, height // patch, width // patch
    return (t, h, w), t * h * w
    ### END SOLUTION


# %% grade_id="check_grid_shape" kind="check" points=2
check("hw1", "grid_shape", grid_shape)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw1", "grid_shape", grid_shape)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Coverage (2 points, easy, 15 minutes)
#
# `ids` is int64 [draws, K]: the context of one or many draws, on a grid of `shape` (t, h, w) in time-major order: ids count through the columns of
# a row, then the rows, then the time steps. The ids of a draw are all different, in any order. How often is each place of the frame in the
# context? Return float32 [h, w]: for each place, the share of all draws and time steps in which it is kept. If K is 0, that is 0 everywhere.
#
# <details><summary>Hint 1</summary>Count how often every id occurs: <code>torch.bincount</code> of all ids, with a <code>minlength</code>.</details>
# <details><summary>Hint 2</summary>Then give the counts the shape [t, h, w] and average over time.</details>


# %% grade_id="coverage" kind="answer"
def coverage(ids: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """ids [draws, K] -> share of draws and steps in which each place is context, float32 [h, w]."""
    ### BEGIN SOLUTION
    t, h, w = shape
    counts = torch.bincount(ids.flatten(), minlength=t * h * w).reshape(t, h, w)
    return counts.float().mean(dim=0) / len(ids)
    ### END SOLUTION


# %% grade_id="check_coverage" kind="check" points=2
check("hw1", "coverage", coverage)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw1", "coverage", coverage)
### END HIDDEN TESTS

# %% [markdown]
# How often a place is context, by your `coverage`. The masks are the package's: the blocks of V-JEPA, random tubelets and tubes.

# %% folded=true
if "get_ipython" in globals() and is_right("hw1", "coverage", coverage):  # only to look at
    from minivjepa.figures import Picture, strip
    from minivjepa.masking import parse_mask
    from minivjepa.tubelets import Grid
    from minivjepa_course.lesson import show

    grid, draws = Grid(16, 112, 112, 2, 8), torch.arange(200)  # 8 x 14 x 14 tubelets
    shares = {
        name: coverage(parse_mask(name).sample(grid, 0, 0, draws)[0], grid.shape)
        for name in ("short", "random:0.75", "tube:0.75")
    }
    top = max(float(share.max()) for share in shares.values())
    figure, axes = strip([shares.values()], list(shares), 2.4, 2.7, limits=(0, top))
    figure.colorbar(axes[-1].images[0], ax=list(axes), label="share")
    means = ", ".join(f"{name} {float(share.mean()):.2f}" for name, share in shares.items())
    alt = f"Three maps of 14 by 14 places. Blocks leave the edges of the frame more often than its middle. Means: {means}."
    show(
        Picture(figure, alt, f"The share of 200 draws and 8 time steps in which each place is context. Means: {means}.")
    )

# %% [markdown]
# ## 3. Hide at random (3 points, medium, 20 minutes)
#
# `noise` is [B, N]: one random number for every token of every clip, drawn for you. Only the order of the numbers counts: they may be negative or
# large, and no two in a clip are equal. In each clip, **hide** the tokens with the *largest* noise: as many as `ratio * N`, rounded to the nearest
# whole number (it never lies halfway between two). The others are the context.
#
# Return `(context, target)`: ids of the kept and of the hidden tokens, int64 [B, K] and [B, M], each row in rising order. `ratio` is between 0 and
# 1, so K or M may be 0: what is empty is still int64.
#
# <details><summary>Hint 1</summary><code>noise.argsort(dim=1)</code> lists each clip's tokens from the smallest noise to the largest.</details>
# <details><summary>Hint 2</summary>Cut that list in two, and sort both parts.</details>


# %% grade_id="random_mask" kind="answer"
def random_mask(noise: Tensor, ratio: float) -> tuple[Tensor, Tensor]:
    """noise [B, N] -> (context ids [B, K], target ids [B, M])."""
    ### BEGIN SOLUTION
    kept = noise.shape[1] - round(ratio * noise.shape[1])
    order = noise.argsort()  # of each row, from the smallest noise to the largest
    return order[:, :kept].sort().values, order[:, kept:].sort().values
    ### END SOLUTION


# %% grade_id="check_random_mask" kind="check" points=3
check("hw1", "random_mask", random_mask)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw1", "random_mask", random_mask)
### END HIDDEN TESTS

# %% [markdown]
# Your mask on a clip:

# %% folded=true
if "get_ipython" in globals() and is_right("hw1", "random_mask", random_mask):  # only to look at
    from minivjepa.tubelets import Grid
    from minivjepa_course.lesson import show
    from minivjepa_course.pictures.mask_maps import masked_strip

    grid = Grid(8, 64, 64, 2, 8)  # 4 x 8 x 8 tubelets
    noise = torch.rand(1, grid.tokens, generator=torch.Generator().manual_seed(0))
    show(masked_strip(grid, random_mask(noise, 0.75), "your random mask"))

# %% [markdown]
# ## 4. Hide tubes (3 points, medium, 20 minutes)
#
# Now `noise` is [B, S]: one number for every *place* of the frame (S = h w of them), and the places with the largest noise are hidden
# **in every one of `steps` time steps**: as many as `ratio * S`, rounded to the nearest whole number. For the rest, noise and ratio are as in
# exercise 3. Ids count all tokens, S of them per step.
#
# - If `time_major` is true, token ids go through all places of step 0, then all of step 1, and so on (V-JEPA's order).
# - If it is false, they go through all steps of place 0, then all of place 1.
#
# Return only the ids of the **context**, int64 [B, K], each row in rising order. Again, K may be 0.
#
# <details><summary>Hint 1</summary>First find the kept places of each clip, as in exercise 3.</details>
# <details><summary>Hint 2</summary>Time-major, the token of place p in step s has the id s S + p. And otherwise?</details>


# %% grade_id="tube_mask" kind="answer"
def tube_mask(noise: Tensor, ratio: float, steps: int, time_major: bool) -> Tensor:
    """noise [B, S] -> context ids [B, K] of clips with `steps` time steps."""
    ### BEGIN SOLUTION
    count = noise.shape[1]
    kept = noise.argsort()[:, : count - round(ratio * count)]  # [B, places]
    time = torch.arange(steps)
    ids = time[None, :, None] * count + kept[:, None] if time_major else kept[:, :, None] * steps + time
    return ids.flatten(1).sort().values
    ### END SOLUTION


# %% grade_id="check_tube_mask" kind="check" points=3
check("hw1", "tube_mask", tube_mask)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw1", "tube_mask", tube_mask)
### END HIDDEN TESTS

# %% [markdown]
# The same clip under your tubes:

# %% folded=true
if "get_ipython" in globals() and is_right("hw1", "tube_mask", tube_mask):  # only to look at
    from minivjepa.tubelets import Grid
    from minivjepa_course.lesson import show
    from minivjepa_course.pictures.mask_maps import masked_strip

    grid = Grid(8, 64, 64, 2, 8)  # 4 x 8 x 8 tubelets
    kept = tube_mask(torch.rand(1, 64, generator=torch.Generator().manual_seed(0)), 0.75, 4, True)
    hidden = [[n for n in range(grid.tokens) if n not in kept[0].tolist()]]
    show(masked_strip(grid, (kept, torch.tensor(hidden)), "your tube mask"))

# %% [markdown]
# ## 5. Make a batch of it (3 points, medium, 20 minutes)
#
# `visible` is bool [B, N]: which tokens each clip keeps; the clips keep different numbers. A batch needs equal lengths, so every clip is cut to the
# smallest number K in the batch.
#
# - With `keep="first"` each clip keeps its first K visible ids. That is what V-JEPA's code does, and why late time steps lose (lesson 02).
# - With `keep="spread"` it keeps K of its visible ids as evenly as possible: of a clip with n visible ids, those at the places 0, n/K, 2n/K, ...
#   rounded **down**, in the list of its visible ids. Compute them exactly: in floats, `j * (n / K)` can fall just below a whole number.
#
# Return int64 [B, K], rising in each row. If a clip shows nothing, K is 0.
#
# <details><summary>Hint 1</summary><code>row.nonzero().flatten()</code> lists where a row is true.</details>
# <details><summary>Hint 2</summary>The places are <code>j * n // K</code> for j = 0 ... K - 1.</details>


# %% grade_id="cut_to_smallest" kind="answer"
def cut_to_smallest(visible: Tensor, keep: str) -> Tensor:
    """bool [B, N] -> ids [B, K], K the smallest number of visible tokens in the batch."""
    ### BEGIN SOLUTION
    lists = [row.nonzero().flatten().tolist() for row in visible]
    K = min(len(ids) for ids in lists)
    if keep == "first":
        rows = [ids[:K] for ids in lists]
    else:
        rows = [[ids[j * len(ids) // K] for j in range(K)] for ids in lists]
    return torch.tensor(rows, dtype=torch.int64)  # the type of an empty list would be float
    ### END SOLUTION


# %% grade_id="check_cut_to_smallest" kind="check" points=3
check("hw1", "cut_to_smallest", cut_to_smallest)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw1", "cut_to_smallest", cut_to_smallest)
### END HIDDEN TESTS

# %% [markdown]
# What the cut costs, over 200 batches of eight clips, of which each shows 30 to 60 of 8 x 4 x 4 tokens:

# %% folded=true
if "get_ipython" in globals() and is_right("hw1", "cut_to_smallest", cut_to_smallest):  # only to look at
    from minivjepa.figures import Picture, curves
    from minivjepa_course.lesson import show

    drawn = np.random.default_rng(0)
    seen = torch.zeros(8)
    left = {"first": torch.zeros(8), "spread": torch.zeros(8)}
    for _ in range(200):
        shown = torch.from_numpy(np.stack([drawn.permutation(128) < drawn.integers(30, 61) for _ in range(8)]))
        seen += shown.reshape(8, 8, 16).sum(dim=(0, 2))
        for keep in left:
            left[keep] += torch.bincount(cut_to_smallest(shown, keep).flatten() // 16, minlength=8)
    shares = {f'keep="{keep}"': (range(8), count / seen) for keep, count in left.items()}
    figure, [ax] = curves((6.4, 3.4), ["What the batch throws away"], shares, "time step", "share that's left", "o")
    ax.set_ylim(0, 1.03)
    last = ", ".join(f"{name} {float(share[-1]):.0%}" for name, (_, share) in shares.items())
    alt = f"Two curves over 8 time steps: one starts at 1 and falls, the other stays level. Left in the last: {last}."
    show(
        Picture(
            figure,
            alt,
            f"The share of each time step's visible tokens that your function keeps. In the last step: {last}.",
        )
    )

# %% [markdown]
# ## 6. Hide blocks (4 points, medium, 25 minutes)
#
# `corners` is a list of (row, column): the upper left corners of blocks of `size` (rows, columns), on a frame of `frame` (h, w) patches. Return a
# boolean map [h, w]: true where **any** block hides the patch. Corners lie on the frame. The list may be empty, and a block may be larger than
# the frame.
#
# - If `wrap` is false, the part of a block that reaches beyond the lower or right edge is cut off.
# - If `wrap` is true, it goes on at the opposite edge.
#
# <details><summary>Hint 1</summary>Start with a map of false, and go through the blocks.</details>
# <details><summary>Hint 2</summary>With <code>wrap</code>, row r of the frame is hit by row (r - top) % h of the block.</details>


# %% grade_id="block_map" kind="answer"
def block_map(corners: list[tuple[int, int]], size: tuple[int, int], frame: tuple[int, int], wrap: bool) -> Tensor:
    """Which patches of the frame the blocks hide, bool [h, w]."""
    ### BEGIN SOLUTION
    h, w = frame
    hidden = torch.zeros(h, w, dtype=torch.bool)
    for top, left in corners:
        for row in range(top, top + size[0]):
            for column in range(left, left + size[1]):
                if wrap:
                    hidden[row % h, column % w] = True
                elif row < h and column < w:
                    hidden[row, column] = True
    return hidden
    ### END SOLUTION


# %% grade_id="check_block_map" kind="check" points=4
check("hw1", "block_map", block_map)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw1", "block_map", block_map)
### END HIDDEN TESTS

# %% [markdown]
# Three of your blocks, cut off at the edges and wrapped around:

# %% folded=true
if "get_ipython" in globals() and is_right("hw1", "block_map", block_map):  # only to look at
    from minivjepa.figures import Picture, strip
    from minivjepa_course.lesson import show

    maps = [block_map([(1, 1), (3, 9), (8, 4)], (5, 6), (11, 13), wrap).numpy() for wrap in (False, True)]
    figure, _ = strip([maps], ["wrap is false", "wrap is true"], 2.8, 2.8)
    counts = " and ".join(str(int(hides.sum())) for hides in maps)
    alt = f"Two maps of 11 by 13 patches with three blocks of 5 by 6. {counts} patches are hidden."
    show(Picture(figure, alt, f"What three blocks of 5 x 6 patches hide (yellow): {counts} of 143 patches."))

# %% [markdown]
# ## 7. Cut a clip into tokens (4 points, medium, 30 minutes)
#
# `clip` is float32 [B, C, T, H, W]. Tubelets of `tubelet` frames and `patch` x `patch` pixels divide it exactly. Return them as tokens,
# [B, N, values]. The values themselves stay as they are.
#
# - `order` says how tokens are listed: the letters t, h and w in some order, the slowest axis first. `"thw"` is V-JEPA's: time, then rows, then columns. In `"wth"`
#   the column changes slowest and the row fastest.
# - The values inside a token are listed frame by frame, row by row, column by column, with the **channels last** (fastest).
#
# <details><summary>Hint 1</summary>Split each of the three axes in two: which tubelet, and where inside it. That gives eight axes.</details>
# <details><summary>Hint 2</summary><code>einops.rearrange</code> can split and reorder in one pattern; the pattern is a string, so you can build it.</details>
# <details><summary>Hint 3</summary>For order <code>"thw"</code> the right-hand side is <code>B (t h w) (dt dh dw C)</code>.</details>


# %% grade_id="cut" kind="answer"
def cut(clip: Tensor, tubelet: int, patch: int, order: str) -> Tensor:
    """[B, C, T, H, W] -> tokens [B, N, tubelet * patch * patch * C]."""
    ### BEGIN SOLUTION
    pattern = f"B C (t dt) (h dh) (w dw) -> B ({' '.join(order)}) (dt dh dw C)"
    return einops.rearrange(clip, pattern, dt=tubelet, dh=patch, dw=patch)
    ### END SOLUTION


# %% grade_id="check_cut" kind="check" points=4
check("hw1", "cut", cut)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw1", "cut", cut)
### END HIDDEN TESTS

# %% [markdown]
# Your tokens 0 to 15 of a clip of moving handwriting, in the two orders:

# %% folded=true
if "get_ipython" in globals() and is_right("hw1", "cut", cut):  # only to look at
    from minivjepa.data.digits import ClipRules, DigitClips
    from minivjepa.figures import Picture, strip
    from minivjepa.figures.film_strips import displayed
    from minivjepa.tubelets import Grid
    from minivjepa_course.lesson import show

    film, _ = DigitClips(Grid(4, 32, 32, 2, 8), rules=ClipRules(noise=0.02)).batch(0, torch.tensor([12]))
    colors = displayed(film)[0]  # from 0 to 1, [T, H, W, C]
    listed = [cut(torch.from_numpy(colors).permute(3, 0, 1, 2)[None], 2, 8, order)[0] for order in ("thw", "wth")]
    tiles = [tokens[:16].reshape(4, 4, 2, 8, 8, 3)[:, :, 0].numpy() for tokens in listed]  # first frames, four a row
    gaps = [np.pad(each, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), constant_values=1.0) for each in tiles]
    rows = [colors[0], *(einops.rearrange(each, "a b h w C -> (a h) (b w) C") for each in gaps)]
    figure, _ = strip([rows], ["the first frame", "tokens 0 to 15 in thw", "tokens 0 to 15 in wth"], 2.6, 3)
    alt = "The first frame of a clip, and two squares of 4 by 4 tokens: in thw they show the frame, in wth they do not."
    caption = (
        "The first frame of each token, four to a row. In thw, the first 16 tokens are the first time step, row by row. In wth, they are "
        "the left half of the clip, column by column: the first column at both time steps, then the second."
    )
    show(Picture(figure, alt, caption))

# %% [markdown]
# ## 8. Where is each token? (4 points, hard, 30 minutes)
#
# Fixed positions, three axes. The grid has `shape` (t, h, w), tokens are listed in the order t, h, w. Each axis gets as many numbers as `dims` says,
# for example `(4, 6, 6)`, always even and at least 2, and the three parts follow in order: [time | row | column].
#
# For an axis with d numbers and a place p on it (places count from 0), the numbers come in pairs (sine, cosine), i = 0, 1, ... d/2 - 1:
#
# > sin(p f₀), cos(p f₀), sin(p f₁), cos(p f₁), ... with fᵢ = `base` to the power of -(i / (d/2)), base > 1
#
# Return float32 [N, sum of dims]. (V-JEPA puts all sines before all cosines. Here they are **interleaved**.)
#
# <details><summary>Hint 1</summary>Write a function for one axis: length and d in, [length, d] out.</details>
# <details><summary>Hint 2</summary>Places times frequencies is an outer product, [length, d/2].</details>
# <details><summary>Hint 3</summary>Interleave by stacking sine and cosine on a new last axis and flattening the last two.</details>
# <details><summary>Hint 4</summary>The row of token n is (n // w) % h.</details>


# %% grade_id="positions" kind="answer"
def positions(shape: tuple[int, int, int], dims: tuple[int, int, int], base: float) -> Tensor:
    """Interleaved sine-cosine positions, float32 [t * h * w, sum(dims)]."""
    ### BEGIN SOLUTION
    parts = []
    places = torch.cartesian_prod(*(torch.arange(length) for length in shape))  # [N, 3]
    for axis, d in enumerate(dims):
        frequency = base ** -(torch.arange(0, d, 2) / d)  # 2i / d is i / (d/2)
        angle = places[:, axis, None] * frequency
        parts.append(torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1))
    return torch.cat(parts, dim=1)
    ### END SOLUTION


# %% grade_id="check_positions" kind="check" points=4
check("hw1", "positions", positions)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw1", "positions", positions)
### END HIDDEN TESTS

# %% [markdown]
# How alike your positions are to that of one token:

# %% folded=true
if "get_ipython" in globals() and is_right("hw1", "positions", positions):  # only to look at
    from minivjepa.figures.film_strips import position_map
    from minivjepa.tubelets import Grid
    from minivjepa_course.lesson import show

    grid = Grid(8, 64, 64, 2, 8)  # 4 x 8 x 8 tubelets
    show(position_map(grid, positions(grid.shape, (8, 12, 12), 10.0), 64 + 3 * 8 + 2))

# %% [markdown]
# Done? `minivjepa check hw1.ipynb` runs this notebook as your teacher will, and prints one line an exercise. Then hand
# in this file.
