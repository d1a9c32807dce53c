# %% [markdown]
# # 07 Ablations
#
# ![You are here: taking the stop and the EMA away. The diagram of V-JEPA. In full color: EMA, stop.](attachment:here-07.png)
#
# **At the end you can explain** what happens when one of V-JEPA's two heuristics is taken away, what such a result is compared
# with, what hiding other things teaches, and why an update with stop-gradient in it is the gradient of no loss.
#
# *45 minutes, including about 2 minutes of computing. Any laptop.*
# You need: lessons 05 and 06.

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
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from minivjepa.collapse import COLLAPSED, WARNING, singular_values
from minivjepa.course.figures.arm_curves import collapse_curves, dashboard, update_fields
from minivjepa.course.lesson import Live, check, compare, published, show, table
from minivjepa.data.digits import DigitClips
from minivjepa.data.protocol import Budget
from minivjepa.evaluation.collapsed_runs import alarm, collapsed
from minivjepa.evaluation.judge import encode_split
from minivjepa.evaluation.probes import linear_accuracy
from minivjepa.evaluation.statistics import interval, paired
from minivjepa.experiments.report import by_seed, metric_table, table_rows
from minivjepa.training.arms import with_arm
from minivjepa.training.config import PRESETS, differences
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer
from minivjepa.vjepa import ARMS

# %% [markdown]
# ## One experiment, one switch
#
# An **ablation** takes one thing away and leaves all else as it was: same clips, same first weights, same number of steps. What
# changes in the result is then due to that thing. Each choice of switches is an **arm**, and in the package it is one value of a
# small class. Here is in what each differs from V-JEPA:

# %%
for name in ("no-ema", "no-stopgrad", "neither", "frozen"):
    print(
        f"{name:12} {', '.join(differences(ARMS['vjepa'], ARMS[name])).replace(' saved', ' in vjepa').replace(' given', ' here')}"
    )

# %% [markdown]
# - `vjepa` has both: an EMA target encoder, and no gradient into it.
# - `no-ema` keeps stop-gradient: the target encoder *is* the online encoder, read without gradient.
# - `no-stopgrad` keeps EMA: the target encoder follows slowly, but the optimiser may push it too.
# - `neither` has neither.
# - `frozen` is a **control**, the question behind every other result: what if the target encoder never moved at all? Its
#   momentum is 1, so it stays the untrained network for ever.
#
# All of them hide the second half of the clip (the mask `future`), not the blocks of lesson 02: to predict it, one has to know about
# motion. What we find is true of that; other masks come below.
#
# You have seen `neither` die. **Predict** the fate of the other three: `"learns"` (its features tell more about motion than untrained
# ones), `"collapses"` (the features of the online *or* of the target encoder become the same for every clip), or `"no sign of either"`.

# %%
my_fate_of_no_ema = None
my_fate_of_no_stopgrad = None
my_fate_of_frozen = None

# %% [markdown]
# And one more, before any number is shown: does `vjepa` beat `frozen` on motion, clearly? (`"yes"` or `"no"`)

# %%
my_guess_whether_it_beats_frozen = None

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
    train, test = (encode_split(encoder, config, part, budget, torch.device("cpu")) for part in ("train", "test"))
    return {
        "linear_direction": linear_accuracy(train.pooled, train.direction, test.pooled, test.direction),
        "spectrum": singular_values(test.pooled, centred=True).tolist(),
    }


def watch(arm):
    """Train one arm and draw all arms so far, at some of its steps."""
    run = Run(folder / arm)
    run.create(with_arm(config, arm), "digits")
    trainer = Trainer(with_arm(config, arm), DigitClips(config.grid), run, torch.device("cpu"))
    rows = histories.setdefault(arm, [])

    def at_every_step(step, row):
        if row is not None and step in (0, 50, 100, 200, 400):
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
# keeps much of its spread; it is the **target** encoder that dies. (All other panels are of the online encoder. The last singular
# value is zero for every arm: LayerNorm takes one direction away.)
#
# None of them has learned much about motion yet. That takes too long for a lesson.
#
# ## The whole matrix, stored
#
# All five arms and two more, 2,600 steps, five seeds, all probes. It was run once, by the command below, and is stored in
# `results/`, from where every table of this course comes. `make matrix` runs it again.
#
# In the table, a row ending in `target` has the same probes on the target encoder. Rows in italics are controls: *untrained*, before
# the first step; *supervised*, the same encoder trained with labels, the ceiling; *raw pixels*; *shuffled frames* and *first frame*,
# the untrained encoder on clips from which motion was taken. An **attentive** probe chooses which tokens it looks at (lesson 09).

# %%
stored = json.loads((Path("..") / "results" / "matrix.json").read_text())
print(stored["command"], "|", stored["date"], "|", stored["device"], "| torch", stored["versions"]["torch"])
show(collapse_curves(stored))
table(metric_table(table_rows(stored)))

# %% [markdown]
# Behind each ± is a 95 % interval. Another five seeds would give another mean; the interval says how far off the mean of five may
# be, and about one such interval in twenty misses. Where the seeds fall into two groups, their mean describes neither, and all values stand there. (`vicreg` and
# `sigreg` have neither heuristic and a term in the loss instead; the second is SIGReg, of lesson 11.)
#
# To compare two arms, take their **difference on each seed**. Arms of one seed see the same clips and start from the same weights,
# so what is lucky about a seed helps both and drops out. One arm is **above** another if the whole 95 % interval of the mean difference lies above 0
# and every seed agrees, and *below* likewise. Anything else is *undecided*, unless the interval lies within .02 of 0: then they are *equal*.
#
# Now the fates, computed from those runs:


# %%
def difference(arm, other, metric="linear_direction", results=stored, theirs=None):
    """One arm minus another, seed by seed; unless said, in what a linear probe reads about motion."""
    return paired(by_seed(results, arm, metric), by_seed(theirs or results, other, metric))


def direction(arm, results=stored):
    """One value per seed: what a linear probe reads about motion from the online encoder."""
    return list(by_seed(results, arm, "linear_direction").values())


def fate(arm):
    """The fate of an arm over all its seeds, in the words of the prediction."""
    if all(collapsed(run) for run in stored["arms"][arm]):
        return "collapses"
    return "learns" if difference(arm, "untrained").answer == "above" else "no sign of either"


guesses = {"no-ema": my_fate_of_no_ema, "no-stopgrad": my_fate_of_no_stopgrad, "frozen": my_fate_of_frozen}
for arm, guess in guesses.items():
    compare(arm, guess, fate(arm))
print("\nno-ema on each seed:", ", ".join(f"{value:.2f}" for value in direction("no-ema")))
print("vjepa on each seed: ", ", ".join(f"{value:.2f}" for value in direction("vjepa")))
print("untrained:          ", ", ".join(f"{value:.2f}" for value in direction("untrained")))

# %% folded=true
# NBVAL_CHECK_OUTPUT
live = histories["neither"][-1]
check("O3", live["feature_std"] < 0.05 and live["loss"] < 0.1 * histories["vjepa"][-1]["loss"] and fate("neither") == "collapses",
      "without stop-gradient and EMA, loss nearly vanishes and features of different clips become nearly equal within 400 steps; on all five stored seeds they collapse")  # fmt: skip
check("O3 alone", fate("no-stopgrad") == "collapses" and not any(collapsed(run) for run in stored["arms"]["no-ema"]),
      "EMA without stop-gradient collapses too, in its target; stop-gradient without EMA did not collapse on any seed")  # fmt: skip

# %% [markdown]
# So of the two, **stop-gradient is the one that prevents collapse** here. And EMA? Look at the seeds: without it, one run learns as
# much about motion as `vjepa`, four hardly more than an untrained encoder. So for motion five seeds do not settle it. For identity they do:

# %%
for metric in ("linear_direction", "linear_identity", "attentive_identity"):
    found = difference("vjepa", "no-ema", metric)
    print(f"vjepa minus no-ema, {metric.replace('_', ' ')}: {found}: {found.answer}")
assert difference("vjepa", "no-ema").answer == "undecided"
assert difference("vjepa", "no-ema", "linear_identity").answer == "above"
assert difference("vjepa", "no-ema", "attentive_identity").answer == "above"

# %% [markdown]
# With EMA, features know more of *which* digit it is, on every seed.
#
# BYOL (arXiv 2006.07733), a method for images with the same two heuristics, fails without EMA; SimSiam (arXiv 2011.10566), a simpler
# one, works without it. One of our seeds looks like SimSiam, four look like BYOL, and more weight decay (a pull of all weights
# towards zero) changes how many: `results/README.md`.
#
# ## What may be claimed, and what not
#
# The two heuristics "work". Compared with what? With untrained features, and with both taken away, the answer is plain. And compared
# with a target that never moves?

# %%
compare(
    "vjepa beats frozen",
    my_guess_whether_it_beats_frozen,
    "yes" if difference("vjepa", "frozen").answer == "above" else "no",
)
longer = json.loads((Path("..") / "results" / "long.json").read_text())
against_frozen = {}
for results in (stored, longer):
    steps = results["config"]["steps"]
    print(f"vjepa minus frozen, {steps} steps")
    for metric in ("linear_direction", "attentive_direction", "linear_identity", "attentive_identity", "knn_identity"):
        found = difference("vjepa", "frozen", metric, results)
        against_frozen[metric, steps] = found.answer
        print(f"  {metric.replace('_', ' '):20} {found}: {found.answer}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
ways = ("untrained", "neither", "no-stopgrad")
check("O5a", all(difference("vjepa", other).answer == "above" for other in ways),
      "with both heuristics the encoder learns motion: above untrained, neither and no-stopgrad on each of five seeds")  # fmt: skip
short, long = stored["config"]["steps"], longer["config"]["steps"]
no_lead = all(against_frozen["linear_direction", steps] == "undecided" for steps in (short, long))
behind = all(against_frozen[metric, short] == "below" for metric in ("attentive_direction", "attentive_identity"))
nearest = against_frozen["knn_identity", long] == "above"
print("a lead of vjepa over a frozen random target on motion is not shown, short or long:", no_lead)
print("by attentive probes vjepa is below frozen in the short runs:", behind)
print("in the long runs its nearest neighbours are more often the same digit:", nearest)
assert no_lead and behind and nearest

# %% [markdown]
# That is an uncomfortable control, and it stays in: in the short runs an attentive probe reads *less* from `vjepa` than from an encoder that was
# trained to predict an untrained network. One explanation, which we did not test: to predict
# what such a network says about the hidden future, one has to know where the digit will be, and these clips ask for little else.
# In the long runs one thing speaks for the moving target. Clips that are near each other in its features more often show the same digit: the features
# are more *about* identity. That was found after the fact, on these five seeds; `results/plan.md` says how it is tested on fresh ones.
# Encoders trained with labels know more, so there is more to learn here than either target teaches. In BYOL's own ablation, on
# photographs, the same control does badly: 18.8 % where BYOL has 72.5 %.
#
# ## What you hide decides what is learned
#
# Hiding the future asks for motion. Here is the same encoder, with the same loss, under the masks of lesson 02.
#
# **Predict:** which mask gives the best features for the *identity* of the digit? (`"vjepa"`, which hides the future, `"mask-random"`,
# `"mask-tube"`, `"mask-blocks"`, `"mask-official"`, or `"mask-mixed"`: future and tubes)

# %%
my_best_mask_for_identity = None

# %%
variants = json.loads((Path("..") / "results" / "variants.json").read_text())
masks = [name for name in variants["arms"] if name.startswith("mask-")]
names = ("linear_direction", "linear_identity", "attentive_identity")


def against_vjepa(arm):
    """Metric -> whether an arm is above or below vjepa, on the seeds that both have."""
    return {metric: difference(arm, "vjepa", metric, variants, stored).answer for metric in names}


def motion(arm):
    """Whether an arm of the variants knows more about motion than an untrained encoder."""
    return difference(arm, "untrained", results=variants, theirs=stored).answer


verdicts = {name: against_vjepa(name) for name in masks}
identity = {
    name: interval([*by_seed(results, name, "attentive_identity").values()])[0]
    for results, group in ((stored, ["vjepa"]), (variants, masks))
    for name in group
}
compare("best mean for identity, attentive probe", my_best_mask_for_identity, max(identity, key=identity.get))
for name, verdict in verdicts.items():
    print(f"  {name:14}", ", ".join(f"{metric.replace('_', ' ')}: {word}" for metric, word in verdict.items()))

# %% [markdown]
# ![Accuracy for direction against accuracy for identity, one color per mask; random, tube and block masks stand left, the future mask right](../results/masks.png)
#
# *The same encoder, trained under different masks. Dots are seeds, squares their means, dotted lines chance.*

# %% folded=true
# NBVAL_CHECK_OUTPUT
spatial = ("mask-random", "mask-tube", "mask-blocks", "mask-official")
no_motion = all(verdicts[name]["linear_direction"] == "below" and motion(name) == "undecided" for name in spatial)
content = [name for name in masks if verdicts[name]["linear_identity"] == "above"]
no_worse = all("below" not in (word["linear_identity"], word["attentive_identity"]) for word in verdicts.values())
print("without the future, motion is below vjepa's, and a lead over an untrained encoder is not shown:", no_motion)
print("no mask is below vjepa on identity:", no_worse)
print("above it, by the linear probe:", ", ".join(content))
assert no_motion and no_worse and content == ["mask-blocks", "mask-official"]

# %% [markdown]
# What you hide decides what is learned. To fill a hole in a frame that is otherwise visible, it helps to know what stands there, and hardly which
# way it goes: the holes are filled in every frame. Only those who must say what comes *next* need to know about motion. For
# *identity* it is the other way round: under blocks and the official masks a linear probe reads more of it. So the result of this
# lesson about motion is also a result about the mask, and V-JEPA's own, on real video, has to serve both.
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

# %% folded=true
# NBVAL_CHECK_OUTPUT
found = {name: against_vjepa(name) for name in others}
plain = [name for name in others if name.startswith("momentum-") or name in ("raw-targets", "squared-error")]
as_good = all("below" not in (found[name]["linear_direction"], found[name]["attentive_identity"]) for name in plain)
better = [name for name in plain if found[name]["linear_direction"] == "above"]
rescued = [name for name in ("no-ema-fast-predictor", "official-init") if motion(name) == "above"]
decay = direction("no-ema-more-decay", variants)
linear = found["linear-predictor"]
print("no constant momentum, raw targets or squared error is below vjepa:", as_good)
print("above it on motion:", ", ".join(better))
print("neither a fast predictor without EMA nor the official initialisation is shown to learn motion:", rescued == [])
print(
    "more weight decay without EMA depends on the seed, from nothing to as good as vjepa:",
    min(decay) < 0.25 and max(decay) > 0.6,
)
print("a linear predictor: motion", linear["linear_direction"] + ", identity", linear["attentive_identity"])
assert as_good and better == ["momentum-.996", "momentum-.999"] and not rescued
assert min(decay) < 0.25 and max(decay) > 0.6
assert (linear["linear_direction"], linear["attentive_identity"]) == ("above", "below")

# %% [markdown]
# - The choice of momentum, normalised targets and L1, which articles discuss at length, matter little *here*, as long as there is an EMA and a
#   stop. A constant momentum of .996 or .999 gives a little more motion than the ramp, on each of four seeds.
# - A predictor ten times as fast, which theory offers in place of EMA, does not rescue `no-ema`; more weight decay does on some seeds.
# - The official initialisation (standard deviation .02) was made for widths around a thousand. At width 64 features first shrink, and the
#   run is over before they recover.
# - The plainest predictor is *better* for motion and worse for identity. Why, we have not found out.
#
# ## Which number warns first?
#
# For every number that a run logs: from which step on could it have told the runs that ended collapsed from those that did not?
# "Never" means that the two kinds overlap. (This is hindsight: where to draw the line is chosen afterwards, and all collapsed runs
# come from two arms.) Below it, the real thing: when the package's warning, feature std below 0.1, was raised on these runs.

# %%
published("warning")
published("alarm")

# %% folded=true
# NBVAL_CHECK_OUTPUT
every = [run for runs in stored["arms"].values() for run in runs]
warned = [alarm(run["history"]) is not None for run in every]
print("the warning fired on every collapsed run and on no other:", warned == [collapsed(run) for run in every])
assert warned == [collapsed(run) for run in every]

# %% [markdown]
# The loss tells too, but the wrong way round: the collapsed runs have the lower one. So the advice of this course is one line: **log
# the feature std across clips of both encoders, and look at it in the first fifty steps.** That is what the early warning of
# `minivjepa train` does.
#
# ## Which hill does it go down?
#
# "Training minimises a loss" usually means: every step is a step down a hill, in the steepest direction, minus the gradient of some
# function of the parameters. With stop-gradient in it, is the step still the gradient of *something*? Take the smallest
# V-JEPA there is. Encoder: one number e, which says `e` of its clip. Predictor: one number w. Target: what the encoder says, `e`
# again. The loss is half of (w e - e)², and it is zero if w = 1 (a right prediction) or e = 0 (collapse).
#
# There are two tests. If the update is the gradient of any function, whatever it is, then its **Jacobian** (a table: how each part of
# the update changes with each parameter) holds second derivatives, and is **symmetric**. And if you walk in a closed loop and add
# up how much you went along with the update, you get **zero**, since you are back at the height where you began.
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
    print(f"  once round the circle, {name}: {work(update) + 0.0:.3f}")
show(update_fields(updates, loop))

# %% folded=true
# NBVAL_CHECK_OUTPUT
symmetric = {name: torch.allclose(matrix, matrix.T, atol=1e-5) for name, matrix in jacobians.items()}
check("O5b", symmetric == {"gradient through both": True, "stop-gradient": False, "stop-gradient and EMA": False}
      and abs(work(through)) < 1e-3 < 0.05 < abs(work(stopped)),
      "the update with stop-gradient is the gradient of no function: its Jacobian is not symmetric, with EMA too, and a closed loop does not add up to zero")  # fmt: skip

# %% [markdown]
# So there is a number called loss, and you can print it; but the update is the gradient of no function, this one or another. That is
# the exact meaning of "no loss is being minimised", and why both are called **heuristics**: rules that work, for reasons
# that theory is still after. It has two consequences that you can compute:

# %%


def walk(start, steps=1500, rate=0.03):
    """Follow the update with stop-gradient from (w, e)."""
    p = torch.tensor(start)
    for _ in range(steps):
        p = p + rate * stopped(p)
    return [round(value, 2) for value in p.tolist()]


p = torch.tensor([0.5, 0.1])
before, after = (float(loss(q, q)) for q in (p, p + 0.1 * stopped(p)))
print(f"one step from w = 0.5, e = 0.1 changes the loss from {before:.6f} to {after:.6f}")
ends = {start: walk(start) for start in ((0.5, 1.0), (0.5, 0.1), (2.0, 0.5))}
for start, end in ends.items():
    print(f"from w, e = {start} a run ends at {end}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
print("a step of this update can raise the loss:", after > before)
print(
    "the first two runs end with a right prediction, the third collapses:",
    [abs(end[1]) > 0.5 for end in ends.values()] == [True, True, False],
)
assert after > before and [abs(end[1]) > 0.5 for end in ends.values()] == [True, True, False]

# %% [markdown]
# A rising loss need not be bad: here it rises because the encoder says *more* about its clip. And stop-gradient is no guarantee: in this
# model it pushes away from collapse only while the predictor is too small (look at the arrows on both sides of w = 1). With the
# gradient through both, nothing ever pushes away from it.
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
# It keeps about half of the spread that it began with, and knows no more of motion than before. A likely reason: once the target
# says the same about everything, a constant prediction is right, the predictor can give that by itself, and nothing asks the
# online encoder for anything any more.
# </details>
#
# <details><summary>3. The update is not the gradient of any function. Does that mean that training cannot settle?</summary>
#
# No. In the two-parameter model every point with w = 1 or e = 0 is at rest, and the three runs above ended at such points. It means
# that "the loss falls, so it must end somewhere good" is no argument.
# </details>
#
# **In the package:** `minivjepa/vjepa.py` (the arms), `minivjepa/experiments/plan.py`, `minivjepa/evaluation/collapsed_runs.py`, `minivjepa/training/arms.py`. **In the papers:** BYOL (arXiv
# 2006.07733), section 5 and its ablations; SimSiam (arXiv 2011.10566), section 4; DirectPred (arXiv 2102.06810). **Next:** 08, the loop.
