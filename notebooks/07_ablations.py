# %% [markdown]
# # 07 Ablations
#
# ![You are here: taking the stop and the EMA away. The diagram of V-JEPA. In full color: EMA, stop.](attachment:here-07.png)
#
# **At the end you can explain** which switch prevents collapse here, how to compare two arms seed by seed, why training with stop-gradient
# isn't gradient descent, and what predicting features has and hasn't been shown to buy.
#
# *45 minutes, including about a minute of computing. Any laptop.*
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
from dataclasses import replace
from pathlib import Path

import torch
from scipy.stats import t as student_t

from minivjepa.collapse import feature_std
from minivjepa.data.digits import ClipRules, DigitClips
from minivjepa.evaluation.collapsed_runs import alarm, collapsed
from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import paired
from minivjepa.experiments.report import by_seed
from minivjepa.figures.arm_curves import one_arm, sweep, verdicts
from minivjepa.figures.feature_colors import imagination_film
from minivjepa.figures.film_strips import displayed
from minivjepa.training.arms import VARIANTS
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_model
from minivjepa.vjepa import ARMS, CollapsePrevention
from minivjepa_course.homework.checking import attempt, solution
from minivjepa_course.lesson import Live, check, play, show, table
from minivjepa_course.pictures.collapse_kinds import loss_and_spread
from minivjepa_course.pictures.films import Film, clouds_in_motion
from minivjepa_course.predictions import Predictions
from minivjepa_course.tiny import MOMENTUM, train_tiny
from minivjepa_course.toys import collapse_page, walked_hills
from minivjepa_course.widgets import explore

guess = Predictions()
FIVE = ("vjepa", "frozen", "no-ema", "no-stopgrad", "neither")
tiny = PRESETS["tiny"]
clips, _ = DigitClips(tiny.grid).batch(step=0, index=torch.arange(64))


def train(prevention, steps=400, every=10):
    """Train the tiny model; now and then give (step, loss, student's features of `clips`, the targets before normalization)."""
    momentum = MOMENTUM if prevention.momentum is None else prevention.momentum
    for step, loss, model in train_tiny(replace(tiny, prevention=prevention), steps, momentum):
        if step % every == 0 or step == steps - 1:
            with torch.no_grad():
                yield step, loss, model.encoder(clips), model.targets(clips)


# %% [markdown]
# Three students start from the same weights and see the same clips. Here are their *teachers*: each dot is a clip, placed by the features
# that the student has to predict. One student is V-JEPA. One has lost its EMA, and one its stop-gradient.

# %%
runs = {arm: list(train(ARMS[arm])) for arm in FIVE}
hidden = {"A": "no-ema", "B": "no-stopgrad", "C": "vjepa"}
play(clouds_in_motion({name: [(step, h) for step, _, _, h in runs[arm][::2]] for name, arm in hidden.items()}))

# %%
guess("Which student lost its stop-gradient?", "B", choices=list(hidden))

# %% [markdown]
# ## One experiment, one switch
#
# An **ablation** changes one thing and keeps everything else: clips, first weights, number of steps. Each setting of the switches is an
# **arm**:
#
# - `vjepa`: the teacher follows the student by EMA, and gets no gradient;
# - `no-ema`: the student is its own teacher, behind a stop;
# - `no-stopgrad`: the teacher follows by EMA, but the optimizer trains it, too;
# - `neither`: the student is its own teacher, with no stop;
# - `frozen`: a **control**. The teacher never moves: it stays the untrained network forever.
#
# All of them hide the second half of the clip. To predict it, you have to know about motion.
#
# ## Write it: `arm_gradient` (medium, 8 minutes)
#
# What does the stop stop? Take the smallest V-JEPA there is: three numbers. The encoder $e$ turns the clip, always 1, into the feature $e$.
# The predictor $w$ predicts $w e$. The teacher's weight is $t$. The loss is
#
# $$L = \tfrac{1}{2} (w e - h)^2$$
#
# where the target $h$ is $t$ if `target` is `"ema"` and $e$ if it's `"online"`. Return the gradient: the derivatives of $L$ along $w$, $e$
# and $t$. With `stop_gradient`, $h$ counts as a constant.
#
# <details><summary>Hint 1</summary>
#
# Call the difference `error`. With the stop, the derivative along $w$ is `error * e`. Along $e$ it's `error * w`, and along $t$ it's 0.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Without the stop, the number that made $h$ also gets `-error`.
# </details>
#
# <details><summary>Hint 3</summary>
#
# The whole solution: `solution("07", "arm_gradient")`.
# </details>


# %% exercise="arm_gradient"
def arm_gradient(w, e, t, target, stop_gradient):
    """Predictor w, encoder e, teacher t, target "ema" or "online" -> derivatives of the loss along w, e and t."""
    ### BEGIN SOLUTION
    error = w * e - (t if target == "ema" else e)
    through_target = 0.0 if stop_gradient else -error
    if target == "ema":
        return error * e, error * w, through_target
    return error * e, error * w + through_target, 0.0
    ### END SOLUTION


attempt("07", arm_gradient)

# %% [markdown]
# These three numbers tell you, for every arm, where the gradient through the target ends up. Does a real network agree?


# %%
def route(prevention, point=(0.5, 2.0, 3.0)):
    """Whose gradient changes when the stop goes, by your function."""
    stopped, free = (arm_gradient(*point, prevention.target, stop) for stop in (True, prevention.stop_gradient))
    _, student, teacher = (abs(float(a) - float(b)) > 1e-6 for a, b in zip(stopped, free))
    return "teacher" if teacher else "student" if student else "nowhere"


def route_of_network(prevention):
    """The same, measured."""
    model = build_model(replace(tiny, prevention=prevention))
    h = model.targets(clips[:2])
    if not h.requires_grad:
        return "nowhere"
    h.sum().backward()
    return "student" if any(p.grad is not None for p in model.encoder.parameters()) else "teacher"


for arm in FIVE:
    print(f"{arm:12} yours: {route(ARMS[arm]):8} network: {route_of_network(ARMS[arm])}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
ways = [route_of_network(ARMS[arm]) for arm in FIVE]
assert ways == [route(ARMS[arm]) for arm in FIVE] == 3 * ["nowhere"] + ["teacher", "student"]
print("verified: your gradient takes the same routes as a real network's")

# %% [markdown]
# So `vjepa`, `no-ema` and `frozen` differ only in how their target moves.
#
# ## The switchboard
#
# Now the real thing: 2,600 steps, recorded once, with 4 to 15 seeds per arm. What became of each arm? It *collapses* if one of its encoders
# does, on every seed. It *learns* if a linear probe reads more about motion from it than from an untrained encoder.

# %%
FATES = ["learns", "collapses", "something else"]
guess("What becomes of no-ema?", choices=FATES)
guess("What becomes of no-stopgrad?", choices=FATES)
guess("What becomes of frozen?", choices=FATES)

# %% folded=true
RESULTS = Path("..") / "results"


def load(name):
    """Recorded results; None before they were run."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


stored, variants, plan = load("matrix"), load("variants"), load("plan-today")
recorded = {"arms": {}, "untrained": []}
for results in (stored, variants, plan):
    recorded["untrained"] += results["untrained"]
    for arm, each in results["arms"].items():
        recorded["arms"].setdefault(arm, []).extend(each)

# %% [markdown]
# Flip one switch at a time. Compare the loss with the feature std: which arms would the loss fool you about?

# %%
RAMP = ".996 to 1"
prevented = ARMS | {arm: fields["prevention"] for arm, fields in VARIANTS.items() if list(fields) == ["prevention"]}


def switchboard(predict, EMA, stop_gradient, momentum, normalize):
    """The recorded runs with these switches."""
    if predict == "pixels":  # they have no teacher: the next three switches do nothing
        wanted = CollapsePrevention(target="pixels", normalise=normalize)
    else:
        constant = None if momentum == RAMP or not EMA else momentum
        wanted = CollapsePrevention("ema" if EMA else "online", stop_gradient, constant, normalize)
    for arm, switches in prevented.items():
        if switches == wanted:
            untrained = by_seed(recorded, "untrained", "linear_direction").values()
            return one_arm(recorded["arms"], untrained, arm, f"{arm}, {len(recorded['arms'][arm])} seeds")
    raise ValueError("This combination wasn't run. Put one switch back.")


ON, OFF = ("on", True), ("off", False)
menus = {
    "predict": ["features", "pixels"],
    "EMA": [ON, OFF],
    "stop_gradient": [OFF, ON],
    "momentum": [RAMP, 0.9, 0.99, 0.996, 0.999, 1.0],
    "normalize": [ON, OFF],
}
explore(switchboard, menus)

# %% [markdown]
# It opens on `no-stopgrad`. Its online encoder keeps much of its spread; the one that dies is the target (dotted). Watch only the student,
# and you miss it.
#
# Now train one yourself, with the tiny model of the film (A was `no-ema`, B `no-stopgrad`, C `vjepa`). Change the switches and run the cell
# again. (Drawn: the smaller feature std, the student's or its target's.)

# %%
mine = CollapsePrevention(target="ema", stop_gradient=False, momentum=0.9)


def smaller(step, loss, z, h):
    """Step, loss, feature std of the student or its target, whichever is smaller."""
    return step, loss, min(feature_std(z), feature_std(h))


board, shown = Live(), {arm: [smaller(*row) for row in rows] for arm, rows in runs.items()}
shown["mine"] = []
for row in train(mine):
    shown["mine"].append(smaller(*row))
    if row[0] % 40 == 0 or row[0] == 399:
        board.show(loss_and_spread(shown, until=400))

# %% folded=true
# NBVAL_CHECK_OUTPUT
dead = {arm: [collapsed(run) for run in each] for arm, each in recorded["arms"].items()}
end = {arm: rows[-1] for arm, rows in shown.items()}
check(
    "O3",
    end["neither"][2] < 0.05 and end["neither"][1] < 0.1 * end["vjepa"][1] and all(dead["neither"]),
    "without stop-gradient and EMA, the loss nearly vanishes and features of different clips become nearly equal within 400 steps; "
    "every recorded seed collapses",
)
check(
    "O3 alone",
    end["no-stopgrad"][2] < 0.1 * shown["no-stopgrad"][0][2] and all(dead["no-stopgrad"]) and not any(dead["no-ema"]),
    "EMA without stop-gradient collapses too, in its target; stop-gradient without EMA did not collapse on any seed",
)
every = [run for each in stored["arms"].values() for run in each]
warned = [alarm(run["history"]) for run in every]
rest = [run for results in (variants, plan) for each in results["arms"].values() for run in each]
false = sum(alarm(run["history"]) is not None and not collapsed(run) for run in rest)
check(
    "O3 warning",
    all((step is not None) == collapsed(run) for step, run in zip(warned, every))
    and max(filter(None, warned)) <= 50
    and not any(map(collapsed, rest)),
    f"in the {len(every)} runs of the seven main arms, the warning fired on every collapsed run and on no other, by step 50; "
    f"in the {len(rest)} other runs none collapsed, and it fired on {false}",
)

# %% [markdown]
# `minivjepa train` prints that warning: the feature std of either encoder is below 0.1. It's a warning, not a verdict.
#
# ## Write it: `paired_verdict` (medium, 10 minutes)
#
# One arm's dots lie higher than another's. Luck? Arms of the same seed share clips and first weights. What's lucky about a seed drops out of
# their **difference**.
#
# `a` and `b` map seeds to accuracies. For the seeds that both have, in increasing order, take `a` minus `b`. The mean of these differences
# has a 95 % interval: mean ± `factor` · std / √n. (std divides by n - 1. `factor` comes from Student's t: 2.78 for five seeds.) The verdict
# is the first that fits:
#
# - `"above"`: the interval lies above 0, and at least nine in ten differences are positive;
# - `"below"`: the same on the other side;
# - `"equal"`: the interval lies within -.02 and .02;
# - `"undecided"`.
#
# Return the list of differences, the interval's low and high end, and the verdict.
#
# <details><summary>Hint 1</summary>
#
# `a.keys() & b.keys()` has the shared seeds; `sorted` puts them in order.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Put the differences into `d = torch.tensor(..., dtype=torch.float64)`. Then there are `d.mean()`, `d.std()` and `(d > 0).sum()`.
# </details>
#
# <details><summary>Hint 3</summary>
#
# The whole solution: `solution("07", "paired_verdict")`.
# </details>


# %% exercise="paired_verdict"
def paired_verdict(a, b, factor):
    """Seed -> accuracy of two arms -> differences seed by seed, low and high end of their mean's interval, the verdict."""
    ### BEGIN SOLUTION
    shared = sorted(a.keys() & b.keys())
    d = torch.tensor([a[seed] - b[seed] for seed in shared], dtype=torch.float64)
    half = factor * d.std() / len(d) ** 0.5
    low, high = float(d.mean() - half), float(d.mean() + half)
    if low > 0 and (d > 0).sum() >= 0.9 * len(d):
        verdict = "above"
    elif high < 0 and (d < 0).sum() >= 0.9 * len(d):
        verdict = "below"
    elif low >= -0.02 and high <= 0.02:
        verdict = "equal"
    else:
        verdict = "undecided"
    return d.tolist(), low, high, verdict
    ### END SOLUTION


attempt("07", paired_verdict)

# %% [markdown]
# Your function decides the fates, and what EMA adds. A **linear probe** reads the mean token; an **attentive** one chooses its tokens
# (lesson 09); **kNN** asks whether a clip's nearest neighbors show the same digit.

# %%
PROBES = ("linear_direction", "attentive_direction", "linear_identity", "attentive_identity", "knn_identity")


def against(arm, other, metric, results=recorded):
    """One arm minus another, by your function, on the seeds that both have."""
    a, b = by_seed(results, arm, metric), by_seed(results, other, metric)
    return paired_verdict(a, b, student_t.ppf(0.975, len(a.keys() & b.keys()) - 1))


def by_probe(arm, other, results=recorded):
    """The same for all five probes."""
    return {METRICS[metric].title: against(arm, other, metric, results) for metric in PROBES}


def fate(arm):
    """What became of an arm."""
    if all(collapsed(run) for run in recorded["arms"][arm]):
        return FATES[1]
    return FATES[0] if against(arm, "untrained", "linear_direction")[3] == "above" else FATES[2]


for arm in ("no-ema", "no-stopgrad", "frozen"):
    guess.reveal(f"What becomes of {arm}?", fate(arm))
show(verdicts({"what EMA adds": by_probe("vjepa", "no-ema")}, "vjepa minus no-ema"))

# %% folded=true
# NBVAL_CHECK_OUTPUT
check(
    "O5a",
    all(against("vjepa", other, "linear_direction")[3] == "above" for other in ("untrained", "neither", "no-stopgrad")),
    "with both heuristics the encoder learns motion: above untrained, neither and no-stopgrad",
)
for arm, other in (("vjepa", "no-ema"), ("vjepa", "frozen"), ("frozen", "pixels")):
    for metric in PROBES:
        theirs = paired(by_seed(recorded, arm, metric), by_seed(recorded, other, metric))
        assert against(arm, other, metric)[3] == theirs.answer
ema = {probe: found[3] for probe, found in by_probe("vjepa", "no-ema").items()}
assert (ema["direction, linear"], ema["identity, linear"], ema["identity, attentive"], ema["identity, kNN"]) == (
    "undecided",
    "above",
    "above",
    "undecided",
)
lower = [run["final"]["linear_direction"] < 0.35 for run in stored["arms"]["no-ema"]]
assert sorted(lower) == [False, True, True, True, True]
print(
    "verified: your verdicts are the package's; EMA is above on the digit by two probes of three, undecided on motion"
)

# %% [markdown]
# **Stop-gradient is what prevents collapse here.** With EMA, two of three probes read the digit better; kNN leans the other way.
# On motion it's undecided: without EMA, a linear probe finds little in four seeds, and as much as in `vjepa` in one. Elsewhere, too, both
# happen: BYOL (arXiv 2006.07733) fails and SimSiam (arXiv 2011.10566) does well.
#
# ## The uncomfortable control
#
# So the heuristics "work". Compared with what? The teacher of `frozen` is a random network.

# %%
fresh = by_probe("vjepa", "frozen", plan)
guess(
    "On ten fresh seeds, by how many of the five probes is vjepa above frozen?",
    [f[3] for f in fresh.values()].count("above"),
)

# %%
long = by_probe("vjepa", "frozen", load("plan-today-long"))
show(verdicts({"cpu, 2,600 steps": fresh, "cpu-long, 7,000 steps": long}, "vjepa minus frozen"))

# %% folded=true
# NBVAL_CHECK_OUTPUT
sides = [{p: found[3] for p, found in each.items() if found[3] in ("above", "below")} for each in (fresh, long)]
check(
    "L2",
    sides[0] == {"identity, linear": "above", "direction, attentive": "below"}
    and sides[1] == dict.fromkeys(("direction, linear", "identity, linear", "identity, kNN"), "above"),
    "at 2,600 steps the moving target is above the frozen one by one probe of five and below by another; "
    "with cpu-long it is above by three, motion among them, and below by none",
)

# %% [markdown]
# After 2,600 steps, the moving teacher is better by one probe and worse by another. With `cpu-long` (longer, more heads, a faster target) it wins
# on these plain clips: above all, neighbors in its features show the same digit more often. They are more *about* identity.
#
# On photographs, BYOL reaches 72.5 %, and with a frozen teacher 18.8; that random teacher itself, 1.4.
#
# ## What you hide
#
# The mask didn't save `neither`, but it decides what is learned. Everything above hid the future.

# %%
MASKS = ["mask-random", "mask-tube", "mask-blocks", "mask-official", "mask-mixed"]
best = {
    arm: sum(found) / len(found) for arm in MASKS for found in [by_seed(variants, arm, "attentive_identity").values()]
}
guess("Which of these has the best mean for identity, attentive probe?", max(best, key=best.get), choices=MASKS)

# %% [markdown]
# ![Accuracy for identity against accuracy for direction, one color per mask; random, tube and block masks are on the left, the future mask is on the right](../results/masks.png)
#
# *`vjepa` hides the future, `mask-mixed` the future and tubes. Dots are seeds, squares their means, dotted lines chance.*

# %% folded=true
# NBVAL_CHECK_OUTPUT
blind = [arm for arm in MASKS if against(arm, "untrained", "linear_direction")[3] != "above"]
sharp = [arm for arm in MASKS if against(arm, "vjepa", "linear_identity")[3] == "above"]
found = [arm for arm in blind if against(arm, "untrained", "attentive_direction")[3] == "above"]
print("verified: no lead over an untrained encoder on motion is shown, by the linear probe:", ", ".join(blind))
print("verified: but by the attentive probe, there is one:", ", ".join(found))
print("verified: above vjepa on identity, by the linear probe:", ", ".join(sharp))
assert blind == MASKS[:4] and found == MASKS[1:4] and sharp == ["mask-blocks", "mask-official"]

# %% [markdown]
# To fill a hole in visible frames, motion helps less: under three of these masks, only attentive probes find more of it than in an untrained
# encoder. To predict what comes *next*, you need it.
#
# ## Other switches
#
# Ten more arms. (An interval misses once in twenty, and there are thirty here: expect one or two misses.)

# %%
others = [arm for arm in variants["arms"] if arm not in MASKS]
three = ("linear_direction", "linear_identity", "attentive_identity")
columns = {METRICS[metric].title: {arm: against(arm, "vjepa", metric) for arm in others} for metric in three}
guess("How does a predictor without a transformer compare with vjepa on motion?", columns["direction, linear"]["linear-predictor"][3],
      choices=["above", "below", "undecided"])  # fmt: skip

# %%
show(verdicts(columns, "each arm minus vjepa"))

# %% folded=true
# NBVAL_CHECK_OUTPUT
direction, identity, attentive = ({arm: found[3] for arm, found in column.items()} for column in columns.values())
plain = [arm for arm in others if arm.startswith("momentum-") or arm in ("raw-targets", "squared-error")]
assert not any(column[arm] == "below" for column in (direction, identity, attentive) for arm in plain)
replaced = [
    against(arm, "no-ema", metric)[3] for arm in ("no-ema-fast-predictor", "no-ema-more-decay") for metric in PROBES
]
better = [arm for arm in others if direction[arm] == "above"]
assert better == ["momentum-.996", "momentum-.999", "linear-predictor"]
assert [column["linear-predictor"] for column in (direction, identity, attentive)] == ["above", "undecided", "below"]
flat = [
    arm
    for arm in others
    if "above" not in {against(arm, "untrained", f"{kind}_direction")[3] for kind in ("linear", "attentive")}
]
assert flat == ["no-ema-fast-predictor", "no-ema-more-decay", "official-init"]
assert "above" not in replaced
print("verified: above vjepa on motion, by the linear probe:", ", ".join(better))
print("verified: no lead over an untrained encoder on motion is shown, by either probe:", ", ".join(flat))
print("verified: without EMA, neither a fast predictor nor more weight decay is above plain no-ema, by any probe")

# %% [markdown]
# - As long as EMA and stop-gradient are both on, no other momentum, nor raw targets, nor a squared error is shown to hurt. Two constant
#   momenta are a bit better on motion. (*Undecided* isn't *equal*: these bars are wide.)
# - Theory offers a fast predictor or weight decay in place of EMA. Neither is shown to improve on `no-ema` here.
# - The linear predictor is better on motion by the linear probe, worse on identity by the attentive one. We don't know why.
# - The official initialization, made for much wider networks, isn't shown to learn motion here.
#
# ## Which hill does it go down?
#
# Back to the smallest V-JEPA, with the student as its own teacher. The loss is zero if $w = 1$ (right prediction) or $e = 0$ (collapse).
# Training goes along *minus* your gradient. Start close to collapse, at $w = .5$, $e = .1$, with the stop on:


# %%
def update(p, stop_gradient):
    """(w, e) -> the direction it moves in, by your function."""
    w, e = p
    g_w, g_e, _ = arm_gradient(w, e, e, "online", stop_gradient)
    return torch.tensor([-float(g_w), -float(g_e)], dtype=torch.float64)


def walk(w, e, stop_gradient, steps=2500, rate=0.03):
    """Follow the update; all places it comes through."""
    places = [torch.tensor([w, e], dtype=torch.float64)]
    for _ in range(steps):
        places.append(places[-1] + rate * update(places[-1].tolist(), stop_gradient))
    return places


ends = {
    (start, stop): walk(*start, stop)[-1].tolist()
    for start in ((0.5, 1.0), (0.5, 0.1), (2.0, 0.5))
    for stop in (True, False)
}
guess("From w = .5, e = .1, with the stop: where does training end?", "at a right prediction" if abs(ends[(0.5, 0.1), True][1]) > 0.05 else "in collapse",
      choices=["at a right prediction", "in collapse"])  # fmt: skip

# %%
walked_hills()

# %% [markdown]
# Flip the stop. Without it, the push on $e$ is $-(1 - w)^2 e$: always toward collapse. With it, it's $w (1 - w) e$: away from collapse for
# $w$ between 0 and 1, toward it elsewhere. So the stop guarantees nothing. With it, a walk in small steps keeps $e^2 - w^2$ constant: you can
# calculate where it ends.
#
# From close to collapse, the loss rose before it fell. Is this gradient descent on *any* function? If an update is minus the gradient of
# some function, two things hold:
#
# - its **Jacobian**, how each part of the update changes with each parameter, holds second derivatives, so it's symmetric;
# - around a closed loop, all climbing and falling adds up to zero, because you're back at the same height.


# %%
def jacobian(move, p, h=0.01):
    """How each part of move(p) changes with each number in p."""
    p = torch.tensor(p, dtype=torch.float64)
    return torch.stack(
        [(move((p + d).tolist()) - move((p - d).tolist())) / (2 * h) for d in h * torch.eye(len(p))], dim=1
    )


def averaged(p):
    """(w, e, t) -> the direction they move in with stop and EMA, momentum .99."""
    w, e, t = p
    g_w, g_e, _ = arm_gradient(w, e, t, "ema", True)
    return torch.tensor([-float(g_w), -float(g_e), 0.01 * (e - t)], dtype=torch.float64)


turn = torch.linspace(0, 2 * torch.pi, 721, dtype=torch.float64)
loop = torch.stack([0.75 + 0.6 * turn.cos(), 0.75 + 0.6 * turn.sin()], dim=1)  # the gray circle
middles, strides = (loop[1:] + loop[:-1]) / 2, loop.diff(dim=0)
around = {
    stop: sum(float(update(p.tolist(), stop) @ step) for p, step in zip(middles, strides)) for stop in (False, True)
}
tables = {
    "no stop": jacobian(lambda p: update(p, False), [0.5, 1.0]),
    "stop": jacobian(lambda p: update(p, True), [0.5, 1.0]),
    "stop and EMA": jacobian(averaged, [0.5, 1.0, 1.0]),
}
for name, matrix in tables.items():
    print(f"Jacobian, {name}: {[[round(value, 2) + 0.0 for value in row] for row in matrix.tolist()]}")
print(f"once around the circle: {around[False] + 0.0:.3f} without the stop, {around[True]:.3f} with it")

# %% folded=true
# NBVAL_CHECK_OUTPUT
symmetric = {name: bool((matrix - matrix.T).abs().max() < 0.005) for name, matrix in tables.items()}
check(
    "O5b",
    symmetric == {"no stop": True, "stop": False, "stop and EMA": False}
    and abs(around[False]) < 1e-3 < 0.05 < abs(around[True]),
    "the update with stop-gradient isn't any function's gradient: with or without EMA its Jacobian isn't symmetric, and around a "
    "closed loop it doesn't add up to zero",
)
for start, (w, e) in {start: place for (start, stop), place in ends.items() if stop}.items():
    assert abs((e**2 - w**2) - (start[1] ** 2 - start[0] ** 2)) < 0.05
path = [0.5 * float(w * e - e) ** 2 for w, e in walk(0.5, 0.1, True)]
fates = {name: "collapse" if abs(place[1]) < 0.05 else "right" for name, place in ends.items()}
assert (
    list(fates.values()) == ["right", "right", "right", "collapse", "collapse", "collapse"] and max(path) > 5 * path[0]
)
print(
    "verified: from near collapse, the stop leads to a right prediction, and the loss rises before it falls; without it, the walk collapses"
)

# %% [markdown]
# There's a number called loss, and you can print it, but this update isn't the gradient of any function. That's what "no loss is being
# minimized" means, and why stop-gradient and EMA are called **heuristics**: rules that work, for reasons that theory hasn't settled.
#
# ## Finale: features or pixels?
#
# Why predict features at all? The usual argument: much of what pixels show can't be predicted, and needn't be. The test changes only the
# target. (The presets were chosen for `vjepa`.) First, plain clips.

# %%
pixels = {f"{arm} minus pixels": by_probe(arm, "pixels", plan) for arm in ("vjepa", "frozen")}
guess("Plain clips: by how many of the five probes is vjepa above pixels?",
      [found[3] for found in pixels["vjepa minus pixels"].values()].count("above"))  # fmt: skip

# %%
show(verdicts(pixels, "features minus pixels"))

# %% folded=true
# NBVAL_CHECK_OUTPUT
words = [found[3] for found in pixels["vjepa minus pixels"].values()]
check(
    "L1",
    "above" not in words
    and words.count("below") == 3
    and against("pixels", "untrained", "linear_direction", plan)[3] == "above",
    "after 2,600 steps on plain clips pixel targets have taught motion, too, and V-JEPA's features are above theirs by no probe and below by three",
)

# %% [markdown]
# So after 2,600 steps, pixels win. And with `cpu-long`?

# %%
longer = by_probe("vjepa", "pixels", load("plan-today-long"))
show(verdicts({"cpu-long, 7,000 steps": longer}, "vjepa minus pixels"))

# %% folded=true
# NBVAL_CHECK_OUTPUT
above = [probe for probe, found in longer.items() if found[3] == "above"]
assert above == ["direction, linear", "identity, kNN"] and "below" not in [found[3] for found in longer.values()]
print("verified: with cpu-long vjepa is above pixels on direction, linear, and identity, kNN, and below on none")

# %% [markdown]
# Now V-JEPA wins. So far, only the pixels' noise was unpredictable. Add a **nuisance**: a random background, new in every frame. Pixel
# targets are full of it.

# %% folded=true
films = {}
for title, strength in (("no background", 0.0), ("strength 0.25", 0.25), ("strength 0.5", 0.5), ("strength 1", 1.0)):
    rules = ClipRules(background="new" if strength else "none", strength=strength)
    films[title] = displayed(
        DigitClips(PRESETS["cpu"].grid, rules=rules).batch(0, torch.tensor([23]))[0], rules.pixel_scale
    )
words = "The same digit moves in four clips, playing side by side, under a background that changes in every frame and gets stronger from left to right."
play(Film(imagination_film(films, inches=1.7), words, words))

# %%
guess(
    "At strength 0.5, which target teaches most about motion, by the linear probe?",
    choices=["features, vjepa", "features, frozen", "pixels", "no lead is shown"],
)

# %%
recipes = {  # a title, the tail of arms' names -> strength: file
    ("recipes as they are", ""): {0: "plan-today", 0.5: "plan-new", 1: "plan-new-strong"},
    ("recipes tuned at strength 0.5", "-for-new"): {0: "plan-today-tuned", 0.25: "plan-new-quarter", 0.5: "plan-new-tuned"},
}  # fmt: skip
for (title, tail), files in recipes.items():
    found = {}
    for strength, name in files.items():
        results = load(name)
        for arm in ("vjepa", "frozen", "pixels", "untrained") if results else ():
            full = arm if arm == "untrained" else arm + tail
            if full in {"untrained", *results["arms"]}:
                found.setdefault(arm, {})[strength] = list(by_seed(results, full, "linear_direction").values())
    if found:
        show(sweep(found, f"A new background in each frame, {title}", "strength of the background"))

# %%
new = load("plan-new")
noisy = {f"{arm} minus pixels": by_probe(arm, "pixels", new) for arm in ("vjepa", "frozen")}
show(verdicts(noisy, "features minus pixels"))

# %% folded=true
# NBVAL_CHECK_OUTPUT
sides = {arm: [found[3] for found in noisy[f"{arm} minus pixels"].values()] for arm in ("vjepa", "frozen")}
assert sides["vjepa"].count("below") == 3 and "above" not in sides["vjepa"]
assert noisy["frozen minus pixels"]["direction, attentive"][3] == "above"
print(
    "verified: under this noise vjepa is above pixels by no probe and below by three; frozen is above on direction, attentive"
)

# %%
under = {"new background, cpu": new, "new background, cpu-long": load("plan-new-long")}
moving = {preset: by_probe("vjepa", "frozen", results) for preset, results in under.items()}
show(verdicts(moving, "vjepa minus frozen"))

# %% folded=true
# NBVAL_CHECK_OUTPUT
for measured in moving.values():
    said = {probe: found[3] for probe, found in measured.items()}
    assert said["direction, linear"] == said["direction, attentive"] == "below" and "above" not in said.values()
print(
    "verified: under this noise the moving target is below the frozen one on direction, with both presets, and above it on nothing"
)

# %% folded=true
names = {"vjepa": "features, vjepa", "frozen": "features, frozen", "pixels": "pixels"}
leads = [
    name for arm, name in names.items()
    if all(against(arm, other, "linear_direction", new)[3] == "above" for other in {"untrained", *names} - {arm})
]  # fmt: skip
guess.reveal(
    "At strength 0.5, which target teaches most about motion, by the linear probe?", *(leads or ["no lead is shown"])
)
page = (RESULTS / "answers.md").read_text(encoding="utf-8")
answers = {
    n: page.split(f"<!-- h{n}: begin -->\n")[1].split("\n\n|")[0] for n in (1, 2, 3, 8)
}  # what stands above the table
titles = {n: page.split(f"\n## H{n}. ")[1].splitlines()[0] for n in answers}
table("\n\n".join(f"*{titles[n]}*\n\n{said}" for n, said in answers.items()))

# %% [markdown]
# Each question, its seeds and what counts as a yes were written down (`results/plan.md`) before its first run: that's how you keep a result you
# hope for from fooling you. (Two changes: at strength 1 even labels taught little motion, so we stopped after four seeds, against the
# plan, and went on at 0.5. The last question came later.)
#
# ## Break it
#
# Go back to `mine`. Without the stop, momentum .9 leaves the target some spread, more than `no-stopgrad` has at .99. Set it to 0. Does the
# target die now?
#
# <details><summary>What happens</summary>
#
# It lives. At momentum 0 the teacher is overwritten with the student after every step, and what the optimizer did to it is lost. That's a
# stop by another name: you've rebuilt `no-ema`. A gradient only kills a teacher that keeps what it's taught.
# </details>

# %% folded=true
# NBVAL_CHECK_OUTPUT
pair = [
    [loss for _, loss, *_ in train(arm, steps=30)]
    for arm in (CollapsePrevention(stop_gradient=False, momentum=0.0), ARMS["no-ema"])
]
assert pair[0] == pair[1]
if mine == CollapsePrevention(stop_gradient=False, momentum=0.9):  # as it opens
    assert end["mine"][2] > 2 * end["no-stopgrad"][2]
print("verified: at momentum 0, without the stop, the losses are those of no-ema")

# %% [markdown]
# The same switches, in your browser:

# %%
collapse_page("no-stopgrad")

# %% [markdown]
# ## Three questions
#
# <details><summary>1. A paper shows that its method reaches 0.72 and that without EMA it reaches 0.36. What do you ask?</summary>
#
# Over how many seeds, and how large are the differences seed by seed? What do an untrained encoder and a frozen target reach? Both numbers
# are close to ours, and one of our five seeds did as well without EMA.
# </details>
#
# <details><summary>2. Why does the online encoder keep its spread in `no-stopgrad`?</summary>
#
# Once the target is the same for every clip, the predictor can answer without looking, and nothing asks the online encoder for anything
# anymore. (That's likely, not tested.)
# </details>
#
# <details><summary>3. The update is not the gradient of any function. Does that mean that training can't settle?</summary>
#
# No. Every point with $w = 1$ or $e = 0$ is at rest, and your walks ended there. It means that you can't
# argue "the loss falls, so it must end somewhere good".
# </details>

# %%
guess.table()

# %% [markdown]
# **In the package:** `minivjepa/vjepa.py` (the arms), `minivjepa/training/arms.py` (the variants), `minivjepa/evaluation/statistics.py`. **In the papers:** BYOL (arXiv
# 2006.07733), section 5; SimSiam (arXiv 2011.10566), section 4; DirectPred (arXiv 2102.06810). **Next:** 08, the loop.
