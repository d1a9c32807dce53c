# %% [markdown]
# # 05 One loss, one detach, one average
#
# ![You are here: the loss, the stop and the EMA. The diagram of V-JEPA. In full color: EMA, gradient, loss, stop.](attachment:here-05.png)
#
# **At the end you can explain** V-JEPA's loss, where its one stop-gradient sits, what an exponential moving average does and how slow it
# is, and why the targets are normalized.
#
# *35 minutes, including about half a minute of computing. Any laptop.*
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
import torch.nn.functional as F

from minivjepa.collapse import feature_std
from minivjepa.data.digits import DigitClips
from minivjepa.ema import ema_update, half_life, momentum_at
from minivjepa.objective import normalise_targets
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_model, sample_masks
from minivjepa.tubelets import gather_tokens
from minivjepa.vjepa import ARMS, VJEPA, CollapsePrevention
from minivjepa_course.homework.checking import attempt, solution
from minivjepa_course.lesson import check, show
from minivjepa_course.pictures.target_curves import movement_curves, target_response, two_losses
from minivjepa_course.predictions import Predictions
from minivjepa_course.tiny import train_tiny
from minivjepa_course.toys import dragged_dots
from minivjepa_course.widgets import explore

guess = Predictions()

# %% folded=true
config = PRESETS["tiny"]
source = DigitClips(config.grid)
clips, _ = source.batch(step=0, index=torch.arange(16))


def train(arm, steps=400):
    """The tiny model under one arm, trained, and its losses."""
    seen = list(train_tiny(replace(config, prevention=ARMS[arm]), steps))
    return seen[-1][2], [loss for _, loss, _ in seen]


students = {"A": train("vjepa"), "B": train("neither")}
with torch.no_grad():
    differ = {name: feature_std(model.encoder(clips)) for name, (model, _) in students.items()}

# %% [markdown]
# Two students saw the same 400 batches, and each learned to predict its own teacher.

# %%
show(two_losses({name: losses for name, (_, losses) in students.items()}))

# %% [markdown]
# B's loss is more than ten times smaller. Would you rather have B?

# %%
guess("Whose features differ more from clip to clip?", max(differ, key=differ.get), choices=["A", "B"])

# %% [markdown]
# ## The loss
#
# The student predicts the teacher's vectors, and the loss is the mean absolute difference:
#
# $$\text{minimize over } E, P: \quad \text{mean} \, \big| P(E(x), \text{places of } y) - \text{stop\_gradient}(\bar E(\text{clip})_y) \big|$$
#
# Here $x$ stands for visible tubelets, $y$ for hidden ones, $E$ for the online encoder, $P$ for the predictor. The target encoder $\bar E$
# reads the whole clip; only its vectors at the places of $y$ count, each normalized.
#
# ## Write it: `jepa_loss` (medium, 8 minutes)
#
# Both arguments are `[B, M, D]`: clips, hidden tubelets, numbers. Keep gradients out of the targets. Shift each target vector to mean 0 and
# divide it by √(variance + 1e-5), as a LayerNorm without learned weights does; the variance divides by D.
#
# <details><summary>Hint 1</summary>
#
# Start with `targets.detach()`.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `.mean(dim=-1, keepdim=True)` gives each vector's mean. `.var` takes the same arguments, plus `correction=0` to divide by D.
# </details>
#
# <details><summary>Hint 3</summary>
#
# In a new cell: `solution("05", "jepa_loss")`.
# </details>


# %% exercise="jepa_loss"
def jepa_loss(predictions, targets):
    """Predictions and raw targets [B, M, D] -> their mean absolute difference, the targets normalized and without gradient."""
    ### BEGIN SOLUTION
    h = targets.detach()
    center = h.mean(dim=-1, keepdim=True)
    variance = h.var(dim=-1, keepdim=True, correction=0)
    h = (h - center) / (variance + 1e-5).sqrt()
    return (predictions - h).abs().mean()
    ### END SOLUTION


attempt("05", jepa_loss)

# %% [markdown]
# On a model:

# %%
model = build_model(config)
[(context, target)] = masks = sample_masks(config, step=0, index=torch.arange(16))


def predict():
    """The student's predictions for the hidden tubelets, [B, M, D]."""
    return model.predictor(model.encoder(clips, context), context, target)


mine = jepa_loss(predict(), gather_tokens(model.target_encoder(clips), target))
package = model(clips, masks)
print(f"yours {mine.item():.6f}, the package's whole loss {package.item():.6f}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("O1", bool(torch.isclose(mine, package, rtol=1e-5)) and model.prevention.regulariser is None,
      "the loss is one mean of absolute differences to normalized targets, with no term for variance or covariance")  # fmt: skip

# %% [markdown]
# **Nothing in this loss asks for good features.** If student and teacher gave every clip the same vector, it could be zero. That's where B
# went:

# %%
for name, (_, losses) in students.items():
    print(f"{name}: loss {losses[-1]:.2f}, features of different clips differ by {differ[name]:.2f}")

# %% [markdown]
# So never compare the losses of two runs: each has its own teacher, and the targets move as the student learns. What A has and B lacks is in
# two lines of the training procedure.
#
# ## The one detach
#
# The first line is `no_grad`. (`prevention` holds lesson 07's switches; `target_encoder` is `None` when the student is its own teacher;
# `projector` does nothing here.)

# %%
print(inspect.getsource(VJEPA.targets))

# %% [markdown]
# The target is taken as given: the gradient may change the prediction to meet the target, but not the other way around. That's
# **stop-gradient**.
#
# You used `detach`; the package uses `no_grad`, which saves memory. Compare, with the student as its own teacher:

# %%
online = [*model.encoder.parameters(), *model.predictor.parameters()]


def gradient(loss):
    """The gradient of all online weights, as one vector."""
    return torch.cat(
        [g.flatten() for g in torch.autograd.grad(loss, online, allow_unused=True, materialize_grads=True)]
    )


def own_targets():
    """Targets from the student itself, [B, M, D]."""
    return gather_tokens(model.encoder(clips), target)


with torch.no_grad():
    unrecorded = own_targets()
without_record = gradient(F.l1_loss(predict(), normalise_targets(unrecorded)))
detached = gradient(jepa_loss(predict(), own_targets()))
let_through = gradient(F.l1_loss(predict(), normalise_targets(own_targets())))
for name, other in {"no_grad": without_record, "no stop at all": let_through}.items():
    print(
        f"{name:14} differs from your detach by {(other - detached).norm() / detached.norm():.0%} of the gradient's length"
    )

# %% folded=true
# NBVAL_CHECK_OUTPUT
assert torch.allclose(without_record, detached, atol=1e-6)
assert (let_through - detached).norm() > 0.1 * detached.norm()
print("verified: no_grad and your detach give the same gradients; without either they differ")

# %% [markdown]
# ## The average
#
# The second line is the update. After each step of the optimizer, the teacher's weights follow the student's:
#
#     teacher = momentum * teacher + (1 - momentum) * student
#
# That's an exponential moving average, EMA. With momentum 1 the teacher never moves; with 0 it *is* the student.
#
# ## Write it: `ema_step` (easy, 4 minutes)
#
# Make a new list of weights from the two old ones. Don't change the old tensors.
#
# <details><summary>Hint 1</summary>
#
# `zip(target, online)` gives pairs.
# </details>
#
# <details><summary>Hint 2</summary>
#
# One line: `[... for t, o in ...]`.
# </details>
#
# <details><summary>Hint 3</summary>
#
# `solution("05", "ema_step")`.
# </details>


# %% exercise="ema_step"
def ema_step(target, online, momentum):
    """Weights of the target and of the online encoder, two lists of tensors -> new weights of the target."""
    ### BEGIN SOLUTION
    return [momentum * t + (1 - momentum) * o for t, o in zip(target, online)]
    ### END SOLUTION


attempt("05", ema_step)

# %% [markdown]
# A student's weight jumps from 0 to 1 and stays there. The teacher follows, step by step, with your function:

# %%
teacher, student = [torch.zeros(1)], [torch.ones(1)]
steps = 0
while teacher[0].item() < 0.5 and steps < 10_000:
    teacher = ema_step(teacher, student, momentum=0.996)
    steps += 1
guess("With momentum .996, how many steps does the teacher take to get halfway?", steps)

# %%
explore(target_response, {"momentum": [0.996, 0.0, 0.9, 0.99, 0.998, 0.99925], "steps": (100, 2000, 100, 1000)})

# %% [markdown]
# V-JEPA's momentum rises in a straight line; V-JEPA 2 keeps it fixed:

# %%
paper = PRESETS["vitl"]
end = momentum_at(paper.steps, paper.steps, paper.momentum, paper.final_momentum, paper.stretch)
print(
    f"V-JEPA: from {paper.momentum} to {end:.4f}; half-lives from {half_life(paper.momentum):.0f} to {half_life(end):.0f} steps"
)
print(f"V-JEPA 2: .99925, half-life {half_life(0.99925):.0f} steps")

# %% [markdown]
# ## How fast does the target move?
#
# Why an average? The student aims at the teacher's features, and a target that jumps around is hard to hit. Does it jump? Train three tiny
# models with your EMA step: how far do the target's features of the same clips move in each step?


# %%
def follow(model, momentum):
    """Your EMA step, on all weights of the target encoder."""
    weights = list(model.target_encoder.parameters())
    with torch.no_grad():
        for weight, new in zip(weights, ema_step(weights, list(model.encoder.parameters()), momentum)):
            weight.copy_(new)


def movement(momentum, steps=80):
    """Per training step, the relative change of the target's features of 16 clips."""
    run, h = replace(config, prevention=CollapsePrevention(momentum=momentum)), []
    for _, _, model in train_tiny(run, steps, momentum, follow):
        h.append(model.targets(clips))
    h.append(model.targets(clips))
    return [float((new - old).norm() / old.norm()) for old, new in zip(h, h[1:])]


moved = {f"momentum {m:g}": movement(m) for m in (0.0, 0.99, 0.996)}
free, slow, slowest = (torch.tensor(values) for values in moved.values())
guess(
    "In the first step, how many times as far does the target move at momentum 0 as at .996?",
    round(float(free[0] / slowest[0])),
)

# %%
show(movement_curves(moved))
for name, part in {"all 80 steps": slice(0, 80), "steps 41 to 80": slice(40, 80)}.items():
    print(
        f"{name}: at momentum 0 it moves {free[part].mean() / slowest[part].mean():.1f} times as far as at .996, "
        f"{free[part].mean() / slow[part].mean():.1f} times as far as at .99"
    )

# %% folded=true
# NBVAL_CHECK_OUTPUT
half_lives = [round(half_life(m)) for m in (0.996, 0.998, 0.99925)]
copy, fixed = torch.nn.Linear(1, 1, bias=False), torch.nn.Linear(1, 1, bias=False)
torch.nn.init.zeros_(copy.weight)
torch.nn.init.ones_(fixed.weight)
reached = []
for _ in range(173):
    ema_update(copy, fixed, momentum=0.996)  # the package's
    reached.append(copy.weight.item())
start = bool((free[:15] > slow[:15]).all() and (slow[:15] > slowest[:15]).all())
check("O4", steps == 173 and reached[-2] < 0.5 <= reached[-1] and half_lives == [173, 346, 924] and round(end, 4) == 0.9996 and start,
      "half-lives of 173 steps at .996, 346 at .998, 924 at .99925, with your step and the package's; in each of the first 15 steps, "
      "the target moves less with EMA")  # fmt: skip

# %% [markdown]
# The first step shows 1 / (1 - .996), about 250 times. That's a transient: for about twenty steps the student changes fast, and an EMA
# teacher has barely started. Later the gap is small: look at the printed numbers. So the average calms the start, but that isn't the
# whole answer: lesson 07 takes it away.
#
# ## Why normalize the target?
#
# Cut all features in half, and a loss on raw targets halves, with nothing learned. With normalized targets:

# %% folded=true
# NBVAL_CHECK_OUTPUT
with torch.no_grad():
    raw = model.target_encoder(clips)
    loss_raw, loss_shrunk = (F.l1_loss(0 * raw, scale * raw).item() for scale in (1.0, 0.5))  # predictions at 0
    same = torch.isclose(jepa_loss(0 * raw, 0.5 * raw), jepa_loss(0 * raw, raw), atol=1e-3).item()
print("the loss on raw targets shrinks to", round(100 * loss_shrunk / loss_raw), "%; yours stays the same:", same)
assert same and round(100 * loss_shrunk / loss_raw) == 50

# %% [markdown]
# That closes one shortcut (lesson 07 doesn't show that raw targets hurt), but not the other: one vector for all clips is still one vector.
#
# ## Why it doesn't collapse
#
# Shrink the problem to two clips and two numbers per feature.

# %% folded=true
guess(
    "What do you have to take away before the student gives both clips the same feature?",
    "both",
    choices=["the stop", "the average (momentum 0)", "both"],
)

# %%
dragged_dots()

# %% [markdown]
# Take away the stop, then the average, then both. With one gone, the student's dots stay apart (without the stop, a slow teacher's rings
# close in). With both gone, the target moves to meet the prediction.
#
# In this toy you can say why. Unless both are gone, small steps leave $d^2 - p^2/2$ as it is, where $d$ is half the distance between the dots and
# $p$ the predictor's slope. From this start, $d$ can't reach 0. From dots close together and a large slope, it can.
#
# The V-JEPA paper (section 3.1) adapts an argument from BYOL. Take one number Y of the target, and suppose the predictor is optimal. Under
# L1, it guesses the median of Y given E(x), which is what the encoder tells it. What's left of the loss is Y's mean distance from that
# median, which the paper writes as MAD(Y | E(x)), a median absolute deviation. So the encoder can lower the loss only by telling
# the predictor more about Y: the gradient pushes it to keep information.
#
# Tell an optimal predictor nothing, a random number, the digit's direction, where it starts, or two of these. Its loss on A's hidden tubelets:

# %%
many, facts = source.batch(step=9000, index=torch.arange(16000))
with torch.no_grad():
    Y = normalise_targets(students["A"][0].target_encoder(many))[:, target[0]]
cell = (4 * facts.position).long()
start = 4 * cell[:, 0] + cell[:, 1]
random = torch.randint(8, (16000,), generator=torch.Generator().manual_seed(0))
told = {
    "nothing": 0 * random, "random": random, "direction": facts.direction, "start": start,
    "start and random": 8 * start + random, "start and direction": 8 * start + facts.direction,
}  # fmt: skip


def mad(Y, told):
    """Mean distance of the targets from their median over all clips with the same hint."""
    groups = [Y[told == value] for value in told.unique()]
    return sum((group - group.median(dim=0).values).abs().sum().item() for group in groups) / Y.numel()


left = {name: mad(Y, values) for name, values in told.items()}
print(", ".join(f"{name} {loss:.3f}" for name, loss in left.items()))

# %% folded=true
# NBVAL_CHECK_OUTPUT
assert left["start"] < 0.95 * left["random"] and left["random"] > 0.98 * left["nothing"]
assert left["direction"] > 0.98 * left["random"] and left["start and direction"] < 0.95 * left["start and random"]
assert all(mad(torch.ones_like(Y), values) == 0 for values in told.values())
print(
    "verified: the start lowers the best possible loss, and the direction lowers it further; on a constant target it is 0"
)

# %% [markdown]
# By itself, the direction helps no more than a random number. Told with the start, it helps: the push is toward whatever facts jointly
# predict *these* targets.
#
# The argument assumes an optimal predictor. The paper's hypothesis is that EMA keeps it close to optimal; there's no proof. And it takes
# the target as given: if the target is constant, the MAD is 0 and nothing pushes. (Nearly constant is
# another matter: drag the dots close together *before* you press Play.)
#
# ## Or predict the pixels
#
# With `target="pixels"` the target is the hidden tubelet itself, normalized over all its numbers, as in MAE (arXiv 2111.06377). Pixels
# don't move while the encoder learns, so agreeing on a constant gains nothing.

# %%
pixels = build_model(replace(config, prevention=CollapsePrevention(target="pixels")))
guess(
    "Tubelets here are 2 frames of 8 x 8 pixels, in color. How many numbers are in a target?",
    pixels.targets(clips).shape[-1],
)

# %% folded=true
# NBVAL_CHECK_OUTPUT
print("features:", tuple(model.targets(clips).shape), " pixels:", tuple(pixels.targets(clips).shape))
print("pixels have a target encoder:", pixels.target_encoder is not None)
print("the encoders start alike:", torch.equal(pixels.encoder(clips), model.encoder(clips)))
assert pixels.target_encoder is None and torch.equal(pixels.encoder(clips), model.encoder(clips))

# %% [markdown]
# Then why predict features? The argument: much of what's in pixels, like noise or leaves in the wind, can't be predicted and doesn't need
# to be. Only experiments can decide; lesson 07 ends with some.
#
# ## Break it
#
# This trains A again. Change `"vjepa"` to `"neither"`, then try `"no-ema"` and `"no-stopgrad"`.

# %%
for step, loss, model in train_tiny(replace(config, prevention=ARMS["vjepa"]), 400):
    if step in (0, 99, 399):
        student, teacher = (feature_std(h.detach()) for h in (model.encoder(clips), model.targets(clips)))
        print(
            f"step {step + 1:3}: loss {loss:.3f}, features differ by {student:.3f} (student), {teacher:.3f} (teacher)"
        )

# %% [markdown]
# <details><summary>What happens</summary>
#
# With `neither` you get B: the lowest loss in this lesson, and nearly the same features for all clips. With `no-stopgrad` the student's
# features still differ, but its teacher's hardly do. `no-ema` looks fine here; lesson 07 takes a closer look.
# </details>
#
# ## Three questions
#
# <details><summary>1. Why isn't stop-gradient the same as freezing the target encoder?</summary>
#
# A frozen one never changes. Behind a stop-gradient it does, by EMA.
# </details>
#
# <details><summary>2. With momentum .996, what is the teacher after a run of 100 steps?</summary>
#
# Mostly the untrained network: its first weights still count for two thirds.
# </details>
#
# <details><summary>3. In two sentences: why doesn't V-JEPA collapse, and how sure is that?</summary>
#
# The stop keeps the target from coming to meet the prediction, so the student lowers its loss by learning about the clip, as long as
# targets differ between clips. That's an argument with assumptions, not a proof.
# </details>

# %%
guess.table()

# %% [markdown]
# **In the package:** `minivjepa/objective.py`, `minivjepa/ema.py`, `minivjepa/vjepa.py`. **In the papers:** V-JEPA (arXiv 2404.08471),
# equation 1 and section 3.1; BYOL (arXiv 2006.07733) for the average; SimSiam (arXiv 2011.10566) for the stop. **Next:** 06, what collapse
# looks like.
