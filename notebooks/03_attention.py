# %% [markdown]
# # 03 Attention and its bill
#
# **At the end you can explain** what attention computes, why its price grows with the square of the number of tokens and
# when that begins to matter, and where the arithmetic of a training step of V-JEPA goes.
#
# *35 minutes, about 1 of them for the computer. Any laptop.*
# You need: lessons 01 and 02; a matrix product.

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

# %%
import time

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from minivjepa.course.figures.flop_curves import block_cost_curves, measured_times, shares_bar
from minivjepa.course.lesson import check, compare, show
from minivjepa.course.widgets import explore
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_model
from minivjepa.transformer import Attention, Block, block_flops

torch.set_num_threads(1)  # so that the measurements below mean one thing

# %% [markdown]
# ## Attention in fifteen lines
#
# Every token asks a question (its *query*), holds up a sign (its *key*) and carries something (its *value*). A token looks at
# all signs, weighs them by how well they answer its question, and takes home the weighted mean of what they carry.

# %%


def attention_by_hand(x, layer):
    """x [n, D] -> [n, D], one head at a time, with the weights of a layer of the package."""
    D = x.shape[1]
    d = D // layer.heads
    q, k, v = (x @ layer.qkv.weight.T + layer.qkv.bias).split(D, dim=1)  # three of [n, D]
    taken_home = []
    for head in range(layer.heads):
        own = slice(head * d, (head + 1) * d)
        score = q[:, own] @ k[:, own].T / d**0.5  # [n, n]: how well sign j answers question i
        weight = torch.exp(score - score.max(dim=1, keepdim=True).values)
        weight = weight / weight.sum(dim=1, keepdim=True)  # each row adds up to 1
        taken_home.append(weight @ v[:, own])  # [n, d]
    return torch.cat(taken_home, dim=1) @ layer.proj.weight.T + layer.proj.bias


# %% folded=true
# NBVAL_CHECK_OUTPUT
torch.manual_seed(0)
layer = Attention(dim=64, heads=4).double()
tokens = torch.randn(2, 50, 64, dtype=torch.float64)
by_hand = torch.stack([attention_by_hand(x, layer) for x in tokens])
same = torch.allclose(by_hand, layer(tokens), atol=1e-12)
print("the package says the same:", same)
order = torch.randperm(50)
print(
    "shuffle the tokens, and the answers are shuffled alike:",
    torch.allclose(layer(tokens[:, order]), layer(tokens)[:, order], atol=1e-12),
)
assert same

# %% [markdown]
# That last line is why tokens need positions (lesson 01). The `score` matrix is why attention has a reputation: it has n x n
# entries.
#
# ## What a block costs
#
# A *block* is attention followed by an MLP that works on each token alone. Count multiplications and additions, for n tokens
# of width D:
#
# | part | FLOPs | why |
# |---|---|---|
# | projections | 8 n D^2 | query, key, value, and the matrix at the end: four of n x D x D, each 2 FLOPs a weight |
# | MLP | 16 n D^2 | two matrices, D x 4D and 4D x D |
# | attention itself | 4 n^2 D | `score` and the weighted sum: two of n x n x D |
#
# (FLOPs: floating-point operations.) Only the last grows with the square of n. **Predict:** for ViT-L, the large standard
# vision transformer (D = 1024, 24 blocks), and V-JEPA's 1568 tokens, what percentage of a block's FLOPs is that?

# %%
my_percentage_of_attention = None

# %%
flops = block_flops(1568, 1024)
compare(
    "percentage of attention itself",
    my_percentage_of_attention,
    f"{100 * flops['attention'] / sum(flops.values()):.0f}",
)
for part, count in flops.items():
    print(f"  {part:12} {count / 1e9:5.1f} GFLOP")

# %% folded=true
# NBVAL_CHECK_OUTPUT
with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # the fused kernel hides its FLOPs
    Block(32, 2)(torch.randn(1, 300, 32))
counted, formula = counter.get_total_flops(), sum(block_flops(300, 32).values())
print("torch's own counter agrees with the table:", counted == formula)
check("C1 counted", [round(flops[part] / 1e8) for part in ("mlp", "projections", "attention")] == [263, 132, 101] and counted == formula,
      "26.3 GFLOP for the MLP, 13.2 for projections, 10.1 for attention, in one block of ViT-L on 1568 tokens")  # fmt: skip

# %% [markdown]
# So at V-JEPA's size the famous square is the *smallest* part. It passes the MLP only at n = 4 D tokens, and everything
# else together at n = 6 D. Where is that for a width of yours?

# %%
show(block_cost_curves(dim=192, longest=4096))

# %%
explore(block_cost_curves, {"dim": [64, 192, 384, 1024], "longest": (1024, 16384, 1024)})

# %% folded=true
# NBVAL_CHECK_OUTPUT
crossings = all(
    block_flops(4 * D, D)["attention"] == block_flops(4 * D, D)["mlp"]
    and block_flops(6 * D, D)["attention"] == block_flops(6 * D, D)["mlp"] + block_flops(6 * D, D)["projections"]
    for D in (64, 192, 384, 1024)
)
check("C1 crossings", crossings, "attention costs as much as the MLP at n = 4 D, and as all dense layers at n = 6 D")

# %% [markdown]
# ## Measure it
#
# FLOPs are counted, seconds are measured. If time grows like n to some power, the points lie on a straight line when both
# axes are logarithmic, and the slope is the power.
#
# **Predict:** the power for attention alone, and for a whole block of width 64, from 512 tokens on. (Two numbers such as 1.5.)

# %%
my_power_of_attention = None
my_power_of_a_block = None

# %%
D, lengths = 64, [128, 256, 512, 1024, 2048, 4096]
block = Block(D, heads=1).eval()


def fastest(work, repeats=15):
    """Seconds of the fastest of a few runs: what else the machine does can only add to it."""
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        spent.append(time.perf_counter() - start)
    return min(spent)


seconds = {"attention alone": [], "whole block": [], "MLP": []}
with torch.inference_mode():
    for n in lengths:
        x, q = torch.randn(1, n, D), torch.randn(1, 1, n, D)
        seconds["attention alone"].append(fastest(lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q)))
        seconds["whole block"].append(fastest(lambda: block(x)))
        seconds["MLP"].append(fastest(lambda: block.mlp(x)))
long_lists = slice(lengths.index(512), None)
power = {
    name: float(np.polyfit(np.log(lengths[long_lists]), np.log(values[long_lists]), 1)[0])
    for name, values in seconds.items()
}
compare("power of attention alone", my_power_of_attention, f"{power['attention alone']:.1f}")
compare("power of a whole block", my_power_of_a_block, f"{power['whole block']:.1f}")
show(measured_times(lengths, seconds, power))

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("C1 measured", 1.5 < power["attention alone"] < 2.5 and 0.6 < power["MLP"] < 1.5 and power["MLP"] - 0.1 < power["whole block"] < power["attention alone"] + 0.1,
      "attention alone grows about with the square of n, the MLP about in proportion, a block in between")  # fmt: skip

# %% [markdown]
# At width 64 the square takes over at 6 D = 384 tokens, so on these lists a block is already mostly attention, and its power is
# nearer to 2 than to 1. At ViT-L's width the same lists would give about 1: there the square comes later.
#
# ## What visible-only encoding saves
#
# V-JEPA's encoder never sees hidden tubelets: they are dropped before they are embedded (lesson 01). Three networks take part
# in a training step; lesson 04 builds them. The *context encoder*, also called online encoder, reads the visible tubelets of
# both groups, with gradients, which triples the work. The *predictor*, smaller, makes guesses about the hidden ones. The
# *target encoder*, a slow copy of the first, reads the whole clip, without gradients, to say what was to be guessed.
#
# **Predict:** which costs most? (`"target encoder"`, `"context encoder"` or `"predictor"`)

# %%
my_most_expensive_part = None

# %%
with torch.device("meta"):  # shapes without numbers: the model has 300 million weights, and we only count
    vitl = build_model(PRESETS["vitl"])
visible = vitl.step_flops([(370, 746), (100, 1103)])  # context and target sizes of lesson 02, batch of 24
full = vitl.step_flops([(1568, 746), (1568, 1103)])  # if the encoder saw everything
shares = {
    name: {part: value / sum(step.values()) for part, value in step.items()}
    for name, step in (("visible only", visible), ("if it saw all", full))
}
compare("the most expensive part", my_most_expensive_part, max(visible, key=visible.get))
print(
    f"  one clip: {sum(visible.values()) / 1e12:.1f} TFLOP; it would be {sum(full.values()) / sum(visible.values()):.1f} times as much if the encoder saw all"
)
show(shares_bar(shares))

# %% folded=true
# NBVAL_CHECK_OUTPUT
percent = {part: round(100 * share) for part, share in shares["visible only"].items()}
check("C2", 45 <= percent["target encoder"] <= 49 and 33 <= percent["context encoder"] <= 37 and 16 <= percent["predictor"] <= 20,
      "the target encoder, which needs no gradient, is nearly half of a step; the context encoder a third; the predictor less than a fifth")  # fmt: skip

# %% [markdown]
# People expect the predictor to be where the cost is, since it does the guessing. It is narrow (384 instead of 1024) and half
# as deep, so it is cheap. The largest part is the one that gets no gradient.
#
# ## Break it
#
# Give the block 8 heads instead of 1 and measure again. The FLOPs do not change; do the seconds?
#
# <details><summary>What to expect</summary>
#
# They usually grow. The multiplications are the same, but there are 8 score matrices of n x n instead of one to fill, to
# exponentiate and to add up, and that is counted in no FLOP formula.
# </details>

# %%
mine = Block(D, heads=1).eval()  # make this 8
with torch.inference_mode():
    x = torch.randn(1, 1024, D)
    print(f"{1000 * fastest(lambda: mine(x)):.1f} ms")

# %% [markdown]
# ## Three questions
#
# <details><summary>1. You double the side of the frame, with the same patches. What happens to n, and to each part of a block?</summary>
#
# n is four times as large: projections and MLP cost four times as much, attention sixteen times.
# </details>
#
# <details><summary>2. Why does training cost three times the forward pass for the online encoder, and not for the target encoder?</summary>
#
# Going backwards computes two products for each one forwards: the gradient of the input and that of the weights. The target
# encoder gets no gradient, so it only goes forwards.
# </details>
#
# <details><summary>3. The two contexts hold 470 of 1568 tokens, three tenths. Why does the context encoder cost three quarters of the
# target encoder, and not three tenths?</summary>
#
# The backward pass triples it: nine tenths. Attention itself shrinks more than in proportion on short lists, which brings it down
# to about three quarters.
# </details>
#
# **In the package:** `minivjepa/transformer.py`; `step_flops` in `minivjepa/vjepa.py`. **In the papers:** "Attention is all you need"
# (arXiv 1706.03762); ViT (arXiv 2010.11929). **Next:** 04, the three components.
