# %% [markdown]
# # 06 Collapse
#
# ![You are here: features that die. The diagram of V-JEPA. In full color: context, features.](attachment:here-06.png)
#
# **At the end you can explain** why a network that gives every clip the same features is a perfect answer to V-JEPA's loss, what
# three kinds of collapse look like in numbers, which numbers lie, and why gradients don't help.
#
# *40 minutes, including about a minute of computing. Any laptop.*
# You need: lesson 05.

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

import json
from dataclasses import replace
from pathlib import Path
from statistics import mean

import torch

from minivjepa.collapse import rankme, token_metrics
from minivjepa.data.digits import DigitClips
from minivjepa.data.protocol import CHANCE, Budget
from minivjepa.evaluation.judge import encode_split
from minivjepa.evaluation.probes import linear_accuracy
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_model, sample_masks
from minivjepa.tubelets import gather_tokens
from minivjepa.vjepa import ARMS
from minivjepa_course.homework.checking import attempt, solution
from minivjepa_course.lesson import check, play, show
from minivjepa_course.pictures.collapse_kinds import kinds_of_collapse, loss_and_spread
from minivjepa_course.pictures.films import clouds_in_motion
from minivjepa_course.predictions import Predictions
from minivjepa_course.tiny import train_tiny
from minivjepa_course.toys import collapse_page

guess = Predictions()
config = PRESETS["tiny"]
source = DigitClips(config.grid)
clips, _ = source.batch(step=0, index=torch.arange(64))
masks = sample_masks(config, step=0, index=torch.arange(64))


def train(arm, kind="l1", steps=400):
    """The tiny model under one arm; returns it with rows of (step, loss, features of `clips`)."""
    rows = []
    for step, loss, model in train_tiny(replace(config, prevention=ARMS[arm], loss=kind), steps):
        if step % 10 == 0 or step == steps - 1:
            with torch.no_grad():
                rows.append((step, loss, model.encoder(clips)))
    return model, rows


# %% [markdown]
# Two networks start from the same weights and train on the same clips. V-JEPA is on the left, the arm `neither` on the right: no EMA, no
# stop-gradient. Each dot is a clip, placed by its features.

# %%
runs = {"vjepa": train("vjepa"), "neither": train("neither")}
play(clouds_in_motion({arm: [(step, h) for step, _, h in rows] for arm, (_, rows) in runs.items()}))

# %% [markdown]
# On the right, 64 clips become one dot. That's **collapse**: the features no longer tell you what's in a clip. (On the left the cloud gets
# smaller too, but it keeps its shape: clips stay apart.) What does the loss make of it?

# %%
last = {arm: rows[-1][1] for arm, (_, rows) in runs.items()}
guess("How many times as large is vjepa's loss as neither's, at the end?", round(last["vjepa"] / last["neither"]))

# %% [markdown]
# ## The perfect useless network
#
# You can get a loss of zero without training. Edit an untrained V-JEPA twice. Its encoder's last layer ignores the input and always outputs
# the same vector. Its predictor always outputs that vector, normalized.


# %%
def useless(kind):
    """An untrained model, edited to give everything the same features."""
    model = build_model(replace(config, loss=kind))
    same = torch.randn(config.dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for encoder in (model.encoder, model.target_encoder):
            encoder.norm.weight.zero_()  # whatever comes in ...
            encoder.norm.bias.copy_(same)  # ... this goes out
        model.predictor.leave.weight.zero_()
        model.predictor.leave.bias.copy_(model.normalised(same))
    return model


losses = {kind: useless(kind)(clips, masks).item() for kind in ("l1", "l2")}
guess(
    "Is it still a perfect answer under squared error?", "yes" if losses["l2"] < 1e-6 else "no", choices=["yes", "no"]
)

# %% [markdown]
# What do its features know? Find out with a **linear probe**: freeze the encoder, average its tokens, train a linear classifier on them,
# and test it on clips and handwriting it hasn't seen. Guessing gets 1 direction of motion in 8 right, and 1 digit in 10.

# %%
budget = Budget(train_clips=1024, validation_clips=16, test_clips=512)


def linear_probes(encoder):
    """Task -> held-out accuracy of a linear probe."""
    train, test = (
        encode_split(encoder.eval(), config, split, budget, torch.device("cpu")) for split in ("train", "test")
    )
    return {
        task: linear_accuracy(train.pooled, getattr(train, task), test.pooled, getattr(test, task))
        for task in ("direction", "identity")
    }


scores = linear_probes(useless("l1").encoder)
print("losses:", {kind: round(loss, 6) for kind, loss in losses.items()})
print("probes:", {task: round(score, 3) for task, score in scores.items()}, "chance:", CHANCE)

# %% folded=true
# NBVAL_CHECK_OUTPUT
at_chance = all(abs(scores[task] - CHANCE[task]) < 0.05 for task in scores)
check(
    "O2",
    max(losses.values()) < 1e-6 and at_chance,
    "a network that gives everything the same features has loss 0, with squared error too, and probes read nothing from it",
)

# %% [markdown]
# ## Write it: `feature_std` (easy, 5 minutes)
#
# An optimizer takes any route to a low loss, and the loss can't warn you. You need a number that can.
#
# For every place and each of its D feature numbers, take the standard deviation across clips (divide by n, not n - 1). The mean of all
# these is the **feature std**. At 0, all clips look the same.
#
# <details><summary>Hint 1</summary>
#
# Clips are axis 0 of `h`.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `h.std` divides by n - 1; with `correction=0`, it divides by n.
# </details>
#
# <details><summary>Hint 3</summary>
#
# The whole solution: `solution("06", "feature_std")`.
# </details>


# %% exercise="feature_std"
def feature_std(h):
    """Features h [B, N, D] -> one number: std across clips at a fixed place, mean over places and numbers."""
    ### BEGIN SOLUTION
    return h.std(dim=0, correction=0).mean().item()
    ### END SOLUTION


attempt("06", feature_std)

# %% [markdown]
# Use it on both runs, and on a third: `neither` under squared error.

# %%
runs["neither, squared"] = train("neither", "l2")
histories = {name: [(step, loss, float(feature_std(h))) for step, loss, h in rows] for name, (_, rows) in runs.items()}
for name, rows in histories.items():
    print(f"{name:16} loss fell to 1 / {rows[0][1] / rows[-1][1]:.0f} of what it was")
show(loss_and_spread(histories))

# %% [markdown]
# Both unprotected runs collapse almost at once. (Squared errors are in different units: compare how far they fell, not the values.) Cover
# the right panel, and the broken runs look best.
#
# The same at a larger scale: two arms of the stored ablation, 2,600 steps, five seeds. Lesson 07 has the others.

# %% folded=true
stored = json.loads((Path("..") / "results" / "matrix.json").read_text())
print(stored["command"], "|", stored["date"], "|", stored["device"], "| torch", stored["versions"]["torch"])
finals = {arm: [run["final"]["loss"] for run in each] for arm, each in stored["arms"].items()}
print("  means over seeds at the end     loss feature std   of target")
for arm in ("vjepa", "neither"):
    ends = [run["final"] for run in stored["arms"][arm]]
    columns = finals[arm], [e["feature_std"] for e in ends], [(e["target"] or e)["feature_std"] for e in ends]
    print(f"  {arm:24}", *(f"{mean(values):11.4f}" for values in columns))
longer = json.loads((Path("..") / "results" / "long.json").read_text())
healthy = [[row["loss"] for row in run["history"] if row["step"] > 0] for run in longer["arms"]["vjepa"]]
climbs = [max(loss[loss.index(min(loss)) :]) / min(loss) - 1 for loss in healthy]
print(
    f"vjepa in {longer['config']['steps']:,} steps: after its lowest, the loss climbs by",
    *(f"{up:.0%}" for up in climbs),
)

# %% folded=true
# NBVAL_CHECK_OUTPUT
small = histories["neither"][-1][1] < 0.1 * histories["vjepa"][-1][1]
large = max(finals["neither"]) < min(min(values) for arm, values in finals.items() if arm != "neither")
check(
    "O6",
    small and large,
    "a falling loss does not mean learning: the lowest loss belongs to the run without safeguards, here and in the stored ablation",
)

# %% [markdown]
# (A healthy run's loss can fall and then rise: the last line has five longer runs.)
#
# Can you see collapse? Each run sees the first half of a clip and predicts features for the second. A small decoder, trained on
# targets, paints what was predicted:
#
# ![Three clips of a moving digit, one per row. What vjepa predicts for the second half is painted as a blurred digit that keeps moving in the right direction; what neither predicts is the same dark square for every clip](../results/imagined.gif)
#
# `neither` gets the same dark square for every clip. `frozen`, which predicts a random network that never moves, does as
# well as V-JEPA: lesson 07 comes back to that. (A decoder can flatter: look at *another clip* and *untrained*.)
#
# ## But don't bad features mean a high loss?
#
# It sounds right: bad features, bad predictions, high loss, so the gradient improves the encoder. But that only works if the *targets*
# differ from clip to clip.
#
# Test it with a rival that never sees the clip. For each place, it guesses the median of the targets over all clips; under L1, no blind
# guess does better. Its loss is the most there is to gain by looking.


# %%
def blind_loss(model):
    """Loss of the best guess that knows the place but not the clip."""
    [(_, target)] = masks
    with torch.no_grad():
        h = model.normalised(model.targets(clips))
    return gather_tokens((h - h.median(dim=0).values).abs(), target).mean().item()


print(f"the best blind guess for an untrained network: loss {blind_loss(build_model(config)):.3f}")
guess(
    "What's the loss of the best blind guess for neither, after its training?", round(blind_loss(runs["neither"][0]), 3)
)


# %%
def loss_with(model, context_of):
    """Loss of predicting each clip's hidden features from the context of the clip that `context_of` names."""
    [(context, target)] = masks
    h = model.normalised(model.targets(clips))
    z = model.encoder(clips[context_of], context)
    return (model.predictor(z, context, target) - gather_tokens(h, target)).abs().mean()


def measure(model):
    """Gradient norm into the encoder; loss with its own clip, with another clip, and of the best blind guess."""
    own, other = torch.arange(64), torch.arange(64).roll(1)
    model.zero_grad()
    loss_with(model, own).backward()
    norm = torch.cat([p.grad.flatten() for p in model.encoder.parameters()]).norm().item()
    with torch.no_grad():
        return norm, loss_with(model, own).item(), loss_with(model, other).item(), blind_loss(model)


table = {
    "untrained": measure(build_model(config)),
    "vjepa": measure(runs["vjepa"][0]),
    "neither": measure(runs["neither"][0]),
    "built by hand": measure(useless("l1")),
}
print("               gradient    loss   wrong clip   best blind guess")
for name, (norm, own, other, blind) in table.items():
    print(f"{name:14} {norm:8.3f} {own:7.3f} {other:12.3f} {blind:18.3f}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
gradient, loss, wrong, blind = ({name: row[column] for name, row in table.items()} for column in range(4))
check(
    "O9",
    blind["untrained"] > 0.5
    and loss["vjepa"] < 0.8 * blind["vjepa"]
    and wrong["vjepa"] > 1.3 * loss["vjepa"]
    and max(abs(wrong[name] / loss[name] - 1) for name in ("untrained", "neither")) < 0.1
    and blind["neither"] < 0.05
    and gradient["neither"] > 0.01
    and max(gradient["built by hand"], blind["built by hand"]) < 1e-6,
    "no blind guess does well on an untrained network's targets, and V-JEPA beats its blind rival by looking; on a collapsed "
    "network's targets, that rival's loss is near 0: a gradient is there, but looking could hardly lower the loss",
)

# %% [markdown]
# Read the last column. Before training, there may be a lot to gain by looking. V-JEPA gains some of it: its loss is below its blind rival's, and
# the wrong clip costs it dearly. `neither` made its targets alike instead, and has next to nothing left to gain.
#
# Its gradient isn't small: an absolute difference has the same slope however close it is to zero.
#
# ## Three kinds of collapse
#
# Features can die in more than one way. Below are four sets made by hand, each 320 clips of 8 tokens with 24 numbers. One is healthy. The
# others:
#
# - **complete**: every clip and every token gets the same vector (a little noise remains);
# - **dimensional**: clips differ, but only along two of 24 directions;
# - **content-free** (this course's name): tokens differ by place, but not by clip.
#
# Feature std misses the second. So also ask: along about how many directions do clips spread?
#
# ## Write it: `effective_rank` (medium, 10 minutes)
#
# You get `pooled` [clips, D], each clip's tokens averaged. Subtract the mean over clips. The singular values of what's left measure the
# spread along D directions. Divide them by their sum to get shares p, and add 1e-7 to each so that you never take the log of 0. The
# **effective rank** is the exp of their entropy, -Σ p log p: it's D if all shares are equal, and 1 if one direction has everything. Scale
# doesn't matter.
#
# <details><summary>Hint 1</summary>
#
# `torch.linalg.svdvals(x.double())` gives the singular values.
# </details>
#
# <details><summary>Hint 2</summary>
#
# The mean over clips is `pooled.mean(dim=0)`. Use the natural log.
# </details>
#
# <details><summary>Hint 3</summary>
#
# The whole solution: `solution("06", "effective_rank")`.
# </details>


# %% exercise="effective_rank"
def effective_rank(pooled):
    """One row per clip, pooled [clips, D] -> along about how many directions clips are spread, from 1 to D."""
    ### BEGIN SOLUTION
    sigma = torch.linalg.svdvals((pooled - pooled.mean(dim=0)).double())
    p = sigma / sigma.sum() + 1e-7
    return torch.exp(-(p * p.log()).sum()).item()
    ### END SOLUTION


attempt("06", effective_rank)

# %% [markdown]
# Your two functions give you three numbers: swap clips and places, and `feature_std` measures the spread *within* clips.

# %%
torch.manual_seed(0)
B, N, D = 320, config.grid.tokens, 24
noise = 0.001 * torch.randn(B, N, D)
made = {
    "healthy": torch.randn(B, 1, D) + 0.5 * torch.randn(B, N, D),
    "complete": torch.randn(D) + noise,
    "dimensional": torch.randn(B, N, 2) @ torch.randn(2, D) / 2**0.5,
    "content-free": torch.randn(1, N, D) + noise,
}


def numbers_of(h):
    """Features [B, N, D] -> three numbers, by your functions."""
    return {
        "feature std": float(feature_std(h)),
        "within-clip std": float(feature_std(h.transpose(0, 1))),
        "effective rank": float(effective_rank(h.mean(dim=1))),
    }


numbers = {name: numbers_of(h) for name, h in made.items()}
full = 0.9 * numbers["healthy"]["effective rank"]
high = [name for name in made if name != "healthy" and numbers[name]["effective rank"] > full]
guess(
    "Which of the three kinds of collapse reach at least nine tenths of the healthy effective rank?",
    " and ".join(high) or "none",
    choices=["none", "complete", "dimensional", "content-free", "complete and content-free", "all three"],
)

# %%
show(kinds_of_collapse(made))

# %% folded=true
# NBVAL_CHECK_OUTPUT
for name, h in made.items():
    package = token_metrics(h)
    for mine, theirs in zip(numbers[name].values(), ("feature_std", "position_std", "effective_rank"), strict=True):
        assert abs(mine - package[theirs]) < 1e-3 * package[theirs], (name, theirs)
low = {
    name: [metric for metric, value in each.items() if value < 0.25 * numbers["healthy"][metric]]
    for name, each in numbers.items()
}
for name, metrics in low.items():
    print(f"{name}: far below healthy in", ", ".join(metrics) or "nothing")
assert low == {
    "healthy": [],
    "complete": ["feature std", "within-clip std"],
    "dimensional": ["effective rank"],
    "content-free": ["feature std"],
}
print("verified: none of your three numbers sees all three kinds, and they are the package's")

# %% [markdown]
# None of the three sees all kinds:
#
# - **feature std** sees complete and content-free collapse. Read it first.
# - **effective rank** sees dimensional collapse. The others fool it: with the mean gone, only noise is left, and noise fills every
#   direction. A dead network can score *higher* than a live one.
# - **within-clip std** is fooled by content-free collapse: tokens differ, but not because of the clip.
#
# The package logs them all, for both encoders, and prints an early warning when feature std falls below 0.1 (stored runs mostly start at
# 0.7 to 0.8).
#
# ## Break it
#
# Make the noise in the complete collapse a thousand times smaller. `rankme`, the effective rank without subtracting
# the mean, sees all three kinds. Can you fool it too? Start from `made["healthy"]`.

# %%
quieter = torch.randn(D) + 1e-3 * torch.randn(B, N, D)  # make this noise smaller
found = numbers_of(quieter) | {"rankme": rankme(quieter.mean(dim=1))}
print({name: round(value, 6) for name, value in found.items()})

# %% [markdown]
# <details><summary>What happens</summary>
#
# Both standard deviations become a thousand times smaller. The effective rank stays near 24, and `rankme` near 1: it sees one
# direction. That also fools it: `made["healthy"] + 5 * torch.randn(D)` is as healthy as before, and `rankme` falls.
# </details>
#
# ## Back to life?
#
# Press play. When this network is dead, switch the stop on. Does it come back?

# %%
collapse_page("neither")

# %% [markdown]
# <details><summary>What happens</summary>
#
# Ours barely did: the page's learning rate falls to 0. At a constant rate, all three came back, after thousands of steps.
# </details>
#
# ## Three questions
#
# <details><summary>1. Your loss went to 0.001 in the first hundred steps. What do you look at before you celebrate?</summary>
#
# The feature std across clips, for both the online and the target encoder.
# </details>
#
# <details><summary>2. Why doesn't normalizing the targets (lesson 05) prevent this?</summary>
#
# It fixes each vector's scale, not whether vectors of different clips differ.
# </details>
#
# <details><summary>3. Could a collapsed network recover if training went on?</summary>
#
# Under `neither`, nothing pulls it out: its targets are all alike, so it gains next to nothing by looking at the clip. After 2,600 steps, no
# stored run of it had recovered. (With the stop, a *nearly* collapsed network can.)
# </details>

# %%
guess.table()

# %% [markdown]
# **In the package:** `minivjepa/collapse.py`, `minivjepa/evaluation/probes.py`. **In the papers:** Jing et al. (arXiv 2110.09348) on dimensional
# collapse; VICReg (arXiv 2105.04906); RankMe (arXiv 2210.02885). **Next:** 07, which switch prevents it.
