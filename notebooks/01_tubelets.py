# %% [markdown]
# # 01 Tubelets: a video becomes a list of tokens
#
# ![You are here: how a clip becomes tubelets. The diagram of V-JEPA. In full color: clip.](attachment:here-01.png)
#
# **At the end you can explain** what a tubelet is, why a V-JEPA clip has 1568 of them, and how a transformer, which only sees a list, knows
# where each item came from.
#
# *30 minutes, including less than a minute of computing. Any laptop, no GPU, nothing to download.*
# You need: tensors and their shapes.

# %% folded=true
import importlib.util

if importlib.util.find_spec("minivjepa") is None:
    import os
    import subprocess
    import sys

    ADDRESS = ""  # of the course's git repository: where you found this notebook
    if not ADDRESS:
        raise ImportError("minivjepa is not installed here: run `make lab` in its folder, or fill in ADDRESS above")
    subprocess.run(["git", "clone", "--depth", "1", ADDRESS, "course"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-e", "course[figures]"], check=True)
    sys.path.insert(0, os.path.abspath("course"))  # what was installed just now is not on the path yet
    os.chdir("course/notebooks")

# %% folded=true

import torch
from einops import rearrange

from minivjepa.data.digits import DigitClips
from minivjepa.figures.film_strips import cut_up, position_map
from minivjepa.tubelets import Grid, TubeletEmbedding, gather_tokens, patchify, sincos_positions
from minivjepa_course.homework.checking import attempt, solution
from minivjepa_course.lesson import check, play, show
from minivjepa_course.pictures.films import clips_in_motion
from minivjepa_course.predictions import Predictions
from minivjepa_course.widgets import explore

guess = Predictions()

# %% [markdown]
# Here are four clips. In each, a handwritten digit drifts across a noisy frame. A digit that leaves on the right comes back on the left.

# %%
small = Grid(frames=8, height=32, width=32, tubelet=2, patch=8)
play(clips_in_motion(small, count=4))

# %% [markdown]
# Training on clips like these takes a minute or two, and you know exactly what's in each one: which digit, and which way it goes.
#
# A transformer can't watch them: it reads a list of vectors. So before anything else, a clip has to become a list.
#
# ## First, a single frame
#
# A vision transformer cuts an image into squares called *patches*. Each patch becomes one item in the list, a *token*. V-JEPA's frames are
# 224 x 224 pixels, and its patches are 16 x 16.

# %%
frame = Grid(frames=1, height=224, width=224, tubelet=1, patch=16)
guess("How many tokens is one frame?", frame.tokens)

# %% folded=true
# NBVAL_CHECK_OUTPUT
check(
    "T1",
    frame.shape == (1, 14, 14) and frame.tokens == 196,
    "224 / 16 = 14 patches a side, 14 x 14 = 196 tokens a frame",
)

# %% [markdown]
# ## Then, a clip
#
# A video is a stack of frames, and neighboring frames look much alike. V-JEPA makes its patches two frames deep. That block of
# pixels, 2 frames x 16 x 16, is a **tubelet**, and one tubelet is one token.

# %%
paper = Grid(frames=16, height=224, width=224, tubelet=2, patch=16)
guess("V-JEPA's clips have 16 frames. How many tokens is a clip?", paper.tokens)

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("T2", paper.shape == (8, 14, 14) and paper.tokens == 1568, "16 / 2 = 8 time steps, 8 x 196 = 1568 tokens a clip")

# %% [markdown]
# In the package, a `Grid` holds the size of a clip and of its tubelets. Its `shape` is (t, h, w): the number of tubelets along time, height
# and width.
#
# Move the sliders. They start at V-JEPA's own numbers; the caption does the counting, and `token` walks through the list. Some sizes don't
# fit, and the package says so.

# %%
explore(
    lambda side, patch, tubelet, token: cut_up(Grid(16, side, side, tubelet, patch), token),
    {"side": (32, 224, 16, 224), "patch": [16, 8, 32], "tubelet": [2, 1, 4], "token": (0, 1567, 1, 711)},
)

# %% [markdown]
# ## Write it: `cut` (medium, 8 minutes)
#
# Turn one clip `[C, T, H, W]` into its tubelets `[N, values]`. List all tubelets of time step 0 first, then those of step 1, and so on;
# within a step, go row by row from the top, each from left to right. Inside a tubelet, the numbers are in the order channel, frame, row,
# column.
#
# <details><summary>Hint 1</summary>
#
# Three loops and one slice are enough: `clip[:, frames, rows, columns]`. `torch.stack` puts the pieces together.
# </details>
#
# <details><summary>Hint 2</summary>
#
# The piece at time step `k` starts at frame `k * tubelet` and ends before frame `(k + 1) * tubelet`. `.flatten()` turns a piece into a
# vector.
# </details>
#
# <details><summary>Hint 3</summary>
#
# The whole solution: put `solution("01", "cut")` into a new cell.
# </details>


# %% exercise="cut"
def cut(clip, tubelet, patch):
    """One clip [C, T, H, W] -> its tubelets [N, C * tubelet * patch * patch]."""
    ### BEGIN SOLUTION
    _, T, H, W = clip.shape
    pieces = []
    for k in range(0, T, tubelet):
        for y in range(0, H, patch):
            for x in range(0, W, patch):
                pieces.append(clip[:, k : k + tubelet, y : y + patch, x : x + patch].flatten())
    return torch.stack(pieces)
    ### END SOLUTION


attempt("01", cut)

# %% [markdown]
# Your loop is slow, but obviously right. The package does the same in one line of einops, whose pattern says what happens to each axis:
#
#     "B C (t dt) (h dh) (w dw) -> B (t h w) (C dt dh dw)"
#
# Read it aloud: *split time into t steps of dt frames, height into h rows of dh pixels, width into w columns of dw pixels. Then list all
# (t h w), with the pixels of each tubelet side by side.*

# %%
clips, factors = DigitClips(small).batch(step=0, index=torch.arange(4))
mine = torch.stack([cut(clip, small.tubelet, small.patch) for clip in clips])
print("clips", tuple(clips.shape), "(B, C, T, H, W)")
print("your tubelets", tuple(mine.shape), "(B, N, values)")

# %% folded=true
# NBVAL_CHECK_OUTPUT
assert torch.equal(mine, patchify(clips, small)), "your loop is not right yet: see attempt"
print(
    "verified: your cut and the package's give the same numbers,",
    small.values,
    "= 3 colors x 2 frames x 8 x 8 in each tubelet",
)

# %% [markdown]
# ## From pixels to vectors
#
# One matrix turns the pixels of a tubelet into a vector of D numbers. That's all `TubeletEmbedding` is: a linear layer on each tubelet.
# Meta's code writes it as a `Conv3d` whose stride equals its kernel size, so its windows never overlap. The numbers are the same:

# %%
torch.manual_seed(0)
embed = TubeletEmbedding(small, dim=48)
conv = torch.nn.Conv3d(3, 48, kernel_size=(2, 8, 8), stride=(2, 8, 8))
with torch.no_grad():
    conv.weight.copy_(embed.project.weight.reshape(48, 3, 2, 8, 8))
    conv.bias.copy_(embed.project.bias)
    by_conv = conv(clips).flatten(2).transpose(1, 2)
    by_linear = embed.project(mine)
    kept = torch.tensor([[3, 17, 40]]).expand(4, -1)
    three = embed(clips, kept)
print("tokens", tuple(by_linear.shape), "(B, N, D); only three of them", tuple(three.shape))

# %% [markdown]
# The linear form has one advantage that the next lesson depends on: you can drop hidden tubelets *before* they're embedded. Then they cost
# nothing.

# %% folded=true
# NBVAL_CHECK_OUTPUT
assert torch.allclose(by_conv, by_linear, atol=1e-4)
assert torch.allclose(three, gather_tokens(embed(clips), kept), atol=1e-5)
print("verified: Conv3d and the linear layer agree; embedding three tubelets equals embedding all and keeping three")

# %% [markdown]
# ## Where did it come from?
#
# Shuffle a transformer's tokens and you get the same outputs, shuffled. To a transformer, a list is just a bag. So each token has to carry
# its place, and V-JEPA adds a fixed vector that encodes it.
#
# For place p on one axis, that vector holds sines and cosines of p times each of several frequencies. At the first frequency, 1, they
# change quickly from place to place; at the last and smallest, they hardly change at all.
#
# ## Write it: `place` (easy, 5 minutes)
#
# Half of the `width` numbers are sines, the other half cosines, in that order. With m = width / 2, frequency k is 10000 ** (-k / m), for
# k = 0, 1, ..., m - 1.
#
# <details><summary>Hint 1</summary>
#
# `torch.arange(m) / m` is k / m, for all k at once.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.cat` joins two vectors; p times the frequencies is what the sines and cosines are taken of.
# </details>
#
# <details><summary>Hint 3</summary>
#
# The whole solution: `solution("01", "place")`.
# </details>


# %% exercise="place"
def place(p, width):
    """Place p = 0, 1, 2, ... on one axis -> its vector, a tensor [width]: sines, then cosines.  width is even."""
    ### BEGIN SOLUTION
    m = width // 2
    angle = p * 10000.0 ** (-torch.arange(m) / m)
    return torch.cat([angle.sin(), angle.cos()])
    ### END SOLUTION


attempt("01", place)

# %% [markdown]
# Each axis gets a third of the vector: of 48 numbers, 16 say which time step, 16 which row, 16 which column. The table below is built with
# your function:

# %%
t, h, w = small.shape
table = torch.stack(
    [
        torch.cat([place(step, 16), place(row, 16), place(column, 16)])
        for step in range(t)
        for row in range(h)
        for column in range(w)
    ]
)
right = torch.nn.functional.cosine_similarity(table[21], table[22], dim=0).item()
guess(
    "What's the cosine between the position vectors of a token and its right neighbor, from -1 to 1?",
    round(right, 2),
)

# %%
show(position_map(small, table, token=21))

# %% [markdown]
# A neighbor differs along one axis only, so two thirds of its numbers are the same, and most of the others have barely changed. That's why
# nearby places look alike. Still, no two places share a vector:

# %% folded=true
# NBVAL_CHECK_OUTPUT
assert torch.allclose(table.float(), sincos_positions(small, 48), atol=1e-5)
assert torch.pdist(table).min() > 0.1  # distances of all pairs
print("verified: your table is the package's, and its", small.tokens, "vectors all differ")

# %% [markdown]
# ## Your own video
#
# Replace `None` with the path of a video. Nothing is uploaded. (You'll need `pip install 'minivjepa[video]'`.)

# %%
my_video = None

if my_video is not None:
    from pathlib import Path

    from minivjepa.data.video import VideoClips

    film = VideoClips(Path(my_video), paper)
    clip, _ = film.batch(0, torch.arange(1))
    print("one clip", tuple(clip.shape), "tubelets", tuple(patchify(clip, paper).shape))

# %% [markdown]
# ## Break it
#
# This pattern lists `(h w t)` instead of `(t h w)`. No shape changes, and you get no error. What would go wrong in training, and how would
# you notice?

# %%
swapped = rearrange(clips, "B C (t dt) (h dh) (w dw) -> B (h w t) (C dt dh dw)", dt=2, dh=8, dw=8)
print("same shape:", swapped.shape == mine.shape, "  same numbers:", torch.equal(swapped, mine))

# %% [markdown]
# <details><summary>What happens</summary>
#
# Tubelets get each other's positions, and a mask hides the wrong places. Training still runs. You'd notice by comparing with something
# obviously right, like your loop.
# </details>
#
# ## Three questions
#
# <details><summary>1. A clip is twice as long. How many more tokens does it have, and how much more does attention cost?</summary>
#
# Twice as many tokens. Attention compares every token with every other, so that part costs four times as much. Lesson 03 measures it.
# </details>
#
# <details><summary>2. Why two frames in a tubelet, and not one or eight?</summary>
#
# One frame would double the tokens, though neighboring frames often look alike. With eight, motion happens inside one
# token, and attention can't look at single moments anymore. It's a trade-off that we don't test.
# </details>
#
# <details><summary>3. Why drop hidden tubelets before embedding them, instead of setting them to zero?</summary>
#
# Dropped, they cost nothing and can't reach the encoder. Zeros would still take part in attention, and every clip would cost as much as a
# full one.
# </details>

# %%
guess.table()

# %% [markdown]
# **In the package:** `minivjepa/tubelets.py`, `minivjepa/data/digits.py`. **In the paper:** V-JEPA (arXiv 2404.08471), section 3.
# **Next:** 02, which of these tokens the encoder may see.
