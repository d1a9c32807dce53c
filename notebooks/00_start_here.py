# %% [markdown]
# # 00 Start here
#
# ![A handwritten digit drifts over a noisy frame. Left, most of it is under gray squares; right is what the squares hide.](attachment:opening.gif)
#
# **What's under the cover?** Hide the right half with your hand, and you can still tell that something drifts down and to the left. Nobody
# taught you this clip. You know that things keep their shape and keep moving.
#
# Every video is full of such puzzles, and brings the answers along. **What could a network learn from guessing them?** That's the idea of
# V-JEPA, which learns from videos that nobody has labeled. You'll build it, break it, and measure what it learns.
#
# **At the end you can explain** what V-JEPA guesses, why a low loss can mean nothing, and how these lessons work.
#
# *20 minutes, about 1 of them for the computer. Any laptop; nothing is downloaded.*
# You should know Python and a little PyTorch (a tensor's shape, what a gradient is), and have met attention once.
#
# Go from cell to cell with Shift and Enter, also over the folded ones: they hold imports.

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
from minivjepa.course.figures.films import covered_clip, two_halves
from minivjepa.course.lesson import Live, check, play
from minivjepa.course.predictions import Predictions
from minivjepa.data.digits import DigitClips
from minivjepa.homework.checking import attempt, solution
from minivjepa.training.arms import with_arm
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_model, parameter_groups, sample_masks
from minivjepa.tubelets import gather_tokens

guess = Predictions()

# %% [markdown]
# ## Check your setup
#
# If a line says `[FAIL]`, it also says what to do. Having no GPU is fine.

# %%
healthy = diagnose(print)

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("setup", healthy, "this machine can run the course")

# %% [markdown]
# ## Predict first
#
# Before you see a result, you're asked what you expect. Nobody keeps score. But you'll remember a result that you bet on.

# %%
clip, hidden = covered_clip()  # colors from 0 to 1 [T, H, W, 3]; True where the cover is [T, H, W]
guess("What percentage of the clip above is under the cover?", round(100 * hidden.float().mean().item()))

# %% [markdown]
# ## Write it: `hide` (easy, 5 minutes)
#
# In each lesson you write a few short functions, and what follows runs on them. Here you make the picture from the top.
#
# `clip` has T frames of H by W pixels, with three colors each. `hidden` has one True or False for each pixel of each frame. Return a copy
# of the clip in which all hidden pixels are gray: 0.5 in all three colors.
#
# Replace the `raise` line and run the cell. Its last line, `attempt`, tries your function. If something is off, it tells you what.
#
# <details><summary>Hint 1</summary>
#
# `clip.clone()` is a copy that you may paint on.
# </details>
#
# <details><summary>Hint 2</summary>
#
# A mask of booleans can stand in brackets: `x[mask] = 0.5`.
# </details>
#
# <details><summary>Hint 3</summary>
#
# Put this into a new cell: `solution("00", "hide")`.
# </details>


# %% exercise="hide"
def hide(clip, hidden):
    """Colors [T, H, W, 3], and booleans [T, H, W] -> a copy of the clip, gray (0.5) where hidden is True."""
    ### BEGIN SOLUTION
    covered = clip.clone()
    covered[hidden] = 0.5
    return covered
    ### END SOLUTION


attempt("00", hide)

# %%
play(two_halves(hide(clip, hidden), hide(clip, ~hidden)))

# %% [markdown]
# **Checks.** A cell like the next one proves what the course says. If it isn't true on your machine, it stops with an error. Unfold it,
# write 0.5 in place of 0.75, and see. (Then put it back.)

# %% folded=true
# NBVAL_CHECK_OUTPUT
unchanged = torch.equal(hide(clip, hidden)[~hidden], clip[~hidden])
check("cover", unchanged and hidden.float().mean().item() == 0.75, "three quarters are covered, the rest is unchanged")

# %% [markdown]
# ## Guess what, exactly?
#
# Not gray pixels, and not even the true ones. Look at the noise: nobody can guess it, and it doesn't matter.
#
# V-JEPA guesses **features**: lists of numbers that a network computes, one list for each small piece of the clip. It has two networks. The
# *teacher* sees the whole clip and computes features. The *student* sees only what isn't covered, and guesses the teacher's features for
# the rest. How far off it is on average is the **loss**, the number that training makes small.
#
# ## Write it: `how_far` (easy, 5 minutes)
#
# Guesses and answers are tensors of one shape. Return their mean absolute difference. Stay in PyTorch, so that gradients can flow: in the race
# below, two networks learn from *your* loss.
#
# <details><summary>Hint 1</summary>
#
# Tensors have a method `.abs()` and a method `.mean()`.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Subtract, then take absolute values, then the mean.
# </details>
#
# <details><summary>Hint 3</summary>
#
# `solution("00", "how_far")`.
# </details>


# %% exercise="how_far"
def how_far(guesses, answers):
    """Two tensors of one shape -> one number, as a tensor: their mean absolute difference."""
    ### BEGIN SOLUTION
    return (guesses - answers).abs().mean()
    ### END SOLUTION


attempt("00", how_far)

# %% [markdown]
# ## A race
#
# ![You are here: the whole of V-JEPA. The diagram of V-JEPA, of which everything is in full color.](attachment:here-00.png)
#
# This is all of it, with the student above and the teacher below. The next lessons start with this picture, to show you where you are.
#
# Where does the teacher get its answers? Nobody trained it: it's a copy of the student. So the two could agree on nonsense. If both give
# the same features to every clip, every guess is right. That's called **collapse**.
#
# Two tricks are meant to prevent it. The teacher follows the student *slowly*, as an average over time (**EMA**). And training may not change
# the answers to make them easier to guess (**stop-gradient**). A choice of such switches is called an **arm**: `vjepa` has both tricks,
# `neither` has none.
#
# Both arms start from the same weights, see the same very small clips, and guess the second half of each from the first.

# %%
LOWER = "Which has the lower loss after 300 steps?"
guess(LOWER, choices=["vjepa", "neither"])

# %% [markdown]
# After lesson 05 you'll know every line of this. For now, find `how_far` in it, run it, and watch the curves grow.

# %%
config = PRESETS["tiny"]
source, batch = DigitClips(config.grid), torch.arange(config.batch)
test_clips, _ = source.batch(step=10_000, index=torch.arange(64))


def play_round(model, optimizer, clips, seen, hidden):
    """One training step; returns the loss."""
    guesses = model.predictor(model.encoder(clips, seen), seen, hidden)  # the student
    answers = gather_tokens(model.normalised(model.targets(clips)), hidden)  # the teacher
    loss = how_far(guesses, answers)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    model.update_target(momentum=0.99)  # EMA
    return loss.item()


def race(*arms, steps=300):
    """Train one network per arm, side by side; returns rows of (step, loss, feature std) by arm."""
    models = {arm: build_model(with_arm(config, arm)) for arm in arms}
    optimizers = {arm: torch.optim.AdamW(parameter_groups(model, config), lr=2e-3) for arm, model in models.items()}
    rows, live = {arm: [] for arm in arms}, Live()
    for step in range(steps + 1):
        clips, _ = source.batch(step, batch)
        [(seen, hidden)] = sample_masks(config, step, batch)
        for arm, model in models.items():
            loss = play_round(model, optimizers[arm], clips, seen, hidden)
            if step % 20 == 0:
                with torch.no_grad():
                    rows[arm].append((step, loss, feature_std(model.encoder(test_clips))))
        if step % 20 == 0:
            live.show(loss_and_spread(rows, until=steps))
    return rows


rows = race("vjepa", "neither")

# %%
guess.reveal(LOWER, min(rows, key=lambda arm: rows[arm][-1][1]))

# %% folded=true
# NBVAL_CHECK_OUTPUT
(_, loss, std), (_, loss_neither, std_neither) = rows["vjepa"][-1], rows["neither"][-1]
check("loss", loss_neither < 0.1 * loss, "without the two tricks the loss is more than ten times lower")
check("spread", std_neither < 0.1 * std, "and features of different clips differ by less than a tenth as much")

# %% [markdown]
# Look at the right panel. **Feature std** (a standard deviation) is how much features differ from clip to clip; at 0, all clips look the same
# to the network. `neither` found the easy way: give every clip nearly the same features, and agree.
#
# So a low loss can mean nothing. In lesson 06 you'll test what such features are worth. In lesson 07 you'll see which trick does what.
#
# ## Break it
#
# Each lesson ends with something to break. Take away one trick instead of both: `no-ema` keeps only the stop-gradient, `no-stopgrad` only
# the EMA.

# %%
FALLS = "Which collapses within 300 steps?"
guess(FALLS, choices=["none", "no-ema", "no-stopgrad", "both"])

# %%
broken = race("no-ema", "no-stopgrad")

# %%
fallen = [arm for arm, history in broken.items() if history[-1][2] < 0.1 * std]
guess.reveal(FALLS, {0: "none", 1: "".join(fallen), 2: "both"}[len(fallen)])

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("one trick", fallen == [], "neither no-ema nor no-stopgrad collapses within 300 steps")

# %% [markdown]
# So is one trick enough? This race is too short to say. Lesson 07 has longer ones, over several seeds.
#
# ## Three questions
#
# <details><summary>1. What does V-JEPA guess: pixels, or something else?</summary>
#
# Features: what its teacher, a slow copy of the student, computes from the whole clip.
# </details>
#
# <details><summary>2. Why can a network that always gives the same answer have a loss of zero?</summary>
#
# Its answers come from a copy of itself. If both always say the same, they always agree.
# </details>
#
# <details><summary>3. What does a check cell do that prose can't?</summary>
#
# It fails when the claim isn't true.
# </details>
#
# Here is what you predicted:

# %%
guess.table()

# %% [markdown]
# **In the package:** `minivjepa/course/lesson.py`, `minivjepa/course/predictions.py`. **Next:** 01, how a video becomes a list of tokens.
