# %% [markdown]
# # 05 One loss, one detach, one average
#
# **At the end you can explain** V-JEPA's loss, where its one stop-gradient stands, what an exponential moving average does
# and how slow it is, and why the targets are normalised.
#
# *35 minutes, about half a minute of them for the computer. Any laptop.*
# You need: lesson 04.

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
import inspect
from dataclasses import replace

import torch

from minivjepa.course.figures.component_diagram import movement_curves, target_response
from minivjepa.course.lesson import check, compare, show
from minivjepa.course.widgets import explore
from minivjepa.data.digits import DigitClips
from minivjepa.ema import ema_update, half_life, momentum_at
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_model, parameter_groups, sample_masks
from minivjepa.tubelets import gather_tokens
from minivjepa.vjepa import VJEPA, CollapsePrevention

# %% [markdown]
# ## The loss
#
# The student guesses vectors, the teacher has vectors, and the loss is their mean absolute difference. That is all:
#
# $$\text{minimise over } E, P: \quad \text{mean} \, \big| P(E(x), \text{places of } y) - \text{stop\_gradient}(\bar E(\text{clip})_y) \big|$$
#
# $x$ are the visible tubelets, $y$ the hidden ones, $E$ the online encoder, $P$ the predictor. The target encoder $\bar E$ reads the
# whole clip; of its vectors only those at the places of $y$ are compared, each of them normalised (the last section says why).
# Write it yourself:

# %%
config = replace(PRESETS["tiny"], masks=("random:0.625",))
model = build_model(config)
source = DigitClips(config.grid)
clips, _ = source.batch(step=0, index=torch.arange(16))
[(context, target)] = masks = sample_masks(config, step=0, index=torch.arange(16))

guess = model.predictor(model.encoder(clips, context), context, target)
with torch.no_grad():  # stop-gradient
    h = model.target_encoder(clips)
h = (h - h.mean(dim=-1, keepdim=True)) / (
    h.var(dim=-1, keepdim=True, correction=0) + 1e-5
).sqrt()  # normalise each vector
mine = (guess - gather_tokens(h, target)).abs().mean()
package = model(clips, masks)
print(f"yours {mine.item():.6f}, the package's whole loss {package.item():.6f}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("O1", bool(torch.isclose(mine, package, rtol=1e-5)) and model.prevention.regulariser is None,
      "the loss is one mean of absolute differences to normalised targets, with no term for variance or covariance")  # fmt: skip

# %% [markdown]
# Read that again: **nothing in the loss asks for good features.** If encoder and teacher gave the same vector for every clip,
# the guess would be easy and the loss zero. What keeps that from happening is not in the loss. It is in two lines of the
# procedure.
#
# ## The one detach
#
# This is the whole of the first line of defence. (`prevention` holds the switches that lesson 07 turns; `target_encoder` is `None`
# where the student is its own teacher.)

# %%
print(inspect.getsource(VJEPA.targets))

# %% [markdown]
# `torch.no_grad()` means: what is computed here is taken as given. The gradient may change the guess to meet the target. It
# may not change the target to meet the guess. This is called **stop-gradient**.
#
# ## The average
#
# The second: the teacher's weights follow the student's slowly. After each step of the optimiser,
#
#     teacher = momentum * teacher + (1 - momentum) * student
#
# an exponential moving average, EMA. With momentum 1 the teacher never moves, with 0 it *is* the student.
#
# **Predict:** with momentum .996, after how many steps has the teacher gone half of the way to a student that stands
# still?

# %%
my_half_life = None

# %%
teacher, student = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
torch.nn.init.zeros_(teacher.weight)
torch.nn.init.ones_(student.weight)
steps = 0
while teacher.weight.item() < 0.5:
    ema_update(teacher, student, momentum=0.996)
    steps += 1
compare("steps to half of the way", my_half_life, steps)
show(target_response(0.996))

# %%
explore(target_response, {"momentum": [0.0, 0.9, 0.99, 0.996, 0.998, 0.99925], "steps": (100, 2000, 100)})

# %% [markdown]
# V-JEPA begins at .998 and lets the momentum rise in a straight line. The line would reach 1 after 1.25 times the run, so
# training ends before. V-JEPA 2 holds .99925 all the time.

# %%
paper = PRESETS["vitl"]
end = momentum_at(paper.steps, paper.steps, paper.momentum, paper.final_momentum, paper.stretch)
print(
    f"V-JEPA: from {paper.momentum} to {end:.4f}; half-lives from {half_life(paper.momentum):.0f} to {half_life(end):.0f} steps"
)
print(f"V-JEPA 2: .99925, half-life {half_life(0.99925):.0f} steps")

# %% [markdown]
# ## How still does the target stand?
#
# The student aims at the teacher's features. If they jump at every step, there is nothing to aim at. Train the tiny model
# three times, with momentum 0 (the teacher is the student), .99 and .996, and measure by how much the target's features
# of the same clips change in one step.
#
# **Predict:** how many times more does it move at momentum 0 than at .996, on average over 80 steps? (A number such as 10.)

# %%
my_ratio = None

# %%


def movement(momentum, steps=80):
    """Train the tiny model; per step, the relative change of the target features of 16 clips."""
    run = replace(config, prevention=CollapsePrevention(momentum=momentum))
    model = build_model(run)
    optimiser = torch.optim.AdamW(parameter_groups(model, run), lr=1e-3)
    moved, old = [], model.targets(clips)
    for step in range(steps):
        batch, _ = source.batch(step, torch.arange(run.batch))
        loss = model(batch, sample_masks(run, step, torch.arange(run.batch)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.update_target(momentum)
        new = model.targets(clips)
        moved.append(float((new - old).norm() / old.norm()))
        old = new
    return moved


moved = {f"momentum {m:g}": movement(m) for m in (0.0, 0.99, 0.996)}
mean = {name: sum(values) / len(values) for name, values in moved.items()}
compare(
    "times more movement at momentum 0 than at .996", my_ratio, f"{mean['momentum 0'] / mean['momentum 0.996']:.0f}"
)
show(movement_curves(moved))

# %% folded=true
# NBVAL_CHECK_OUTPUT
half_lives = [round(half_life(m)) for m in (0.996, 0.998, 0.99925)]
check("O4", steps == 173 and half_lives == [173, 346, 924] and mean["momentum 0"] > 2 * mean["momentum 0.99"] > 2.8 * mean["momentum 0.996"] and round(end, 4) == 0.9996,
      "the target moves slowly: half-lives of 173 steps at .996, 346 at .998, 924 at .99925; without EMA it moves several times as much in the first 80 steps")  # fmt: skip

# %% [markdown]
# Look at the figure before you quote that number. Most of it comes from the first thirty steps, when the student changes fast and
# an EMA teacher has hardly set out. Later the curves come closer. Nor is it the 250 times that 1 / (1 - .996) may suggest:
# steps of the student in one direction add up in the average, steps back and forth cancel.
#
# ## Why normalise the target?
#
# Before they are compared, the teacher's vectors get mean 0 and standard deviation 1 each (a LayerNorm without learned
# weights). Shrink all features by half, and a loss on raw targets halves, though nothing was learned. On normalised ones:

# %% folded=true
# NBVAL_CHECK_OUTPUT
with torch.no_grad():
    raw = model.target_encoder(clips)
    shrunk_raw = float((0.5 * raw).abs().mean() / raw.abs().mean())
    same = torch.allclose(model.normalised(0.5 * raw), model.normalised(raw), atol=1e-3)
print("raw features shrink to", round(100 * shrunk_raw), "%; normalised ones stay the same:", same)
assert same

# %% [markdown]
# That closes one way to a small loss. It does not close the other: a vector that is the same for every clip is still the same for
# every clip after normalising.
#
# ## Or predict the pixels
#
# One branch of `targets` above is not V-JEPA. With `target="pixels"` the hidden tubelet itself is predicted, as MAE and VideoMAE (arXiv 2203.12602) do, and
# normalised in the same way. Encoder and predictor are the same, but for the width of the predictor's last layer. Pixels don't move while the
# encoder learns, so this cannot collapse.
#
# **Predict:** how many numbers long is a tubelet's target then? (Tubelets here are 2 frames of 8 x 8 pixels, in color.)

# %%
my_length_of_a_target = None

# %%
pixels = build_model(replace(config, prevention=CollapsePrevention(target="pixels")))
print("features:", tuple(model.targets(clips).shape), " pixels:", tuple(pixels.targets(clips).shape))
compare("numbers in the target of a tubelet", my_length_of_a_target, pixels.targets(clips).shape[-1])

# %% folded=true
# NBVAL_CHECK_OUTPUT
print("pixels have a target encoder:", pixels.target_encoder is not None)
print("the encoders start alike:", torch.equal(pixels.encoder(clips), build_model(config).encoder(clips)))
assert pixels.target_encoder is None and torch.equal(pixels.encoder(clips), build_model(config).encoder(clips))

# %% [markdown]
# Then why predict features? The argument: most of what is in pixels cannot be predicted, and need not be: noise, leaves in the wind. Predict pixels,
# and you are paid for all of it. Whether that is so is a question for experiments, and it could come out either way:
# `results/plan.md` says beforehand what would count as an answer, and `results/answers.md` what came out.
#
# ## Break it
#
# Below, V-JEPA trains as it should. Change `"vjepa"` to `"neither"`: the *student* is then its own teacher, and the gradient is let
# through. Watch the loss, and how much the features of different clips still differ.
#
# <details><summary>What to expect</summary>
#
# The loss falls further than ever before in this lesson, and the features of different clips become nearly the same. What such
# features are worth is lesson 06.
# </details>

# %%
from minivjepa.collapse import feature_std
from minivjepa.vjepa import ARMS

broken = replace(config, prevention=ARMS["vjepa"])  # change this
model = build_model(broken)
optimiser = torch.optim.AdamW(parameter_groups(model, broken), lr=2e-3)
for step in range(200):
    batch, _ = source.batch(step, torch.arange(16))
    loss = model(batch, sample_masks(broken, step, torch.arange(16)))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    model.update_target(0.99)
    if step in (0, 50, 199):
        print(
            f"step {step:3}: loss {loss.item():.3f}, features of different clips differ by {feature_std(model.encoder(clips).detach()):.4f}"
        )

# %% [markdown]
# ## Three questions
#
# <details><summary>1. Why is stop-gradient not the same as freezing the target encoder?</summary>
#
# A frozen target encoder never changes. Behind stop-gradient it does change, by EMA, only not in the direction that the
# gradient would like.
# </details>
#
# <details><summary>2. Momentum .996 in a run of 100 steps: what is the teacher?</summary>
#
# Mostly the untrained network: after 100 steps two thirds of its first weights are left. Momentum has to fit the length of a
# run.
# </details>
#
# <details><summary>3. Why L1 and not squared error?</summary>
#
# The best guess under L1 is the median of what the target may be, under squared error the mean. A single wild target
# pulls a mean and not a median. It is a choice; lesson 07 measures what it changes here.
# </details>
#
# **In the package:** `minivjepa/objective.py`, `minivjepa/ema.py`, `minivjepa/vjepa.py`. **In the papers:** V-JEPA (arXiv 2404.08471), equation 1; BYOL (arXiv
# 2006.07733) for the average; SimSiam (arXiv 2011.10566) for the stop. **Next:** 06, what collapse looks like.
