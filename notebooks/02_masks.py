# %% [markdown]
# # 02 Masks: what the encoder may see
#
# **At the end you can explain** how V-JEPA hides most of a clip, where "about 90 % hidden" comes from and what really is
# hidden, and what a batch has to do with it.
#
# *30 minutes, about half a minute of them for the computer. Any laptop.*
# You need: lesson 01 (tokens, and `Grid`).

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
import torch

from minivjepa.course.figures.mask_maps import draw_mask, heat_maps, masked_strip, survival_curves
from minivjepa.course.lesson import check, compare, show
from minivjepa.course.widgets import explore
from minivjepa.masking import BlockMask, FutureMask, OfficialBlocks, RandomMask, TubeMask, coverage, draw_blocks
from minivjepa.tubelets import Grid

small = Grid(frames=8, height=32, width=32, tubelet=2, patch=8)
paper = Grid(frames=16, height=224, width=224, tubelet=2, patch=16)

# %% [markdown]
# ## A mask is two lists of numbers
#
# V-JEPA learns by guessing: the encoder sees some tubelets of a clip, the **context**, and from them the features of others
# are predicted, the **target**. A mask says which is which. Here it is a pair of integer tensors: `context` [B, K] names
# the K tubelets that are seen in each of B clips, `target` [B, M] the M that are to be predicted.

# %%
context, target = RandomMask(hide=0.75).sample(small, seed=0, step=0, index=torch.arange(2))
print("context", tuple(context.shape), "target", tuple(target.shape))
print("the first clip shows tubelets", context[0].tolist())

# %% [markdown]
# Four ways to hide much of a clip: three quarters, three quarters, half, and five eighths of it. Blue is to be predicted; what you
# can see, the encoder can see.

# %%
for name, mask in {
    "random": RandomMask(0.75),
    "tube": TubeMask(0.75),
    "future": FutureMask(0.5),
    "short blocks": BlockMask(),
}.items():
    show(masked_strip(small, mask.sample(small, 0, 0, torch.arange(1)), name))

# %% [markdown]
# *Random* hides each tubelet on its own. That is too easy: what is hidden in one frame is visible at the same place in the
# next, and a model may copy it from there without understanding anything. *Tubes* hide the same patches in every frame,
# which stops the copying. *Future* shows the first frames and asks for the rest: whoever wants to know where the digit will
# be has to know how it moves. *Blocks* are tubes whose patches form rectangles, so that whole things vanish. Lesson 07
# shows what an encoder learns from each.
#
# ## V-JEPA's blocks
#
# V-JEPA hides two ways at once, and averages both losses. **Short**: the union of 8 blocks, each 15 % of the frame.
# **Long**: the union of 2 blocks, each 70 %. All blocks go through the whole clip.
#
# **Predict:** what share of the frame do 8 blocks of 15 % cover on average? (They overlap. A percentage from 0 to 100.)

# %%
my_short_percentage = None

# %%
clips, draws = 24, 300  # V-JEPA's batch per GPU; how many batches we look at


def hidden_by_geometry(blocks):
    """Percentage of the frame under the blocks, before anything else happens."""
    shares = [
        draw_blocks(paper, blocks.count, blocks.scale, seed=0, step=step, index=torch.arange(clips), attempt=0)
        for step in range(draws)
    ]
    return 100 * torch.stack(shares).float().mean().item()


short, long = OfficialBlocks(count=8, scale=0.15), OfficialBlocks(count=2, scale=0.7)
geometry = {"short": hidden_by_geometry(short), "long": hidden_by_geometry(long)}
compare("percentage under 8 blocks of 15 %", my_short_percentage, f"{geometry['short']:.0f}")
print(f"and under 2 blocks of 70 %: {geometry['long']:.0f}")

# %% [markdown]
# So the blocks leave more than a third of the frame visible in one group and a fifth in the other. Yet people say that V-JEPA
# hides about 90 %. That is no number of the blocks. What comes between is a detail of the code:
#
# ## The cut
#
# The clips of a batch have different blocks, so different numbers of visible tubelets. A tensor needs the same K in every
# row. The released code takes the *smallest* count in the batch and cuts every clip down to it, keeping the first ids of
# each list. Context and target are cut alike, each to its own smallest count.
#
# **Predict:** how many of the 1568 tubelets does the encoder still see, on average over both groups? (A tenth would be 157.)

# %%
my_context_size = None

# %%
sizes = {
    name: [mask.sample(paper, 0, step, torch.arange(clips)) for step in range(draws)]
    for name, mask in {"short": short, "long": long}.items()
}
kept = {name: sum(c.shape[1] for c, _ in pairs) / draws for name, pairs in sizes.items()}
asked = {name: sum(t.shape[1] for _, t in pairs) / draws for name, pairs in sizes.items()}
compare("tubelets in the context, mean of both groups", my_context_size, f"{(kept['short'] + kept['long']) / 2:.0f}")
for name in kept:
    print(
        f"  {name}: sees {kept[name]:.0f} of {paper.tokens}, predicts {asked[name]:.0f}; hidden {100 - 100 * kept[name] / paper.tokens:.0f} %"
    )

# %% folded=true
# NBVAL_CHECK_OUTPUT
hidden = {name: 100 - 100 * kept[name] / paper.tokens for name in kept}
check("T3", round(0.1 * paper.tokens) == 157 and 330 < kept["short"] < 400 and 80 < kept["long"] < 125 and max(asked.values()) < 1400,
      "a tenth of 1568 is 157, and that is no number the sampler aims at: the short group sees 330 to 400 tubelets, the long one 80 to 125")  # fmt: skip

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("M1", 60 < geometry["short"] < 66 and 78 < geometry["long"] < 84 and 74 < hidden["short"] < 80 and 92 < hidden["long"] < 96,
      "the blocks hide about 63 and 81 in a hundred, give or take 3; the cut makes that about 77 and 94")  # fmt: skip

# %% [markdown]
# So "about 90 %" is a rounded way to speak of three quarters in one group and 94 % in the other, and it is a number of the
# cut, not of the blocks.

# %% [markdown]
# ## What the cut does to time
#
# "Keeping the first ids" sounds harmless. But ids are in time-major order (lesson 01): first all of time step 0, then all
# of time step 1. So the first ids are the *early* ones. Look at one clip of a batch before you read on: grey tubelets are
# neither seen nor predicted.

# %%
show(masked_strip(paper, short.sample(paper, 0, 3, torch.arange(clips)), "official short, batch of 24", row=5))

# %% [markdown]
# Now many of them. Above: how often each tubelet is in the context. Below: how often it is in the target.

# %%
maps = {}
for name, pairs in sizes.items():
    for part, what in enumerate(("context", "target")):
        maps[f"{name} {what}"] = torch.stack([coverage(pair[part], paper) for pair in pairs]).mean(dim=0)
show(heat_maps(maps, "share of clips that have this tubelet"))

# %% [markdown]
# **Predict:** of a clip's own context tubelets in the *last* time step, what percentage survives the cut in the short group?

# %%
my_percentage_left = None

# %%


def left_by_step(blocks, part):
    """Share of a clip's own context ids (part 0) or target ids (part 1) that survive the cut, for each time step."""
    total = torch.zeros(8)
    for step in range(draws):
        ids = sizes["short" if blocks is short else "long"][step][part]
        covered = draw_blocks(paper, blocks.count, blocks.scale, 0, step, torch.arange(clips), attempt=0)
        own = (covered if part == 1 else ~covered).sum(dim=1, keepdim=True).clamp(min=1)  # per time step and clip
        counts = torch.zeros(clips, 8).scatter_add_(1, ids // 196, torch.ones(ids.shape))  # id // 196 is its time step
        total += (counts / own).clamp(max=1).mean(
            dim=0
        ) / draws  # clamp: a clip whose blocks covered all was drawn again
    return total.tolist()


curves = {
    f"{name} {what}": left_by_step(blocks, part)
    for name, blocks in (("short", short), ("long", long))
    for part, what in enumerate(("context", "target"))
}
compare(
    "percentage of the last step's context that is left", my_percentage_left, f"{100 * curves['short context'][-1]:.0f}"
)
show(survival_curves(curves))

# %% folded=true
# NBVAL_CHECK_OUTPUT
falls = all(a >= b - 0.01 for curve in curves.values() for a, b in zip(curve, curve[1:]))
check("M2", falls and curves["short context"][0] > 0.99 and max(curves[f"{n} context"][-1] for n in kept) < 0.15 and max(curves[f"{n} target"][-1] for n in kept) < 0.4,
      "no time step keeps more than an earlier one; the last has lost most of its context and of its target, in both groups")  # fmt: skip

# %% [markdown]
# So what V-JEPA trains on is, in effect, a soft causal mask (causal: what comes later may not be seen): it sees the
# beginning well and the end hardly, and is asked about the beginning more than about the end. Nobody planned that; it follows from one line that makes a tensor rectangular.
#
# ## And the batch
#
# **Predict:** on each GPU you now use a batch of 4 instead of 24. How many tubelets does the encoder see then? (`"more"`,
# `"fewer"` or `"as many"`)

# %%
my_guess_for_a_small_batch = None

# %%
by_batch = {}
for batch in (4, 10, 24, 64):
    contexts = [short.sample(paper, 0, step, torch.arange(batch))[0].shape[1] for step in range(100)]
    by_batch[batch] = sum(contexts) / len(contexts)
ratio = by_batch[4] / by_batch[24]
compare("batch of 4", my_guess_for_a_small_batch, "more" if ratio > 1.05 else "fewer" if ratio < 0.95 else "as many")
for batch, size in by_batch.items():
    print(f"  batch of {batch:2}: the encoder sees {size:.0f} tubelets, {100 - 100 * size / paper.tokens:.0f} % hidden")

# %% folded=true
# NBVAL_CHECK_OUTPUT
sizes_fall = all(a > b for a, b in zip(list(by_batch.values()), list(by_batch.values())[1:]))
check("M3", sizes_fall and by_batch[4] > 1.2 * by_batch[64],
      "the larger the batch per device, the less the encoder sees: the smallest of more clips is smaller")  # fmt: skip

# %% [markdown]
# The same recipe on other hardware is another task. That is why the masks of this course keep a constant K for a whole
# run (`BlockMask` brings every clip to the same share by showing or hiding single patches), and why the released behaviour
# is here under a name of its own, `official-short` and `official-long`.
#
# Move the sliders: a mask by name, the side of the frame, the clips in a batch.

# %%
explore(
    draw_mask,
    {
        "name": [
            "random",
            "tube",
            "future",
            "short",
            "long",
            "official-short",
            "official-long",
            "tube:0.9",
            "random:0.5",
        ],
        "side": [64, 128, 224],
        "batch": (1, 64),
        "step": (0, 20),
    },
)

# %% [markdown]
# ## Break it
#
# Cut the other way: in the cell below, keep the *last* 300 ids instead of the first. Which time steps lose their context then,
# and what is the model asked to do?
#
# <details><summary>What to expect</summary>
#
# The early time steps lose theirs. The model then sees the end and is asked about the beginning: it explains the past instead of
# predicting the future.
# </details>

# %%
everything = torch.arange(paper.tokens)
covered = draw_blocks(paper, 8, 0.15, 0, 0, torch.arange(1), attempt=0)[0].repeat(8)
own_context = everything[~covered]  # in time-major order
left = own_context[:300]  # make this the last 300
print("context is left in time steps", sorted({int(i) // 196 for i in left}))

# %% [markdown]
# ## Three questions
#
# <details><summary>1. Why are tubes harder than random tubelets, at the same share hidden?</summary>
#
# A hidden random tubelet usually has visible neighbours in time that show nearly the same picture. In a tube all of them are
# hidden, so the answer has to come from elsewhere in the frame.
# </details>
#
# <details><summary>2. On one GPU with a batch of 24, or on three GPUs with 8 clips each: is it the same training?</summary>
#
# No. Each GPU cuts its own clips to the smallest of 8 instead of 24, so the encoder sees more tubelets.
# </details>
#
# <details><summary>3. Someone reports that "90 % masking is best". What would you ask?</summary>
#
# Which 90 %: of the geometry, or after the cut? With which batch per device? And is it the context that was changed, or the
# target too?
# </details>
#
# **In the package:** `minivjepa/masking.py`. **In the paper:** V-JEPA (arXiv 2404.08471), section 3.2 and its appendix; the cut is in
# the released code only. **Next:** 03, what all these tokens cost.
