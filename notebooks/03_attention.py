# %% [markdown]
# # 03 Attention and its bill
#
# ![You are here: what is inside these three, and what they cost. The diagram of V-JEPA. In full color: online encoder, predictor, target encoder.](attachment:here-03.png)
#
# **At the end you can explain** what attention computes, why its cost grows with the square of the number of tokens, when that starts to
# matter, and where the arithmetic of a V-JEPA training step goes.
#
# *35 minutes, including about a minute of computing. Any laptop.*
# You need: lessons 01 and 02, and to know what a matrix product is.
#
# **Optional on a first reading:** if you know attention, blocks and FLOPs, skip to 04.

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
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from minivjepa.data.digits import ClipRules, DigitClips
from minivjepa.training.config import PRESETS, Config, from_dict
from minivjepa.training.recipe import build_model
from minivjepa.transformer import Block, block_flops
from minivjepa.tubelets import patchify
from minivjepa_course.homework.checking import attempt, solution
from minivjepa_course.lesson import check, show
from minivjepa_course.pictures.flop_curves import attention_map, block_cost_curves, flop_bars, measured_times
from minivjepa_course.predictions import Predictions
from minivjepa_course.widgets import explore

torch.set_num_threads(1)  # so that the measurements below mean one thing
guess = Predictions()

# %% folded=true
saved = torch.load(Path("..") / "results" / "encoder.pt", weights_only=True)
config = from_dict(Config, saved["config"])
encoder = build_model(config).encoder.eval()
encoder.load_state_dict(saved["encoder"])
CLIP = 3
clip, _ = DigitClips(config.grid).batch(step=0, index=torch.tensor([CLIP]))


def run_encoder(attend):
    """The clip's features, and weights [blocks, heads, N, N], when each head computes attend(q, k, v)."""
    weights = []

    def all_heads(q, k, v, attn_mask):
        """[1, heads, n, d] -> [1, heads, n, d]."""
        ones = torch.eye(q.shape[2]).split(q.shape[3], dim=1)  # averages of its rows are the weights themselves
        weights.append(
            torch.stack([torch.cat([attend(*head, one) for one in ones], dim=1) for head in zip(q[0], k[0])])
        )
        return torch.stack([attend(*head) for head in zip(q[0], k[0], v[0])])[None]

    for block in encoder.blocks:
        block.attention.attend = all_heads
    with torch.no_grad():
        return encoder(clip), torch.stack(weights)


features, weights = run_encoder(F.scaled_dot_product_attention)
opening = weights[2, 1, 14]  # block 3, head 2, tubelet 14

# %% [markdown]
# A digit drifts up and to the left. The maps below it come from a trained encoder. They show how much the outlined tubelet takes from
# each tubelet in the clip.

# %%
show(attention_map(config.grid, CLIP, 14, opening, "block 3, head 2"))

# %%
quiet, _ = DigitClips(config.grid, rules=ClipRules(noise=0.0)).batch(step=0, index=torch.tensor([CLIP]))
inked = patchify(quiet, config.grid)[0].amax(dim=-1) > 0
print(f"{inked.sum()} of {len(inked)} tubelets have ink")
guess("What percentage of the weight goes to tubelets with ink?", round(100 * opening[inked].sum().item()))

# %% [markdown]
# Most of it goes to places where the digit is, in all four time steps. This is **attention**, the only part of a transformer where tokens
# learn about each other. It's famous for its cost: comparing n tokens with n tokens takes n times n comparisons. Is that where V-JEPA's
# arithmetic goes?
#
# ## Compare, then average
#
# Each token's vector is turned into three: a **query**, a **key** and a **value**, d numbers each. The token compares its query with every
# key, then averages the values:
#
# 1. The *score* of a query and a key is their dot product, divided by the square root of d.
# 2. A *softmax* turns the scores of one query into weights that add up to 1: the exp of each, divided by the sum of all.
# 3. The token gets the sum of all values, each times its weight.
#
# Why the root? A sum of d random products is about as large as the root of d. Without the division, one score would win everything when d
# is large.
#
# A **head** is one such comparison. Each block of our encoder has four, with vectors of 16 numbers each, and joins their results.
#
# ## Write it: `attention` (medium, 8 minutes)
#
# Write one head, without torch's own `scaled_dot_product_attention`. Scores can be large: exp overflows.
#
# <details><summary>Hint 1</summary>
#
# `q @ k.T` holds all dot products: row i belongs to query i, column j to key j.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `.softmax(dim=1)` works along rows. Weights `[n, n]` times values `[n, d]` is `[n, d]`.
# </details>
#
# <details><summary>Hint 3</summary>
#
# In a new cell: `solution("03", "attention")`.
# </details>


# %% exercise="attention"
def attention(q, k, v):
    """Queries, keys and values of one head, each [n, d] -> what each token gets, [n, d]."""
    ### BEGIN SOLUTION
    score = q @ k.T / q.shape[1] ** 0.5  # [n, n]
    return score.softmax(dim=1) @ v
    ### END SOLUTION


attempt("03", attention)

# %% [markdown]
# Put it into every head of the encoder's 3 blocks, and draw what it finds. Heads differ: try a few.

# %%
my_features, my_weights = run_encoder(attention)


def look(block, head, tubelet):
    """Where a tubelet looks, by your function."""
    weight = my_weights[block - 1, head - 1, tubelet]
    return attention_map(config.grid, CLIP, tubelet, weight, f"block {block}, head {head}")


explore(look, {"block": (1, 3, 1, 2), "head": (1, 4, 1, 1), "tubelet": (0, 63, 1, 14)})

# %% folded=true
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
q, k, v = torch.randn(3, 50, 16)
order = torch.randperm(50)
digit = opening.reshape(config.grid.shape)[:, 1:, 2]  # the lower three rows of the third column, at each time step
assert digit.sum() > 0.7 and (digit.sum(dim=1) > 0.1).all()
assert torch.allclose(my_features, features, atol=1e-4)
assert torch.allclose(attention(q[order], k[order], v[order]), attention(q, k, v)[order], atol=1e-5)
print(
    "verified: your attention gives the encoder's features; shuffle tokens, and their results are shuffled the same way"
)

# %% [markdown]
# Attention doesn't know the order of its tokens. That's why they need positions (lesson 01).
#
# ## What a block costs
#
# A **block** is attention followed by an **MLP**, which works on each token separately. A FLOP is one multiplication or addition.
# Multiplying `[n, a]` by `[a, b]` takes n a b multiplications and as many additions: 2 n a b FLOPs.
#
# For n tokens of width D:
#
# | part | its products |
# |---|---|
# | `"projections"` | each token times four matrices D x D: for query, key and value, and one at the end |
# | `"mlp"` | each token times two matrices, D x 4 D and 4 D x D |
# | `"attention"` | n queries times n keys, and n x n weights times n values; in all heads together, D numbers each |
#
# ## Write it: `block_cost` (easy, 6 minutes)
#
# Count the FLOPs of each part, in whole numbers. Leave out what's small: softmax, norms, biases.
#
# <details><summary>Hint 1</summary>
#
# One matrix D x D costs `2 * n * D * D`.
# </details>
#
# <details><summary>Hint 2</summary>
#
# The scores are `[n, D]` times `[D, n]`: `2 * n * n * D`. The weighted sum costs the same.
# </details>
#
# <details><summary>Hint 3</summary>
#
# `solution("03", "block_cost")`.
# </details>


# %% exercise="block_cost"
def block_cost(n, D):
    """FLOPs of one block on n tokens of width D -> {"projections": ..., "mlp": ..., "attention": ...}."""
    ### BEGIN SOLUTION
    return {
        "projections": 4 * 2 * n * D * D,
        "mlp": 2 * 2 * n * D * 4 * D,
        "attention": 2 * 2 * n * n * D,
    }
    ### END SOLUTION


attempt("03", block_cost)

# %% [markdown]
# Take ViT-L, the standard large vision transformer (24 blocks, D = 1,024), and the 1,568 tokens of a V-JEPA clip (lesson 01).

# %%
vitl_block = block_cost(1568, 1024)
share = vitl_block["attention"] / sum(vitl_block.values())
guess("What percentage of a block's FLOPs is the attention itself?", round(100 * share))


# %%
def count(work, *given):
    """FLOPs of work(*given), by torch's own counter."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # the fused kernel hides its FLOPs
        work(*given)
    return counter.get_total_flops()


for part, flops in vitl_block.items():
    print(f"{part:12} {flops / 1e9:5.1f} GFLOP")
counted, formula = count(Block(32, heads=1), torch.randn(1, 300, 32)), sum(block_cost(300, 32).values())
print(f"a small block: counted by torch {counted:,}, by your formulas {formula:,}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
package = block_cost(1568, 1024) == block_flops(1568, 1024)
giga = [round(vitl_block[part] / 1e8) for part in ("mlp", "projections", "attention")]
check("C1 counted", counted == formula and package and giga == [263, 132, 101],
      "26.3 GFLOP for the MLP, 13.2 for projections, 10.1 for attention, in one block of ViT-L on 1568 tokens; "
      "torch's counter agrees with your formulas")  # fmt: skip

# %% [markdown]
# At V-JEPA's size, the famous square is the *smallest* part. But the other parts only grow in proportion to n.

# %%
D = 1024
passes = next(n for n in range(1, 20 * D) if 2 * block_cost(n, D)["attention"] >= sum(block_cost(n, D).values()))
guess("At how many tokens does attention cost as much as the rest of the block?", passes)

# %%
explore(lambda D: block_cost_curves(block_cost, D), {"D": [1024, 384, 192, 64]})

# %% folded=true
# NBVAL_CHECK_OUTPUT
crossings = True
for D in (64, 192, 384, 1024):
    four, six = block_cost(4 * D, D), block_cost(6 * D, D)
    crossings &= four["attention"] == four["mlp"] and six["attention"] == six["mlp"] + six["projections"]
check(
    "C1 crossings",
    crossings,
    "attention costs as much as the MLP at n = 4 D, and as MLP and projections together at n = 6 D",
)

# %% [markdown]
# ## Measure it
#
# FLOPs are counted; seconds are measured. If time grows as a power of n, the points lie on a straight line when both axes are logarithmic,
# and the slope is that power: 1 means in proportion to n, 2 means its square.

# %%
D, lengths = 64, [128, 256, 512, 1024, 2048, 4096]
block = Block(D, heads=1).eval()


def fastest(work, *given, repeats=15):
    """Seconds of the fastest of a few runs: anything else the machine does can only add time."""
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        work(*given)
        spent.append(time.perf_counter() - start)
    return min(spent)


seconds = {"attention alone": [], "whole block": [], "MLP": []}
with torch.inference_mode():
    for n in lengths:
        x, q = torch.randn(1, n, D), torch.randn(1, 1, n, D)
        seconds["attention alone"].append(fastest(F.scaled_dot_product_attention, q, q, q))
        seconds["whole block"].append(fastest(block, x))
        seconds["MLP"].append(fastest(block.mlp, x))
long_lists = slice(lengths.index(512), None)
powers = {
    name: float(np.polyfit(np.log(lengths[long_lists]), np.log(values[long_lists]), 1)[0])
    for name, values in seconds.items()
}
guess(
    "Which power of n fits a whole block of width 64, from 512 tokens up? (One decimal.)",
    round(powers["whole block"], 1),
)

# %%
show(measured_times(lengths, seconds, powers))

# %% [markdown]
# That's one machine at one moment: another program or a small cache bends the lines. So the seconds are only shown; the counts are checked.
# Double n, and count:

# %% folded=true
# NBVAL_CHECK_OUTPUT
x = torch.randn(1, 1024, D)
once, twice = x[:, :512], x
alone = F.scaled_dot_product_attention
growth = {
    "attention": count(alone, twice, twice, twice) / count(alone, once, once, once),
    "MLP": count(block.mlp, twice) / count(block.mlp, once),
    "block": count(block, twice) / count(block, once),
}
check("C1 growth", growth["attention"] == 4 and growth["MLP"] == 2 and 2 < growth["block"] < 4,
      "with twice the tokens, torch counts 4 times the FLOPs for attention, 2 times for an MLP, and for a block something in between")  # fmt: skip
wide = sum(block_cost(4096, 1024).values()) / sum(block_cost(512, 1024).values())
assert round(float(np.log(wide) / np.log(4096 / 512)), 1) == 1.2

# %% [markdown]
# At width 64, attention overtakes the rest at 6 D = 384 tokens, so on the longer lists a block is mostly attention. At ViT-L's width, the
# slope of the counts from 512 to 4,096 tokens is only 1.2.
#
# ## Where a training step's arithmetic goes
#
# Three networks take part in a training step. You'll build them in lesson 04.
#
# - The **online encoder** (papers also call it the context encoder) reads only visible tubelets, once for each of lesson 02's two mask
#   groups. Hidden ones are dropped before the first block.
# - The **predictor**, a narrower transformer, guesses the features of the hidden tubelets.
# - The **target encoder**, a slow copy of the online encoder, reads the whole clip, to supply the answers.
#
# Gradients triple the cost of the first two. The target encoder gets none: it only runs forward.

# %%
with torch.device("meta"):  # shapes without numbers: the encoder has 300 million weights, and we only count
    vitl = build_model(PRESETS["vitl"])
short, long = (370, 746), (100, 1103)  # context and target of each group, from lesson 02, for a batch of 24
visible = vitl.step_flops([short, long])
everything = vitl.step_flops([(1568, 746), (1568, 1103)])
dearest = max(visible, key=visible.get).replace("context", "online")
guess(
    "Which costs the most in a training step of V-JEPA's ViT-L?",
    dearest,
    choices=["online encoder", "predictor", "target encoder"],
)

# %% [markdown]
# In the second bar, the online encoder reads the whole clip for each group:

# %%
show(flop_bars({"visible only": visible, "if it saw everything": everything}))
times = sum(everything.values()) / sum(visible.values())
print(f"if the online encoder saw everything, a step would cost {times:.1f} times as much")

# %% folded=true
# NBVAL_CHECK_OUTPUT
percent = {part: round(100 * flops / sum(visible.values())) for part, flops in visible.items()}
assert (vitl.encoder.depth, vitl.encoder.dim) == (24, 1024)
assert (vitl.predictor.depth, vitl.predictor.inner) == (12, 384)
check("C2", 45 <= percent["target encoder"] <= 49 and 33 <= percent["context encoder"] <= 37 and 16 <= percent["predictor"] <= 20,
      "the target encoder, which needs no gradient, is nearly half of a step; the online encoder a third; the predictor less than a fifth")  # fmt: skip

# %% [markdown]
# You may have bet on the predictor, because it does the guessing. But it's 384 wide instead of 1,024, and has 12 blocks instead of 24. The
# most expensive part is the one that gets no gradient.
#
# ## Break it
#
# Give the block 8 heads instead of 1 and measure again. The FLOPs don't change. Do the seconds?

# %%
heads = 1  # make this 8
mine, x = Block(64, heads).eval(), torch.randn(1, 1024, 64)
with torch.inference_mode():
    print(f"{sum(block_cost(1024, 64).values()) / 1e6:.0f} MFLOP, {1000 * fastest(mine, x):.1f} ms")

# %% [markdown]
# <details><summary>What to expect</summary>
#
# They usually grow. There are just as many multiplications, but 8 score matrices go through the softmax, which we don't count, and
# products of such short vectors run slower.
# </details>
#
# ## Three questions
#
# <details><summary>1. You double the frame's side and keep the patch size. What happens to n, and to the cost of each part of a block?</summary>
#
# n is four times as large. Projections and MLP cost four times as much, attention sixteen times.
# </details>
#
# <details><summary>2. Why does training cost three times the forward pass for the online encoder, but not for the target encoder?</summary>
#
# For each product in the forward pass, the backward pass takes two: one for the input's gradient, one for the weights'. The target encoder
# gets no gradient.
# </details>
#
# <details><summary>3. The two contexts together hold 470 of 1,568 tokens, three tenths. Why does the online encoder cost three quarters as much as the target encoder?</summary>
#
# Gradients triple it, to nine tenths. On shorter lists, attention shrinks faster than the number of tokens, which brings it down to about
# three quarters.
# </details>

# %%
guess.table()

# %% [markdown]
# **In the package:** `minivjepa/transformer.py`; `step_flops` in `minivjepa/vjepa.py`. **In the papers:** "Attention is all you need"
# (arXiv 1706.03762); ViT (arXiv 2010.11929). **Next:** 04, the three components.
