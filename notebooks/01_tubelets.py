# %% [markdown]
# # 01 Tubelets: a video becomes a list of tokens
#
# **At the end you can explain** what a tubelet is, why a clip of V-JEPA has 1568 of them, what one token holds, and how
# a transformer, which sees a list, is told where each item of the list was.
#
# *25 minutes, less than 1 of them for the computer. Any laptop, no GPU, no download.*
# You need: tensors and their shapes.

# %% [markdown]
# *The next cell does nothing where the course is installed. On Colab and the like it fetches the course first.*

# %%
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

# %%
import torch

from minivjepa.course.figures.film_strips import cut_up, film_strip, position_map
from minivjepa.course.lesson import check, compare, show
from minivjepa.course.widgets import explore
from minivjepa.data.digits import DigitClips
from minivjepa.tubelets import Grid, TubeletEmbedding, gather_tokens, patchify, sincos_positions, unpatchify

# %% [markdown]
# ## First, images
#
# A transformer reads a list of vectors. A vision transformer makes that list by cutting an image into squares, called
# patches, and treating each square as one item, called a token. V-JEPA's images are 224 x 224 pixels and its patches
# 16 x 16.
#
# **Predict** before you compute: how many tokens is that? Write the number in place of `None`. A wrong guess costs
# nothing, and neither does leaving it out.

# %%
my_tokens_of_an_image = None

# %%
frame = Grid(frames=1, height=224, width=224, tubelet=1, patch=16)
compare("tokens of a 224 x 224 image", my_tokens_of_an_image, frame.tokens)

# %%
# NBVAL_CHECK_OUTPUT
check(
    "T1",
    frame.shape == (1, 14, 14) and frame.tokens == 196,
    "224 / 16 = 14 patches a side, 14 x 14 = 196 tokens a frame",
)

# %% [markdown]
# ## Then, video
#
# A video is a stack of frames, and neighbouring frames hold nearly the same picture. So V-JEPA gives its patches some
# depth in time: two frames. Such a little block of pixels, 2 frames x 16 x 16, is a **tubelet**, and each tubelet is one
# token.
#
# `Grid` is how the package writes down the size of a clip and of its tubelets. Its `shape` is (t, h, w): how many
# tubelets there are along time, height and width.
#
# **Predict:** V-JEPA's clips have 16 frames. How many tokens now?

# %%
my_tokens_of_a_clip = None

# %%
paper = Grid(frames=16, height=224, width=224, tubelet=2, patch=16)
compare("tokens of a clip of 16 frames", my_tokens_of_a_clip, f"{paper.shape} = {paper.tokens}")

# %%
# NBVAL_CHECK_OUTPUT
check("T2", paper.shape == (8, 14, 14) and paper.tokens == 1568, "16 / 2 = 8 time steps, 8 x 196 = 1568 tokens a clip")

# %% [markdown]
# ## Look at it
#
# The clips of this course are small: one real handwritten digit moves over a noisy frame whose edges are joined. You will
# train on them in a minute or two, and you know exactly what is in each: which digit, and which way it goes.

# %%
small = Grid(frames=8, height=32, width=32, tubelet=2, patch=8)
show(film_strip(small))

# %% [markdown]
# Here is one clip with the cuts drawn in. The orange square is one tubelet: the same square of two frames in a row.

# %%
show(cut_up(small, token=23))

# %% [markdown]
# With a running kernel you get sliders. Move `frames`, `side` (of the image), `patch` and `tubelet`, and watch the number
# of tokens in the caption; `token` walks through the list. Some sizes do not fit, and the package says so.

# %%
explore(
    lambda frames, side, patch, tubelet, token: cut_up(Grid(frames, side, side, tubelet, patch), token),
    {"frames": (2, 16, 2), "side": (32, 128, 32), "patch": [4, 8, 16, 32], "tubelet": [1, 2, 4], "token": (0, 200)},
)

# %% [markdown]
# ## Cut it yourself
#
# Cutting is nothing but slicing. This loop is slow and nobody can doubt it:

# %%
clips, factors = DigitClips(small).batch(step=0, index=torch.arange(4))


def cut_slowly(clip, grid):
    """clip [C, T, H, W] -> [N, values]: first along time, then height, then width."""
    t, h, w = grid.shape
    tokens = []
    for step in range(t):
        for row in range(h):
            for column in range(w):
                piece = clip[
                    :,
                    step * grid.tubelet : (step + 1) * grid.tubelet,
                    row * grid.patch : (row + 1) * grid.patch,
                    column * grid.patch : (column + 1) * grid.patch,
                ]
                tokens.append(piece.flatten())
    return torch.stack(tokens)


slow = torch.stack([cut_slowly(clip, small) for clip in clips])
print("clips", tuple(clips.shape), "(B, C, T, H, W)")
print("tubelets", tuple(slow.shape), "(B, N, values)")

# %% [markdown]
# The package does the same in one line with `einops.rearrange`, whose pattern says what happens to each axis:
#
#     "B C (t dt) (h dh) (w dw) -> B (t h w) (C dt dh dw)"
#
# Read it aloud: *split time into t steps of dt frames, height into h rows of dh pixels, width into w columns of dw
# pixels; then list all (t h w), and put the pixels of one tubelet side by side.* Nothing is lost: it can be undone.

# %%
# NBVAL_CHECK_OUTPUT
fast = patchify(clips, small)
print("equal to the loop:", torch.equal(fast, slow))
print("undone without loss:", torch.equal(unpatchify(fast, small), clips))
print("numbers in one tubelet:", small.values, "= 3 colors x 2 frames x 8 x 8 pixels")
assert torch.equal(fast, slow) and torch.equal(unpatchify(fast, small), clips)

# %% [markdown]
# ## From pixels to vectors
#
# One matrix turns the pixels of a tubelet into a vector of D numbers. V-JEPA's code calls it a `Conv3d` whose kernel is as
# large as its stride: a window that never overlaps. That is the same as a linear layer on each tubelet, and a linear layer
# is what `TubeletEmbedding` is. The linear form has an advantage that the next lesson needs: tubelets that are hidden are
# simply not embedded. They cost nothing, and they cannot leak.

# %%
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
embed = TubeletEmbedding(small, dim=64)
conv = torch.nn.Conv3d(3, 64, kernel_size=(2, 8, 8), stride=(2, 8, 8))
with torch.no_grad():
    conv.weight.copy_(embed.project.weight.reshape(64, 3, 2, 8, 8))
    conv.bias.copy_(embed.project.bias)
    by_conv = conv(clips).flatten(2).transpose(1, 2) + embed.positions  # where it was: next section
    by_linear = embed(clips)
    kept = torch.tensor([[3, 17, 40]]).expand(4, -1)
    some = embed(clips, kept)
print("tokens:", tuple(by_linear.shape), "(B, N, D)")
print("Conv3d says the same:", torch.allclose(by_conv, by_linear, atol=1e-4))
print(
    "three kept tubelets:",
    tuple(some.shape),
    "equal to embedding all and keeping three:",
    torch.allclose(some, gather_tokens(by_linear, kept), atol=1e-5),
)
assert torch.allclose(by_conv, by_linear, atol=1e-4) and torch.allclose(some, gather_tokens(by_linear, kept), atol=1e-5)

# %% [markdown]
# ## Where was it?
#
# A transformer treats its list as a set: shuffle the tokens and every output is the same, only shuffled. So each token must
# carry its place. V-JEPA adds a fixed vector to it. For place p on one axis its numbers are sin(p w) and cos(p w), for
# frequencies w from 1 (they turn quickly from place to place) down to nearly 1/10000 (they hardly turn). The numbers for
# time, height and width stand side by side.
#
# **Predict:** the cosine between the position vector of a token and that of its neighbour to the right, from -1 to 1.

# %%
my_cosine = None

# %%
table = sincos_positions(small, 48)  # [N, 48]
cosine = torch.nn.functional.cosine_similarity(table[21], table[22], dim=0).item()
compare("cosine of two neighbouring positions", my_cosine, f"{cosine:.2f}")

# %%
show(position_map(small, 48, token=21))

# %% [markdown]
# With 48 numbers each of the three axes owns 16. (If 6 does not divide the width, the last axis gets a few less.) A neighbour
# differs along one axis only, so two thirds of its numbers are the same, and most of the others turn slowly: that is why
# near is similar. And yet no two places have the same vector:

# %%
# NBVAL_CHECK_OUTPUT
apart = torch.cdist(table.double(), table.double()) + 100 * torch.eye(
    small.tokens
)  # a place is not compared with itself
print(
    "tokens:",
    small.tokens,
    "different position vectors:",
    len({tuple(row) for row in table.round(decimals=4).tolist()}),
)
print("any two places with the same vector:", bool(apart.min() < 0.1))
assert apart.min() > 0.1

# %% [markdown]
# ## Your own video
#
# Put the path of a video file in place of `None`; nothing is uploaded anywhere. (It needs the extra `video`:
# `pip install 'minivjepa[video]'`.)

# %%
my_video = None

# %%
if my_video is None:
    print("no video given: this cell shows one when there is")
else:
    from pathlib import Path

    from minivjepa.data.video import VideoClips

    film = VideoClips(Path(my_video), Grid(16, 224, 224))
    clip, _ = film.batch(0, torch.arange(1))
    print("one clip:", tuple(clip.shape), "tubelets:", tuple(patchify(clip, film.grid).shape))

# %% [markdown]
# ## Break it
#
# Change one thing in the cell below and say what happens before you run it: swap `(t h w)` for `(h w t)` in the pattern.
# The shapes stay the same and nothing complains. What would go wrong in training, and where would you notice?
#
# <details><summary>What to expect</summary>
#
# Each tubelet gets another tubelet's position, and a mask hides other places than it says. No shape changes, so only a comparison
# with something that nobody can doubt, like the slow loop above, notices.
# </details>

# %%
from einops import rearrange

mine = rearrange(clips, "B C (t dt) (h dh) (w dw) -> B (t h w) (C dt dh dw)", dt=2, dh=8, dw=8)
print("the package's order:", torch.equal(mine, patchify(clips, small)))

# %% [markdown]
# ## Three questions
#
# <details><summary>1. A clip is twice as long. How many more tokens, and how much more do they cost in attention?</summary>
#
# Twice as many tokens. Attention compares every token with every other, so that part costs four times as much; lesson 03
# measures it.
# </details>
#
# <details><summary>2. Why two frames a tubelet and not one, or eight?</summary>
#
# One frame a tubelet doubles the tokens and says little more: neighbouring frames are nearly the same. Eight would blur
# motion inside one token, where the model cannot take it apart any more. It is a trade, not a law.
# </details>
#
# <details><summary>3. Why are hidden tubelets dropped before they are embedded, rather than replaced by zeros?</summary>
#
# They then cost nothing, and not one bit of them can reach the encoder. Zeros would still take part in attention, and every
# clip would cost as much as a full one.
# </details>
#
# **In the package:** `minivjepa/tubelets.py`, `minivjepa/data/digits.py`. **In the paper:** V-JEPA (arXiv 2404.08471),
# section 3. **Next:** 02, which of these tokens the encoder may see.
