# %% [markdown]
# # 00 Start here
#
# ![A handwritten digit drifts across a noisy frame. On the left, gray squares cover most of it; on the right is what they hide.](attachment:opening.gif)
#
# **What's under the cover?** Hide the right half with your hand, and you can still tell that something drifts down and to the left. You've
# never seen this clip, but you know that things keep their shape and keep moving.
#
# Every video is full of such puzzles, and comes with the answers. **What could a network learn by guessing them?** That's the idea behind
# V-JEPA, which learns from unlabeled videos. You'll build it, break it, and measure what it learns.
#
# **At the end you can explain** what V-JEPA guesses, why a low loss can mean nothing, and how these lessons work.
#
# *20 minutes, including about a minute of computing. Any laptop; nothing to download.*
# You should know Python, a little PyTorch (a tensor's shape, what a gradient is), and roughly what attention is.
#
# Press Shift+Enter to run a cell and go on to the next. Run the folded ones too: they hold imports.

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
from minivjepa.data.digits import DigitClips
from minivjepa.training.arms import with_arm
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_model, parameter_groups, sample_masks
from minivjepa.tubelets import gather_tokens
from minivjepa_course.homework.checking import attempt, solution
from minivjepa_course.lesson import Live, check, play
from minivjepa_course.pictures.collapse_kinds import loss_and_spread
from minivjepa_course.pictures.films import covered_clip, two_halves
from minivjepa_course.predictions import Predictions
from minivjepa_course.toys import collapse_page

guess = Predictions()

# %% [markdown]
# ## Check your setup
#
# If a line says `[FAIL]`, it also tells you what to do. You don't need a GPU.

# %%
healthy = diagnose(print)

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("setup", healthy, "this machine can run the course")

# %% [markdown]
# ## Predict first
#
# Before you see a result, you're asked what you expect. No one keeps score, but you'll remember a result that you bet on.

# %%
clip, hidden = covered_clip()  # colors from 0 to 1 [T, H, W, 3]; True where the cover is [T, H, W]
guess("What percentage of the clip above is under the cover?", round(100 * hidden.float().mean().item()))

# %% [markdown]
# ## Write it: `hide` (easy, 5 minutes)
#
# In each lesson you write a few short functions, and the cells that follow run on them. Here you make the film from the top of the page.
#
# `clip` has T frames of H by W pixels, with three color values each. `hidden` has a True or False for every pixel of every frame. Return a
# copy of the clip in which all hidden pixels are gray: 0.5 in all three colors.
#
# Replace the `raise` line and run the cell. Its last line, `attempt`, tests your function and tells you what's wrong if something is.
#
# <details><summary>Hint 1</summary>
#
# `clip.clone()` gives you a copy to paint on.
# </details>
#
# <details><summary>Hint 2</summary>
#
# You can index with a boolean mask: `x[mask] = 0.5`.
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
# **Checks.** A cell like the next one tests a claim of the course. If the claim isn't true on your machine, the cell stops with an error.
# Unfold it, change 0.75 to 0.5, and see. (Then change it back.)

# %% folded=true
# NBVAL_CHECK_OUTPUT
unchanged = torch.equal(hide(clip, hidden)[~hidden], clip[~hidden])
check("cover", unchanged and hidden.float().mean().item() == 0.75, "three quarters are covered, the rest is unchanged")

# %% [markdown]
# ## Guess what, exactly?
#
# Not the missing pixels. Look at the noise: you can't guess it, and you don't need to.
#
# V-JEPA guesses **features**: lists of numbers that a network computes, one list for each small piece of the clip. It takes two networks.
# The *teacher* sees the whole clip and computes features. The *student* sees only what isn't covered, and guesses the teacher's features
# for the rest. How far off the guesses are on average is the **loss**, the number that training pushes down.
#
# ## Write it: `how_far` (easy, 5 minutes)
#
# `guesses` and `answers` are tensors of the same shape. Return their mean absolute difference. Stay in PyTorch, so that gradients can flow:
# in the race below, training uses *your* loss.
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
    """Two tensors of the same shape -> one number, as a tensor: their mean absolute difference."""
    ### BEGIN SOLUTION
    return (guesses - answers).abs().mean()
    ### END SOLUTION


attempt("00", how_far)

# %% [markdown]
# ## A race
#
# ![You are here: the whole of V-JEPA. The diagram of V-JEPA. In full color: everything.](attachment:here-00.png)
#
# This is all of it. The student, above, is an online encoder and a predictor; the teacher, below, is the target encoder. From now on, every
# lesson opens with this picture to show you where you are.
#
# Where do the teacher's answers come from? It was never trained: it's a copy of the student. So the two could agree on nonsense. If both
# give every clip the same features, every guess is right. That's called **collapse**.
#
# Two tricks are meant to prevent it. The teacher follows the student *slowly*, as an average over time (**EMA**). And training isn't
# allowed to change the answers to make them easier to guess (**stop-gradient**). A setting of these switches is called an **arm**: `vjepa`
# has both tricks on, `neither` has both off.
#
# Both arms start from the same weights, see the same tiny clips, and guess the second half of each from the first.

# %%
LOWER = "Which arm has the lower loss after 300 steps?"
guess(LOWER, choices=["vjepa", "neither"])

# %% [markdown]
# After lesson 05 you'll understand every line of the next cell. For now, find `how_far` in it, run it, and watch the curves grow.
# (`with_arm` sets the switches. In `neither`, `targets` asks the student itself, and nothing stops the gradient there.)

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
    """Train one network per arm, side by side; returns rows of (step, loss, smaller feature std) by arm."""
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
                    stds = [feature_std(h) for h in (model.encoder(test_clips), model.targets(test_clips))]
                    rows[arm].append((step, loss, min(stds)))  # of the student or of the teacher
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
# Look at the right panel. **Feature std** (std is short for standard deviation) measures how much features differ from clip to clip; at 0,
# all clips look the same to the network. You see the student's or the teacher's, whichever is smaller. `neither` found the easy way out:
# give every clip nearly the same features, and agree.
#
# So a low loss can mean nothing. In lesson 06 you'll test what such features are worth, and in lesson 07 you'll see which trick does what.
#
# ## Break it
#
# Each lesson ends with something to break. Here, take away one trick instead of both: `no-ema` keeps only the stop-gradient, `no-stopgrad`
# only the EMA.

# %%
FALLS = "Which of the two arms collapses within 300 steps?"
guess(FALLS, choices=["neither of them", "no-ema", "no-stopgrad", "both"])

# %%
broken = race("no-ema", "no-stopgrad")

# %%
fallen = [arm for arm, history in broken.items() if history[-1][2] < 0.1 * std]
guess.reveal(FALLS, {0: "neither of them", 1: "".join(fallen), 2: "both"}[len(fallen)])

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("one trick", fallen == ["no-stopgrad"], "within 300 steps no-stopgrad collapses and no-ema doesn't")

# %% [markdown]
# Without the stop, training moves the teacher to agree, and it collapses; the student, not drawn here, doesn't. And look at the
# loss. So is the stop all you need? This race is too short to say. Lesson 07 has longer ones, with several seeds.
#
# ## Kill one yourself
#
# A small V-JEPA trains below. Press play, let it live for a while, then kill it.

# %%
collapse_page("vjepa")

# %% [markdown]
# ## Three questions
#
# <details><summary>1. What does V-JEPA guess: pixels, or something else?</summary>
#
# Features: what its teacher, a slow copy of the student, computes from the whole clip.
# </details>
#
# <details><summary>2. Why can a network that always gives the same answer have a loss of zero?</summary>
#
# The answers come from a copy of itself. If both give the same output every time, they always agree.
# </details>
#
# <details><summary>3. What does a check cell do that prose can't?</summary>
#
# It fails when the claim isn't true.
# </details>
#
# Here's what you predicted:

# %%
guess.table()

# %% [markdown]
# **In the package:** `minivjepa_course/lesson.py`, `minivjepa_course/predictions.py`. **Next:** 01, how a video becomes a list of tokens.
