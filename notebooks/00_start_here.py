# %% [markdown]
# # 00 Start here
#
# ![A handwritten digit drifts over a noisy frame. Left, most of it is under gray squares; right is what the squares hide.](attachment:opening.gif)
#
# **At the end you can explain** what this course is about in three sentences, and you know that your machine can run it.
#
# *10 minutes, less than 1 of them for the computer. Any laptop; nothing is downloaded.*
# You should know Python, a little PyTorch (a tensor's shape, what a gradient is), and have met attention once.

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

from minivjepa.collapse import feature_std
from minivjepa.commands.doctor import diagnose
from minivjepa.course.figures.collapse_kinds import loss_and_spread
from minivjepa.course.figures.film_strips import film_strip
from minivjepa.course.lesson import check, compare, show
from minivjepa.data.digits import DigitClips
from minivjepa.training.arms import with_arm
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_model, parameter_groups, sample_masks

# %% [markdown]
# ## Is all well?
#
# One line a check. `[FAIL]` lines say what to do. Having no GPU is fine: every lesson runs on the processor.

# %%
healthy = diagnose(print)

# %% folded=true
# NBVAL_CHECK_OUTPUT
print("this machine can run the course:", healthy)
assert healthy

# %% [markdown]
# ## What this is about
#
# V-JEPA learns from videos without labels. It hides most of a clip and predicts it; not its pixels, but what a second network
# *thinks* of the hidden part. That second network is a slow copy of the first. Nothing in the loss stops the two from
# agreeing on nonsense: if both always say the same, every prediction is right. Two small heuristics keep that from
# happening: the copy follows *slowly*, as an average over time (EMA), and training may not change it directly
# (*stop-gradient*). Lesson 05 builds both; here you only switch them off, and watch.
#
# You will build every part, measure what it does, break it, and see.
#
# ## How lessons work
#
# **Predictions.** Before a result you are asked what you expect. Write it in place of `None`, then run the next cell. Nobody
# keeps score. A result that you have bet on is one that you remember.

# %%
my_guess_of_two_and_two = None

# %%
compare("two and two", my_guess_of_two_and_two, 2 + 2)

# %% [markdown]
# **Checks.** Some cells prove a claim of the course by computing it. If it does not come true on your machine, the cell stops
# with an error, so a lesson that runs from top to bottom has proved what it says. Try one that fails: write 5 in place
# of 4.

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("arithmetic", 2 + 2 == 4, "two and two are four")

# %% [markdown]
# **Break it.** Each lesson ends with one line to change: guess what will happen, change it, run it. Those cells prove nothing;
# they are for you.
#
# ## The clips
#
# One real handwritten digit moves over a noisy frame, at constant speed, in one of eight directions. You know what is in
# every clip, so you can ask a network what it has understood.

# %%
show(film_strip(PRESETS["cpu"].grid))

# %% [markdown]
# ## A promise, in half a minute
#
# Here is V-JEPA training on a very small version of these clips, twice: once as it should be, and once without its two
# heuristics. The loss is how far the guesses are from the second network's answers: 0 is full agreement. `feature std` says how
# much the network's answers to *different* clips differ. You need not read the long cell yet; after lesson 05 you will know
# every line of it. (A choice of switches is called an *arm*; `neither` is the one that has neither heuristic.)
#
# **Predict:** which of the two will have the lower loss after 300 steps? (`"with"` or `"without"`)

# %%
my_guess_for_the_lower_loss = None

# %%
histories = {}
for name, arm in (("with", "vjepa"), ("without", "neither")):
    config = with_arm(PRESETS["tiny"], arm)
    model, source, rows = build_model(config), DigitClips(config.grid), []
    optimiser = torch.optim.AdamW(parameter_groups(model, config), lr=2e-3)
    probe, _ = source.batch(step=10_000, index=torch.arange(64))
    for step in range(300):
        clips, _ = source.batch(step, torch.arange(config.batch))
        loss = model(clips, sample_masks(config, step, torch.arange(config.batch)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.update_target(momentum=0.99)
        if step % 10 == 0 or step == 299:
            with torch.no_grad():
                rows.append((step, loss.item(), feature_std(model.encoder(probe))))
    histories[name] = rows
compare("lower loss", my_guess_for_the_lower_loss, min(histories, key=lambda name: histories[name][-1][1]))
show(loss_and_spread(histories))

# %% folded=true
# NBVAL_CHECK_OUTPUT
loss = {name: rows[-1][1] for name, rows in histories.items()}
std = {name: rows[-1][2] for name, rows in histories.items()}
print("without the heuristics the loss is more than ten times lower:", loss["without"] < 0.1 * loss["with"])
print("and the answers to different clips differ by less than a tenth as much:", std["without"] < 0.1 * std["with"])
assert loss["without"] < 0.1 * loss["with"] and std["without"] < 0.1 * std["with"]

# %% [markdown]
# The better loss belongs to the network that says nearly the same about every clip. Lesson 06 tests what such answers are
# worth (nothing); by lesson 07 you will know which of the two heuristics does what, and how to notice in time.
#
# ## Break it
#
# Replace `"neither"` above by `"no-ema"` or `"no-stopgrad"`: one heuristic taken away instead of both. What do you see?
#
# <details><summary>What to expect</summary>
#
# Neither loses all its spread in these few steps, so taking one away is not the same as taking both. What each of them does in a
# longer run, over several seeds, is lesson 07.
# </details>
#
# ## Three questions
#
# <details><summary>1. What is predicted: pixels, or something else?</summary>
#
# Something else: the vectors that a slow copy of the network computes from the whole clip.
# </details>
#
# <details><summary>2. Why can a network that always gives the same answer have a loss of zero?</summary>
#
# Because the answer it is compared with is made by (a copy of) itself: if both always say the same, they always agree.
# </details>
#
# <details><summary>3. What does a check cell do that prose cannot?</summary>
#
# It fails when the claim is not true.
# </details>
#
# **In the package:** `minivjepa/commands/doctor.py`, `minivjepa/course/lesson.py`. **Next:** 01, how a video becomes a list of tokens.
