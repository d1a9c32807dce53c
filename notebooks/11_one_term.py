# %% [markdown]
# # 11 One term instead of three tricks
#
# ![You are here: doing without the teacher. The diagram of V-JEPA. In full color: EMA, stop, target encoder.](attachment:here-11.png)
#
# **At the end you can explain** what LeWorldModel has in place of V-JEPA's safeguards, what SIGReg computes, when its push is too weak, and
# what its guarantee doesn't cover.
#
# *45 minutes, including about a minute of computing. Any laptop.*
# You need: lessons 05 to 07.

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
import json
from dataclasses import replace
from pathlib import Path

import ipywidgets
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from sklearn.neighbors import KNeighborsRegressor

import minivjepa.objective as package
from minivjepa.collapse import COLLAPSED, WARNING, feature_std
from minivjepa.evaluation.probes import linear_r2
from minivjepa.evaluation.statistics import markdown, paired
from minivjepa.tubelets import Grid
from minivjepa.world.base_world import displayable
from minivjepa.world.le_world_model import LeWorldModel
from minivjepa.world.world_clips import WorldClips
from minivjepa.world.world_recipe import WorldConfig, build_lewm
from minivjepa.world.world_trainer import train_lewm
from minivjepa_course.homework.checking import attempt, solution
from minivjepa_course.lesson import Live, check, play, show, table
from minivjepa_course.pictures.clouds import by_angle, clouds_pushed, folding, seed_dots, shadow, strength, tug
from minivjepa_course.pictures.collapse_kinds import loss_and_spread
from minivjepa_course.pictures.room_films import strips
from minivjepa_course.predictions import Predictions
from minivjepa_course.widgets import explore

guess = Predictions()
generator = torch.Generator().manual_seed(3)
n = 256
along, across = torch.randn(n, 1, generator=generator), torch.randint(0, 2, (n, 1), generator=generator) * 2.0 - 1
turn = 2 * torch.pi * torch.rand(n, generator=generator)
normal = torch.randn(n, 2, generator=generator)
clouds = {
    "knot": 0.5 + 0.01 * torch.randn(n, 2, generator=generator),
    "line": along * torch.ones(2),
    "ring": 2**0.5 * torch.stack([turn.cos(), turn.sin()], dim=1),
    "cross": along * torch.cat([torch.ones(n, 1), across], dim=1),
    "corners": torch.randint(0, 2, (n, 2), generator=generator) * 2.0 - 1,
    "normal": normal,
}
PULLS = {
    "none": lambda z: 0 * z.sum(),
    "squared": lambda z: (z - z.mean(dim=0)).square().sum(dim=1).mean(),
    "absolute": lambda z: (z - z.mean(dim=0)).norm(dim=1).mean(),
}


def random_directions(width, count=256):
    """Random columns [width, count] of length 1, drawn anew at every call, as in training."""
    return F.normalize(torch.randn(count, width, generator=generator), dim=1).T


def push(term, cloud, steps=200, weight=1.0, pull="none", every=5):
    """Let points [n, 2] go downhill on weight * term + a pull toward their middle; yields steps and clouds."""
    rate = 0.3 / (weight + 0.05)  # steps that neither force can overshoot with
    for step in range(steps + 1):
        if step % every == 0:
            yield step, cloud
        cloud = cloud.clone().requires_grad_(True)
        loss = weight * term(cloud, random_directions(2, 8)) + PULLS[pull](cloud)
        cloud = (cloud - rate * torch.autograd.grad(loss, cloud)[0]).detach()


# %% [markdown]
# Six clouds of points obey one rule: go downhill on a number called **SIGReg**.

# %%
# moved a little at random, so that points in the same place can part
jittered = {name: cloud + 0.01 * torch.randn(n, 2, generator=generator) for name, cloud in clouds.items()}
paths = {name: list(push(package.sigreg, cloud, steps=300, every=2)) for name, cloud in jittered.items()}
play(clouds_pushed({name: path[:10] + path[10:150:7] + path[150:] for name, path in paths.items()}))

# %% [markdown]
# All six are pushed toward the standard **normal** cloud: mean 0 and standard deviation 1 in every direction. (Cross and corners still
# show: SIGReg doesn't see finer detail.)
#
# Now let each point be what an encoder makes of one picture, and add this number to its loss. Can its features still collapse?
# **LeWorldModel** (arXiv 2603.19312) bets that they can't: it has no target encoder, no stop-gradient and no mask. Does the bet
# hold?
#
# ## Variance and covariance aren't enough
#
# VICReg (arXiv 2105.04906) has simpler wishes: every feature number should have a standard deviation of at least 1 (*variance* term), and no
# two should vary together (*covariance* term). A term is near 0 when its wish is met.

# %%
terms = {name: [float(term) for term in package.vicreg_terms(cloud[:, None])] for name, cloud in clouds.items()}
passed = [name for name, values in terms.items() if max(values) < 0.1]
guess("For how many of the six clouds, as they start, are both terms below 0.1?", len(passed))

# %%
rows = [[name, f"{variance:.2f}", f"{covariance:.2f}"] for name, (variance, covariance) in terms.items()]
table(markdown(["cloud", "variance term", "covariance term"], rows))

# %% [markdown]
# Ring, cross and corners pass, though they look nothing like the normal cloud.
#
# ## Shadows
#
# Project a cloud onto an arrow, and each point becomes one number. That's the cloud's **shadow**. From here, the cross looks normal. Turn
# the arrow until it doesn't:

# %%
explore(
    lambda cloud, angle: shadow(cloud, clouds[cloud], angle),
    {"cloud": ["cross", "line", "ring", "corners", "knot", "normal"], "angle": (0, 180, 5, 90)},
)

# %% [markdown]
# A normal cloud has a normal shadow along every arrow. The reverse is a theorem (Cramér and Wold, 1936): **if all shadows are normal, so is
# the cloud.** You never have to look at all dimensions at once.
#
# And how do you judge a shadow? If its numbers x are normal, then for every t the mean of $\cos(tx)$ is $e^{-t^2/2}$, and the mean of
# $\sin(tx)$ is 0: the gray curves on the right. Epps and Pulley (1983) add up the squared gaps.
#
# ## Write it: `epps_pulley` (medium, 8 minutes)
#
# You get one shadow, `x` [n]. Take 33 values of t from -3 to 3. At each, square the mean cosine's gap to $e^{-t^2/2}$, and add the
# squared mean sine. Multiply by the weight, again $e^{-t^2/2}$, integrate over t with the trapezoid rule, and multiply by n.
#
# <details><summary>Hint 1</summary>
#
# `torch.linspace(-3, 3, 33)` gives all t. `x[:, None] * t` has a row for each point and a column for each t.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.trapezoid(y, t)` integrates. `torch.exp(-(t**2) / 2)` is both what the cosine should be and the weight.
# </details>
#
# <details><summary>Hint 3</summary>
#
# In a new cell: `solution("11", "epps_pulley")`.
# </details>


# %% exercise="epps_pulley"
def epps_pulley(x):
    """One shadow x [n] -> how far it is from normal: n times the weighted integral of the squared gaps, a tensor of shape []."""
    ### BEGIN SOLUTION
    t = torch.linspace(-3, 3, 33)
    wanted = torch.exp(-(t**2) / 2)
    angle = x[:, None] * t  # [n, 33]
    gap = (angle.cos().mean(dim=0) - wanted) ** 2 + angle.sin().mean(dim=0) ** 2
    return len(x) * torch.trapezoid(wanted * gap, t)
    ### END SOLUTION


attempt("11", epps_pulley)

# %% [markdown]
# Your function along arrows at all angles:

# %%
angles = list(range(0, 181, 5))
arrows = torch.deg2rad(torch.tensor(angles, dtype=torch.float32))
arrows = torch.stack([arrows.cos(), arrows.sin()])  # [2, angles]
seen = {name: [float(epps_pulley(cloud @ arrow)) for arrow in arrows.T] for name, cloud in clouds.items()}
show(by_angle(angles, seen))

# %% [markdown]
# Line and cross hide at 90 degrees. Only the normal cloud is low at every angle.
#
# ## Write it: `sigreg` (easy, 5 minutes)
#
# In many dimensions you can't try all arrows, so draw some at random, new ones at each training step. You get a cloud `z` [n, D] and
# `directions` [D, A], whose columns have length 1. Return the mean of `epps_pulley` over the A shadows.
#
# <details><summary>Hint 1</summary>
#
# `z @ directions` is [n, A]: each column is a shadow. A loop over `.T` goes through columns.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `torch.stack(list_of_values).mean()` keeps gradients, `.item()` loses them.
# </details>
#
# <details><summary>Hint 3</summary>
#
# `solution("11", "sigreg")`.
# </details>


# %% exercise="sigreg"
def sigreg(z, directions):
    """A cloud z [n, D] and A directions [D, A] -> the mean of epps_pulley over its A shadows, a tensor of shape []."""
    ### BEGIN SOLUTION
    return torch.stack([epps_pulley(x) for x in (z @ directions).T]).mean()
    ### END SOLUTION


attempt("11", sigreg)

# %%
directions = random_directions(2, 64)
values = {name: float(sigreg(cloud, directions)) for name, cloud in clouds.items()}
print("  ".join(f"{name} {value:.1f}" for name, value in values.items()))

# %%
counts = (32, 128, 512)
draws = {count: torch.randn(400, count, 2, generator=generator) for count in counts}
means = {count: float(package.sigreg(drawn, random_directions(2, 64))) for count, drawn in draws.items()}
still = {count: float(sigreg(torch.zeros(count, 2), directions)) for count in counts}
guess("SIGReg of 128 points that are drawn from the normal distribution, on average?", round(means[128], 2))

# %%
for count in counts:
    print(f"{count:4} points: drawn from the normal distribution {means[count]:.2f}, all at 0 {still[count]:.1f}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
same = all(abs(values[name] / float(package.sigreg(cloud, directions)) - 1) < 1e-3 for name, cloud in clouds.items())
flat = all(abs(means[count] - 1.05) < 0.15 for count in counts)
grows = all(abs(still[count] / count - 0.40) < 0.01 for count in counts)
assert same and flat and grows
assert [name for name, value in values.items() if value < 4] == ["normal"]
assert passed == ["ring", "cross", "corners", "normal"]
rest = {name: float(package.sigreg(path[-1][1], random_directions(2))) for name, path in paths.items()}
assert max(rest.values()) < 0.5 and max(seen["normal"]) < 4 < min(
    max(series) for series in seen.values() if series is not seen["normal"]
)
print(
    "verified: your SIGReg is the package's; of the six clouds only the normal one scores below 4, and after the push all do"
)
print("verified: normal points score about 1, however many; points that are all at 0 score two fifths of their number")

# %% [markdown]
# Chance never draws a perfectly normal cloud, and the factor n keeps its share at about 1. What's really wrong with a cloud counts n times.
# LeJEPA (arXiv 2511.08544), where SIGReg comes from, and LeWorldModel have this factor; other code doesn't, so SIGReg's weight in the loss,
# **lambda**, means something different there.
#
# ## Does the push vanish at collapse?
#
# Training feels SIGReg's gradient. Shrink a normal cloud, ever closer to collapse. How hard is it pushed back?

# %%
spreads = torch.logspace(-3, 1, 81).tolist()
many_directions = random_directions(2, 32)
centered = (normal - normal.mean(dim=0)) / normal.std(dim=0, correction=0)


def gradient_norm(term, spread):
    """Length of a term's gradient at a round cloud with this standard deviation."""
    z = (spread * centered).requires_grad_(True)
    return float(torch.autograd.grad(term(z), z)[0].norm())


def by_sigreg(z):
    """Your SIGReg along the same directions each time."""
    return sigreg(z, many_directions)


half, hundredth = (gradient_norm(by_sigreg, spread) for spread in (0.5, 0.01))
guess(
    "Compared with one at half its proper width, a cloud at a hundredth is pushed ...",
    "20 times less" if 15 < half / hundredth < 25 else "something else",
    choices=["20 times harder", "about as hard", "20 times less"],
)

# %%
norms = {
    "SIGReg": [gradient_norm(by_sigreg, spread) for spread in spreads],
    "(1 - std)²": [gradient_norm(lambda z: (1 - z.std(dim=0)).square().mean(), s) for s in spreads],
}
show(strength(spreads, norms))

# %% [markdown]
# It vanishes: near collapse, the push is proportional to the spread. VISReg (arXiv 2606.02572) criticizes that, and uses a term whose push
# stays: the orange one. And if no spread is left at all?

# %%
*_, (_, last) = push(sigreg, torch.full((n, 2), 0.5), steps=20)
together = bool(feature_std(last[:, None]) < 1e-5)
guess(
    "All points start in exactly the same place. What does SIGReg do to them?",
    "they move, but stay together" if together else "they spread",
    choices=["they spread", "they move, but stay together", "nothing"],
)

# %% [markdown]
# Equal points get equal gradients. But otherwise a weak push is enough, unless something pulls harder. Let an error pull the points to their
# middle, as a prediction error would. If it's *squared*, its pull vanishes just as fast, and the ratio stays:

# %%
near = [gradient_norm(PULLS["squared"], spread) / gradient_norm(by_sigreg, spread) for spread in (0.001, 0.01, 0.1)]
threshold = near[0]
print("pull / push at std .001, .01, .1:", ", ".join(f"{ratio:.5f}" for ratio in near))
print(f"so with lambda above {threshold:.4f} the push wins, no matter how small the cloud is")

# %% [markdown]
# Move lambda through that threshold. Then set it to 0.03 and the error to `absolute`: first with a tiny cloud, then with a wide one.

# %%
starts = {"tiny": 0.01 * centered, "wide": 1.0 * centered}
inside = [spread for spread in spreads if spread < 0.95]
outward = [gradient_norm(by_sigreg, spread) for spread in inside]
inward = {error: [gradient_norm(PULLS[error], spread) for spread in inside] for error in ("squared", "absolute")}


def tug_of_war(weight, start, error, steps):
    """Where a cloud ends that an error pulls together, and SIGReg with this weight pushes apart."""
    forces = {"SIGReg pushes": [weight * force for force in outward], "the error pulls": inward[error]}
    path = list(push(sigreg, starts[start], steps, weight, error, every=10))
    return tug(path, inside, forces, f"lambda {weight:.4f}, {error} error, {start} start")


lambdas = ipywidgets.FloatLogSlider(value=0.01, min=-4, max=1, step=0.5, description="lambda", continuous_update=False)
controls = {"weight": lambdas, "start": ["tiny", "wide"], "error": ["squared", "absolute"], "steps": (0, 200, 50, 200)}
explore(tug_of_war, controls)


# %% folded=true
# NBVAL_CHECK_OUTPUT
def ends(weight, error):
    """Spread at the end, from either start."""
    return [feature_std(list(push(sigreg, cloud, 200, weight, error))[-1][1][:, None]) for cloud in starts.values()]


weak, strong, stronger = (ends(weight, "squared") for weight in (threshold / 2, 10 * threshold, 100 * threshold))
tiny, wide = ends(0.03, "absolute")
assert gradient_norm(by_sigreg, 0.001) / gradient_norm(by_sigreg, 0.01) < 0.11 and max(near[:2]) / min(near[:2]) < 1.01
assert together and max(weak) < 0.05 and min(strong) > 0.5 and max(strong) - min(strong) < 0.05
assert min(stronger) > max(strong) and tiny < 0.02 and wide > 0.7
print("verified: near collapse, a tenth of the spread means a tenth of the push; equal points stay equal")
print(
    "verified: under a squared error, half the threshold collapses both clouds; ten times it spreads both out equally"
)
print("verified: under an absolute error and lambda .03, the tiny cloud stays tiny and the wide one stays wide")

# %% [markdown]
# An absolute error pulls equally hard at any spread (lesson 06), so a cloud that's small enough never gets away. V-JEPA's error is absolute,
# LeWorldModel's squared.
#
# ## A world with a robot in it
#
# LeWorldModel learns from clips in which something acts. Here, a robot drives through two rooms with a door between them. Each step has an
# **action**: how fast to go down and how fast to go right, from -1 to 1. Walls stop it.

# %%
grid = Grid(frames=4, height=32, width=32, tubelet=1, patch=8)
clips, journey = WorldClips(grid).batch(step=0, index=torch.arange(64))
frames = displayable(clips[1].transpose(0, 1))
moves = ["start", *(f"down {y:+.1f}\nright {x:+.1f}" for y, x in journey.actions[1].tolist())]
show(strips({"a clip": frames}, moves))

# %% [markdown]
# An encoder turns each frame into tokens; a small network, the **projector**, turns their mean into the frame's **latent**, 32 numbers. (In the
# projector, *BatchNorm* rescales each number by its mean and spread over the batch.) From latents and actions so far, a predictor guesses the
# next latent. The loss is the sum of two terms:

# %%
print(inspect.getsource(LeWorldModel.losses))

# %% [markdown]
# One encoder makes both guess and target, and nothing is detached. Does the gradient reach latents that are only targets?

# %%
config = WorldConfig(steps=200, batch=48, lr=2e-3, log_every=25, checkpoint_every=200)
model = build_lewm(config)
z = model.embed(clips)  # [B, T, Z]
z.retain_grad()
F.mse_loss(model.predictor(z[:, :-1], journey.actions), z[:, 1:]).backward()
print(f"gradient into the latents of the last frames: {z.grad[:, -1].norm():.4f}")
free_target = bool(z.grad[:, -1].norm() > 0)

# %% [markdown]
# It does, as in lesson 07's arm `neither`.
#
# ## The collapse test
#
# Train with the default lambda, and with 0.

# %%
guess("What happens with lambda 0?", choices=["it learns", "it collapses"])
guess("Which run ends with the lower prediction error?", choices=["lambda 0.1", "lambda 0"])

# %%
histories, trained = {}, {}


def train(name, weight):
    """A LeWorldModel with this lambda, its curves drawn while it trains."""
    board, rows = Live(), []

    def at_every_step(step, row):
        if row is not None and step >= 50:  # before, BatchNorm's averages still remember where they began
            rows.append((step, row["loss"], row["feature_std"]))
            board.show(loss_and_spread(histories | {name: rows}, until=config.steps))

    trained[name] = train_lewm(replace(config, weight=weight), at_every_step)
    histories[name] = rows


train("lambda 0.1", 0.1)

# %%
train("lambda 0", 0.0)

# %%
with_it, without = trained
fallen = trained[without]["feature_std"] / max(std for _, _, std in histories[without])
fate = "it collapses" if trained[without]["feature_std"] < WARNING and fallen < 0.2 else "it learns"
guess.reveal("What happens with lambda 0?", fate)
guess.reveal(
    "Which run ends with the lower prediction error?", min(trained, key=lambda name: trained[name]["first_loss"])
)
for name, end in trained.items():
    print(
        f"  {name:10} prediction error {end['first_loss']:.4f}, feature std {end['feature_std']:.3f}, "
        f"effective rank {end['effective_rank']:.1f}, position R² {end['position_r2']:.2f}"
    )

# %% [markdown]
# The dead run has the lower error: the lie of lesson 06. Its effective rank is even *higher*: rank doesn't see size. **Position R²** asks a
# linear probe where the robot is: 1 is perfect, 0 no better than always guessing the middle. (A probe rescales, so it reads something even
# from a tiny cloud.)
#
# ## Three seeds
#
# Stored runs, each with one change. The words are lesson 07's verdicts: they compare a row's R² with the default's, seed by seed.

# %%
stored = json.loads((Path("..") / "results" / "world_ablation.json").read_text())
print(stored["command"], "|", stored["date"], "| torch", stored["versions"]["torch"], "| seeds", stored["seeds"])


def rows_of(kind, **where):
    """Stored runs of a kind, one per seed, in which these columns have these values."""
    return [row for row in stored[kind] if all(row[column] == value for column, value in where.items())]


def both(rows):
    """Feature std, of the encoder or its target, whichever is smaller, and position R² by seed."""
    smaller = [min(row["feature_std"], row.get("target_feature_std", 9)) for row in rows]
    return smaller, [row["position_r2"] for row in rows]


def answer(mine, others):
    """In a word, how one run's values compare with another's, paired by seed."""
    return paired(dict(zip(stored["seeds"], mine)), dict(zip(stored["seeds"], others))).answer


order = dict.fromkeys(["untrained", *(row["name"] for row in stored["variants"])])
variants = {name: both(rows_of("variants", name=name)) for name in order}
answers = {name: answer(r2, variants["default"][1]) for name, (_, r2) in variants.items() if name != "default"}
show(seed_dots({"LeWorldModel": variants}, {"LeWorldModel": answers}, "the default's"))

# %% folded=true
# NBVAL_CHECK_OUTPUT
stds, scores = ({name: values[column] for name, values in variants.items()} for column in (0, 1))
check("O8", free_target and fate == "it collapses" and trained[with_it]["feature_std"] > 0.5
      and max(stds["lambda 0, four times the steps"]) < COLLAPSED and max(stds["lambda 0"]) < 0.2 * min(stds["untrained"]) and min(stds["default"]) > 0.5,
      "one encoder, no stop-gradient, no mask: with SIGReg it does not collapse, here and on three stored seeds; with lambda 0 it does, on every one")  # fmt: skip
check("O8 knows", answers["lambda 0"] == answers["untrained"] == "below" and min(scores["default"]) > 0.9,
      "and with SIGReg its latents know where the robot is: on three stored seeds, more than without it, and more than an untrained model's")  # fmt: skip
assert max(stds["lambda 0, four times the steps"]) < min(stds["lambda 0"])
print("verified: with lambda 0, four times the steps make feature std smaller, on every seed")
losses = {name: [row["loss"] for row in rows_of("variants", name=name)] for name in ("lambda .001", "default")}
by_answer = {word: [name for name in answers if answers[name] == word] for word in ("equal", "undecided", "below")}
assert sum(map(len, by_answer.values())) == len(answers)
assert by_answer["equal"] == ["32 directions"] and by_answer["undecided"] == ["4 directions", "no BatchNorm"]
assert all(max(scores[name]) < min(scores["default"]) for name in by_answer["undecided"])
assert min(map(min, (stds["4 directions"], stds["no BatchNorm"], stds["lambda .01"]))) > 0.5
assert max(stds["lambda .001"]) < WARNING and max(losses["lambda .001"]) < min(losses["default"]) / 10
print(
    "verified: beside the default's R², 32 directions are equal, four directions and no BatchNorm undecided, all others below"
)

# %% [markdown]
# At our scale, the bet holds: **one term prevents collapse without the tricks.** It leaves choices:
#
# - **lambda** must be in the right range, not exact. At a hundredth of the default, latents shrink as with 0; at a tenth, they stay
#   spread out but know less; at ten times, they know a little less.
# - **Directions**: 32 do as well as 256. Even four, new at every step, keep latents spread out.
# - **BatchNorm**: without it, all seeds read worse, but by such different amounts that it's undecided.
#
# ## And under V-JEPA?
#
# V-JEPA on clips of the rooms, with its safeguards taken away, without SIGReg and with it. The std is the student's or its target's, whichever
# is smaller. (Frames look alike, so even untrained features spread little.)

# %%
arms = list(dict.fromkeys(row["name"] for row in stored["heuristics"]))
untrained = both(rows_of("untrained"))
groups = {
    f"lambda {weight:g}": {name: both(rows_of("heuristics", name=name, weight=weight)) for name in arms}
    for weight in (0.0, 0.1)
}
gains = {label: {name: answer(r2, untrained[1]) for name, (_, r2) in rows.items()} for label, rows in groups.items()}
show(seed_dots({"untrained": {"untrained": untrained}, **groups}, {"untrained": {}, **gains}, "an untrained encoder's"))

# %% folded=true
# NBVAL_CHECK_OUTPUT
bare, helped = groups.values()
assert max(bare["none of them"][0]) < COLLAPSED and all(max(std) < WARNING for std, _ in bare.values())
assert [name for name in arms if min(helped[name][0]) > WARNING] == ["all three", "without EMA", "without mask"]
assert sum(std < WARNING for std in helped["none of them"][0]) == 1
stopless = [rows_of("heuristics", name="without stop-gradient", weight=weight) for weight in (0.0, 0.1)]
assert all(row["target_feature_std"] < 0.2 * min(untrained[0]) for rows in stopless for row in rows)
assert min(row["feature_std"] for row in stopless[1]) > 0.5
assert [set(rows.values()) for rows in gains.values()] == [{"undecided"}, {"below"}]
print(
    "verified: with none of the safeguards and lambda 0 it collapses on every seed; with SIGReg it is spread out on all but one"
)
print("verified: without stop-gradient, SIGReg spreads the student out, and its target shrinks as without SIGReg")
print(
    "verified: no arm without SIGReg is shown to be above or below an untrained encoder, and every student with it is below"
)

# %% [markdown]
# Without SIGReg, no arm is shown to beat an untrained encoder, not even V-JEPA with all three. With it, the student's tokens spread out, yet know *less* than
# before the first step. SIGReg doesn't see the target, which still shrinks without the stop. And with no other safeguard it failed on one seed of
# three. Three suspects, untested: every *token* has to be normal here, though most show only floor; 16 clips a step make SIGReg a third as
# strong as 48 do; and V-JEPA's error is absolute.
#
# ## A loss you can read?
#
# V-JEPA's loss doesn't tell you how training goes. LeJEPA claims that with SIGReg it does. We trained 20 LeWorldModels with random sizes,
# learning rates, weight decays and lengths, each with lambda 0.1 and 0.

# %%
ranked = {weight: stored["spearman"][weight] for weight in ("0.1", "0.0")}
guess(
    "With lambda 0.1, how well does a low loss rank the runs by position R²? (1 is perfect, 0 is no better than chance)",
    round(ranked["0.1"][0], 2),
)

# %% [markdown]
# ![Position R² over the training loss, one dot per run. With SIGReg, the dots fall in a line from top to bottom; without it, they are scattered](../results/world_ranking.png)
#
# *Position R² over the loss at the end, one dot per run.*

# %% folded=true
# NBVAL_CHECK_OUTPUT
assert len(stored["ranking"]) == 40 and ranked["0.1"][1] > 0.5 and ranked["0.0"][1] < 0 < ranked["0.0"][2]
print("verified: with SIGReg the rank correlation's interval is above one half; without it, the interval contains 0")

# %% [markdown]
# So the claim holds here, at a *fixed* lambda: with lambda .001, the loss is less than a tenth of the default's, and the model is dead.
#
# ## What's guaranteed, and what isn't
#
# If *all* shadows are normal, nothing has collapsed. No trick of V-JEPA's guarantees as much. But a training step sees 256 directions and 48
# points. Take normal points. Of their 32 dimensions, some are *dead*: always 0.

# %%
width, batch = config.latent, config.batch
noticed = {}
for dead in (0, 4, 8, 16):
    points = torch.randn(256, batch, width, generator=generator)
    points[..., width - dead :] = 0
    noticed[dead] = [float(package.sigreg(z, random_directions(width))) for z in (points, points.view(4, -1, width))]
heads = ["dead of 32", f"SIGReg, {batch} points", f"SIGReg, {64 * batch} points"]
table(markdown(heads, [[str(dead), *(f"{value:.2f}" for value in values)] for dead, values in noticed.items()]))

# %% [markdown]
# On one batch, four dead dimensions hardly show.
#
# Nor is it guaranteed that latents *know* anything: noise is perfectly normal. Knowledge has to come from the prediction error, and the two
# can clash. The robot's place is two numbers, so its latents lie on a two-dimensional *sheet* in 32 dimensions, which isn't a normal cloud. But
# folded finely enough, it looks like one. Let each latent number be a cosine of the place, with ever more waves across the world:

# %%
waves = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
places = torch.rand(3072, 2, generator=generator)
lines, shifts = random_directions(2, width), 2 * torch.pi * torch.rand(width, generator=generator)
scores = {"linear probe, R²": [], "nearest neighbor, R²": [], "distances, rank correlation": []}
folded_terms = []
for count in waves:
    sheet = 2**0.5 * torch.cos(2 * torch.pi * count * places @ lines + shifts)  # [places, Z]
    folded_terms.append(float(package.sigreg(sheet.view(-1, batch, width), random_directions(width))))
    (x, y), (place_x, place_y) = sheet.split((2048, 1024)), places.split((2048, 1024))
    between = [(cloud[:1536] - cloud[1536:]).norm(dim=1) for cloud in (sheet, places)]
    nearest = KNeighborsRegressor(1).fit(x, place_x).score(y, place_y)
    measured = (linear_r2(x, place_x, y, place_y), nearest, float(spearmanr(*between).statistic))
    for series, value in zip(scores.values(), measured):
        series.append(value)
probe = scores["linear probe, R²"]
for question, series in (("SIGReg", folded_terms), ("what a linear probe reads of the place", probe)):
    guess(
        f"With ever more waves, {question} ...",
        "falls" if series[-1] < series[0] else "rises",
        choices=["falls", "rises"],
    )

# %%
show(folding(waves, folded_terms, scores, width))

# %% folded=true
# NBVAL_CHECK_OUTPUT
nearest, distances = scores["nearest neighbor, R²"], scores["distances, rank correlation"]
assert probe[0] > 0.99 and distances[0] > 0.9 and folded_terms[0] > 10
assert folded_terms[-1] < 2 and probe[-1] < 0.05 and distances[-1] < 0.2 and min(nearest) > 0.9
assert (
    noticed[4][0] < 1.2 * noticed[0][0] and noticed[16][0] > 1.5 * noticed[0][0] and noticed[4][1] > 2 * noticed[0][1]
)
ranks = [[row["effective_rank"] for row in rows_of("variants", name=name)] for name in ("lambda 1", "default")]
assert answer(*ranks) == "above" and answers["lambda 1"] == "below" and max(ranks[1]) < width / 2
print(
    "verified: a finely folded sheet passes SIGReg, while a linear probe reads nothing from it and a nearest neighbor everything"
)
print(
    "verified: ten times the default lambda means a higher effective rank and a lower R² of the position, on three seeds"
)

# %% [markdown]
# The place is still there: a nearest neighbor finds it. But a linear probe doesn't, and distances, by which lesson 12 plans, mean little.
# LeWorldModel's authors report that in two rooms like ours it does worse than its rivals, and suspect the world's few dimensions.
# Here the default lambda is a compromise: effective rank stays below half of 32. Ten times as much raises it, and costs a little R².
#
# ## Break it
#
# A world model for 100 steps. Try `weight=0.01`, `batchnorm=False`, `directions=1` or `weight=10`.

# %%
mine = replace(config, steps=100, weight=0.1, directions=256, batchnorm=True)  # change this
last = train_lewm(mine)
print(f"feature std {last['feature_std']:.3f}, position R² {last['position_r2']:.2f}")

# %% [markdown]
# <details><summary>What happens</summary>
#
# None of them collapses, but from each a probe reads less than from the default. `weight=10` spreads latents out most.
# </details>
#
# ## Three questions
#
# <details><summary>1. Why does SIGReg draw new directions at every step?</summary>
#
# A few that stay the same leave the others free, and the encoder can collapse where you don't look.
# </details>
#
# <details><summary>2. Why does LeWorldModel need no stop-gradient?</summary>
#
# A stop keeps the target from coming to meet the prediction. Here it may, but losing spread costs more than it gains if lambda is large
# enough.
# </details>
#
# <details><summary>3. A colleague's SIGReg has no factor n. Her lambda is 10, her batches have 100 clips. Which lambda is that here?</summary>
#
# 0.1: our term is n times hers, so lambda is n times smaller.
# </details>

# %%
guess.table()

# %% [markdown]
# **In the package:** `minivjepa/objective.py` (`sigreg`), `minivjepa/world/le_world_model.py`, `results/README.md` (all stored runs).
# **In the papers:** LeJEPA, section 4; LeWorldModel, whose published model differs in more than size (`docs/fidelity.md`). **Next:** 12, what
# such a model is for.
