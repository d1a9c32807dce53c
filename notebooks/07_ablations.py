# %% [markdown]
# # 07 Ablations
#
# **At the end you can explain** what each of V-JEPA's two heuristics does when it is taken away, what that was measured
# against, what hiding other things teaches, and why no loss is being minimised by an update with a stop in it.
#
# *45 minutes, about 2 of them for the computer. Any laptop.*
# You need: lessons 05 and 06.

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
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from minivjepa.collapse import COLLAPSED, WARNING, singular_values
from minivjepa.config import PRESETS
from minivjepa.data.digits import DigitClips
from minivjepa.early import collapsed
from minivjepa.evaluation import encode_split
from minivjepa.figures.ablation import collapse_curves, dashboard, mask_map, update_fields
from minivjepa.lesson import Live, check, compare, show, table
from minivjepa.probes import linear_accuracy
from minivjepa.protocol import Budget
from minivjepa.report import table_rows
from minivjepa.runs import Run
from minivjepa.tables import apart, interval, metric_table, warning_table
from minivjepa.training import Trainer
from minivjepa.variants import with_arm
from minivjepa.vjepa import ARMS

# %% [markdown]
# ## One experiment, one switch
#
# An **ablation** takes one thing away and leaves all else as it was: same clips, same first weights, same number of steps. What
# changes in the result is then the fault of the thing. Each choice of switches is an **arm**, and in the package it is one value:

# %%
for name in ("vjepa", "no-ema", "no-stopgrad", "neither", "frozen"):
    print(f"{name:12} {ARMS[name]}")

# %% [markdown]
# - `vjepa` has both: an EMA target encoder, and no gradient into it.
# - `no-ema` keeps stop-gradient: the target encoder *is* the online encoder, read without gradient.
# - `no-stopgrad` keeps EMA: the target encoder follows slowly, but the optimiser may push it too.
# - `neither` has neither.
# - `frozen` is a **control**, the question behind every other result: what if the target encoder never moved at all? Its
#   momentum is 1, so it stays the untrained network for ever.
#
# **Predict** the fate of each: `"learns"` (its features tell more about motion than untrained ones), `"collapses"` (the
# features of the online or the target encoder become the same for every clip), or `"neither of the two"`.

# %%
my_fate_of_no_ema = None
my_fate_of_no_stopgrad = None
my_fate_of_neither = None
my_fate_of_frozen = None

# %% [markdown]
# ## Watch it happen
#
# Here are four of them for 400 steps. While each trains, the picture is drawn again: the feature std of both encoders, the
# effective rank, the singular values (how far features spread along each direction) and a linear probe for the direction of
# motion. `Trainer` is what the command `minivjepa train` uses; lesson 08 reads it.

# %%
config = replace(PRESETS["cpu"], steps=400, log_every=100)
budget = Budget(train_clips=1024, test_clips=640)
folder, board, histories = Path(tempfile.mkdtemp()), Live(), {}


def measured(encoder):
    """What the package does not log while it trains, because it costs more."""
    train, test = (encode_split(encoder, config.grid, part, budget, torch.device("cpu")) for part in ("train", "test"))
    return {
        "linear_direction": linear_accuracy(train.pooled, train.direction, test.pooled, test.direction),
        "spectrum": singular_values(test.pooled, centred=True).tolist(),
    }


def watch(arm):
    """Train one arm and draw all arms so far, at every hundredth step."""
    run = Run(folder / arm)
    run.create(with_arm(config, arm), "digits")
    trainer = Trainer(with_arm(config, arm), DigitClips(config.grid), run, torch.device("cpu"))
    rows = histories.setdefault(arm, [])

    def at_every_step(step, row):
        if row is not None and step in (0, 10, 50, 100, 200, 300, 400):
            rows.append({**row, **measured(trainer.model.encoder)})
            board.show(dashboard(histories))

    trainer.fit(at_every_step)


for arm in ("vjepa", "neither"):
    watch(arm)

# %% [markdown]
# Two more, into a picture of their own, with the first two beside them:

# %%
board = Live()
for arm in ("no-ema", "no-stopgrad"):
    watch(arm)

# %% [markdown]
# In fifty steps `neither` is through the warning line. Its effective rank, meanwhile, is the *highest* of all: lesson 06 said
# that it lies. And look at the crosses: `no-stopgrad` goes the same way, only not where most people look. Its **online** encoder
# keeps its spread; it is the **target** encoder that dies, because the optimiser found that the easiest way to be predicted
# is to say nothing.
#
# None of them has learned much about motion yet. That takes longer than you should wait here.
#
# ## The whole matrix, from the shelf
#
# The same arms and two more, 2,600 steps, five seeds, all probes. It was run once, by the command below, and is stored in
# `results/`, from where every table of this course comes. `make matrix` runs it again.

# %%
stored = json.loads((Path("..") / "results" / "matrix.json").read_text())
print(stored["command"], "|", stored["date"], "|", stored["device"], "| torch", stored["versions"]["torch"])
show(collapse_curves(stored))
table(metric_table(table_rows(stored)))

# %% [markdown]
# Means over seeds, with 95 % intervals: if we drew five more seeds again and again, and computed the interval each time, it
# would contain the true mean 95 times in 100. Two arms are **apart** if their intervals do not touch. Anything else decides
# nothing. (`vicreg` and `sigreg` replace both heuristics by a term in the loss; lesson 11 is about the second of them.)
#
# Now the fates, computed from those runs:

# %%
untrained = [row["linear_direction"] for row in stored["untrained"]]


def direction(arm, results=stored):
    """One value per seed: what a linear probe reads about motion from the online encoder."""
    return [run["final"]["linear_direction"] for run in results["arms"][arm]]


def fate(arm):
    """The fate of an arm over all its seeds, in the words of the prediction."""
    if all(collapsed(run) for run in stored["arms"][arm]):
        return "collapses"
    return "learns" if apart(direction(arm), untrained) else "neither of the two"


guesses = {"no-ema": my_fate_of_no_ema, "no-stopgrad": my_fate_of_no_stopgrad, "neither": my_fate_of_neither, "frozen": my_fate_of_frozen}  # fmt: skip
for arm, guess in guesses.items():
    compare(arm, guess, fate(arm))
print("\nno-ema on each seed:", ", ".join(f"{value:.2f}" for value in direction("no-ema")))
print("untrained          :", ", ".join(f"{value:.2f}" for value in untrained))

# %%
# NBVAL_CHECK_OUTPUT
live = histories["neither"][-1]
check("O3", live["feature_std"] < 0.05 and live["loss"] < 0.1 * histories["vjepa"][-1]["loss"] and fate("neither") == "collapses",
      "without stop-gradient and EMA, loss goes to nearly zero and features become constant within 400 steps, and on all five seeds of the long run")  # fmt: skip
check("O3 alone", fate("no-stopgrad") == "collapses" and not any(collapsed(run) for run in stored["arms"]["no-ema"]),
      "EMA without stop-gradient collapses too, in its target; stop-gradient without EMA did not collapse on any seed")  # fmt: skip

# %% [markdown]
# So of the two, **stop-gradient is the one that prevents collapse** here. And EMA? Without it nothing collapses, but look at the
# seeds of `no-ema`: one of them learns as much as `vjepa`, the others hardly more than nothing. EMA makes learning *reliable*
# here. SimSiam works without EMA, BYOL does not; you see both in one row of numbers.
#
# ## What may be claimed, and what not
#
# EMA and stop-gradient "work". Compared with what? With untrained features, and with both taken away, the answer is plain.
# Compared with a target that never moves, it is not.
#
# **Predict:** does `vjepa` beat `frozen` on motion, by intervals that do not touch? (`"yes"` or `"no"`)

# %%
my_guess_whether_it_beats_frozen = None

# %%
compare(
    "vjepa beats frozen",
    my_guess_whether_it_beats_frozen,
    "yes" if apart(direction("vjepa"), direction("frozen")) else "no",
)
longer = json.loads((Path("..") / "results" / "long.json").read_text())
for results in (stored, longer):
    steps = results["config"]["steps"]
    for arm in ("vjepa", "frozen"):
        middle, half = interval(direction(arm, results))
        print(f"  {steps:5} steps, {arm:6} {middle:.3f} ± {half:.3f}")

# %%
# NBVAL_CHECK_OUTPUT
both = direction("vjepa")
check("O5a", apart(both, untrained) and apart(both, direction("neither")) and apart(both, direction("no-stopgrad")),
      "with both heuristics the encoder learns motion, apart from untrained, from neither and from no-stopgrad, over five seeds")  # fmt: skip
no_lead = not apart(direction("vjepa", longer), direction("frozen", longer)) and not apart(both, direction("frozen"))
print("a lead of vjepa over a frozen random target is not shown, short or long:", no_lead)
assert no_lead

# %% [markdown]
# That is an uncomfortable control, and it stays in. To predict what an *untrained* network says about the hidden future, one
# already has to know where the digit will be; these clips are simple enough that little more is to be gained. The means lead in
# the longer runs, but the intervals overlap, so we do not claim it. Many published ablations do not have this row.
#
# ## What you hide decides what is learned
#
# All arms so far hide the future: the encoder sees the first half of a clip. That asks for motion. Here is the same
# encoder, with the same loss, under the masks of lesson 02.
#
# **Predict:** which mask gives the best features for the *identity* of the digit? (`"vjepa"`, which hides the future, `"mask-random"`,
# `"mask-tube"`, `"mask-blocks"`, `"mask-official"`, or `"mask-mixed"`: future and tubes)

# %%
my_best_mask_for_identity = None

# %%
variants = json.loads((Path("..") / "results" / "variants.json").read_text())
names = ["vjepa", *(name for name in variants["arms"] if name.startswith("mask-"))]
runs = {name: stored["arms"].get(name) or variants["arms"][name] for name in names}
identity = {name: interval([run["final"]["attentive_identity"] for run in own])[0] for name, own in runs.items()}
motion = {name: interval([run["final"]["linear_direction"] for run in own])[0] for name, own in runs.items()}
compare("best mean for identity, attentive probe", my_best_mask_for_identity, max(identity, key=identity.get))
print("  best mean for motion, linear probe:", max(motion, key=motion.get))
show(mask_map({**stored, "arms": runs}))

# %% [markdown]
# MASKTEXT
#
# ## Other switches
#
# The same recipe with one more thing changed: a constant momentum in place of the ramp, no target normalisation, a predictor without
# a transformer, the official initialisation, squared error, and for `no-ema` a faster predictor or more weight decay, which
# theory says may stand in for EMA.

# %%
print(variants["command"], "|", variants["date"], "|", variants["device"])
others = {name: own for name, own in variants["arms"].items() if not name.startswith("mask-")}
table(metric_table([row for row in table_rows({**variants, "arms": others}) if row.kind == "arm"]))

# %% [markdown]
# VARIANTTEXT
#
# ## Which number warns first?
#
# For every number that a run logs: from which step on could it have told the runs that ended collapsed from those that did not?
# "Never" means that the two kinds overlap.

# %%
table(warning_table(stored))

# %%
# NBVAL_CHECK_OUTPUT
never = {line.split("|")[1].strip() for line in warning_table(stored).splitlines() if "| never |" in line}
print("the online encoder's effective rank never tells:", "effective rank, online" in never)
print("the feature std of both encoders does:", "feature std, the smaller of both encoders" not in never)
assert "effective rank, online" in never and "feature std, the smaller of both encoders" not in never

# %% [markdown]
# The loss tells too, but the wrong way round: the collapsed runs have the lower one. So the advice of this course is one line: **log
# the feature std across clips of both encoders, and look at it in the first fifty steps.** That is what the early warning of
# `minivjepa train` does.
#
# ## No loss is being minimised
#
# "Minimise this loss" usually means: the update goes downhill on some landscape. With a stop in it, does it still? Take the
# smallest V-JEPA there is. Encoder: one number e, which says `e` of its clip. Predictor: one number w. Target: what the
# encoder says, `e` again. The loss is half of (w e - e)², and it is zero if w = 1 (a right prediction) or e = 0 (collapse).
#
# If an update goes downhill on *any* landscape, whatever it is, then its Jacobian (how each part of the update changes with each
# parameter) is a matrix of second derivatives, and those are **symmetric**. And if you walk in a closed loop and add up how
# much you went along with the update, you get **zero**, since you are back at the height where you began.
#
# **Predict:** with stop-gradient, is the Jacobian symmetric? (`"yes"` or `"no"`)

# %%
my_guess_about_symmetry = None

# %%


def loss(student, teacher):
    """student and teacher are (w, e) each: the student predicts w e, the teacher says e."""
    return 0.5 * (student[0] * student[1] - teacher[1]) ** 2


def through(p):
    """The update when the gradient flows through both."""
    return -torch.func.grad(lambda q: loss(q, q))(p)


def stopped(p):
    """The update with stop-gradient: differentiate the student only, with the teacher equal to it."""
    return -torch.func.grad(loss, argnums=0)(p, p)


def averaged(p):
    """The update of (w, e, teacher's e) with EMA, momentum .99: the teacher goes a hundredth of the way to the student."""
    student = -torch.func.grad(loss)(p[:2], p[[0, 2]])
    return torch.cat([student, 0.01 * (p[1:2] - p[2:3])])


point = torch.tensor([0.5, 1.0])
turn = torch.linspace(0, 2 * torch.pi, 721)
loop = torch.stack([0.75 + 0.6 * turn.cos(), 0.75 + 0.6 * turn.sin()], dim=1)


def work(update):
    """Steps along the closed loop times the update there, added up."""
    middle = (loop[1:] + loop[:-1]) / 2
    return float(sum(update(p) @ step for p, step in zip(middle, loop.diff(dim=0))))


updates = {"gradient through both": through, "stop-gradient": stopped}
jacobians = {name: torch.func.jacrev(update)(point) for name, update in updates.items()}
jacobians["stop-gradient and EMA"] = torch.func.jacrev(averaged)(torch.tensor([0.5, 1.0, 1.0]))
compare("symmetric with stop-gradient", my_guess_about_symmetry,
        "yes" if torch.allclose(jacobians["stop-gradient"], jacobians["stop-gradient"].T) else "no")  # fmt: skip
for name, matrix in jacobians.items():
    print(f"  Jacobian, {name}: {[[round(value, 2) for value in row] for row in matrix.tolist()]}")
for name, update in updates.items():
    print(f"  once round the circle, {name}: {work(update):+.3f}")
show(update_fields(updates, loop))

# %%
# NBVAL_CHECK_OUTPUT
symmetric = {name: torch.allclose(matrix, matrix.T, atol=1e-5) for name, matrix in jacobians.items()}
check("O5b", symmetric == {"gradient through both": True, "stop-gradient": False, "stop-gradient and EMA": False}
      and abs(work(through)) < 1e-3 < 0.05 < abs(work(stopped)),
      "the update with stop-gradient is the gradient of nothing: its Jacobian is not symmetric, with EMA too, and a closed loop does not add up to zero")  # fmt: skip

# %% [markdown]
# There is a number called loss, and you can print it. But the update does not go downhill on it, nor on anything else: it goes round.
# That is why a rising loss need not be bad, and why "it converges because the loss falls" is no argument here. Stop-gradient
# and EMA are **heuristics**: rules that work, for reasons that theory is still after.
#
# ## Break it
#
# An arm of your own: change the switches of `mine`, for example `momentum=0.5`, or `normalise=False`, or both. Guess its feature std
# after 100 steps first.
#
# <details><summary>What to expect</summary>
#
# With stop-gradient you will hardly get it to collapse in so few steps. Without (`stop_gradient=False`) you hardly get it not to.
# </details>

# %%
from minivjepa.vjepa import CollapsePrevention

mine = replace(config, steps=100, prevention=CollapsePrevention(momentum=0.99))  # change this
run = Run(Path(tempfile.mkdtemp()) / "mine")
run.create(mine, "digits")
Trainer(mine, DigitClips(mine.grid), run, torch.device("cpu")).fit(lambda step, row: None)
last = run.history()[-1]
print(
    f"feature std {last['feature_std']:.3f}, of the target encoder {last['target_feature_std']:.3f}; warning below {WARNING}, collapsed below {COLLAPSED}"
)

# %% [markdown]
# ## Three questions
#
# <details><summary>1. A paper shows that its method reaches 0.72 and that without EMA it reaches 0.36. What do you ask?</summary>
#
# Over how many seeds, and how wide are the intervals? What do an untrained encoder and a frozen target reach? Both numbers of
# this question are close to those above, where one seed of five without EMA was as good as with it.
# </details>
#
# <details><summary>2. Why does the online encoder survive in `no-stopgrad`?</summary>
#
# Once the target says the same about everything, a constant prediction is right, and the predictor can give that by itself. Nothing
# asks the online encoder for anything any more, so it stays about as it was.
# </details>
#
# <details><summary>3. The update is not the gradient of any function. Does that mean that training cannot settle?</summary>
#
# No. In the two-parameter model with stop-gradient every point with w = 1 is at rest, and runs end there. It means that you
# cannot argue with "the loss falls, so it must end somewhere good".
# </details>
#
# **In the package:** `minivjepa/vjepa.py` (the arms), `minivjepa/ablation.py`, `minivjepa/early.py`, `minivjepa/variants.py`. **In the papers:** BYOL (arXiv
# 2006.07733), section 5 and its ablations; SimSiam (arXiv 2011.10566), section 4; DirectPred (arXiv 2102.06810). **Next:** 08, the loop.
