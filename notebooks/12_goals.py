# %% [markdown]
# # 12 Reaching a goal
#
# ![You are here: planning with the predictor. The diagram of V-JEPA. In full color: prediction, predictor.](attachment:here-12.png)
#
# **At the end you can explain** how frozen features become a world model, how to plan with it toward a goal that's a picture, which
# controls such planning has to beat, and what this course has shown.
#
# *60 minutes, including about 3 minutes of computing. Any laptop.*
# You need: lessons 09 and 11.

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

from minivjepa import randomness
from minivjepa.evaluation.probes import linear_r2
from minivjepa.evaluation.statistics import markdown, mcnemar, paired
from minivjepa.training.config import from_dict
from minivjepa.training.recipe import build_model
from minivjepa.world.action_predictor import action_loss
from minivjepa.world.base_world import displayable
from minivjepa.world.goal_reaching import Task, controls, picture_costs, planning_policy, pursue, replan
from minivjepa.world.inverse_dynamics import Inverse, inverse_error, inverse_policy, train_inverse
from minivjepa.world.planner import CEM, latent_cost, persistent
from minivjepa.world.world_clips import WorldClips
from minivjepa.world.world_recipe import WorldConfig, build_frozen, build_lewm, learning_rate, pretraining
from minivjepa.world.world_trainer import embed_frames
from minivjepa.world.worlds import TASKS
from minivjepa_course.homework.checking import attempt, solution
from minivjepa_course.lesson import check, play, show, table
from minivjepa_course.pictures.goal_maps import distance_maps, planning_rounds, rollout_errors, success_dots, ways
from minivjepa_course.pictures.room_films import robots_in_motion, strips
from minivjepa_course.predictions import Predictions
from minivjepa_course.toys import places, watched_plans
from minivjepa_course.widgets import explore

guess = Predictions()
SEED, cpu, RESULTS = 0, torch.device("cpu"), Path("..") / "results"
saved = torch.load(RESULTS / "world.pt", weights_only=True)
recorded, lewm_config = (from_dict(WorldConfig, saved[name]["config"]) for name in ("vjepa", "lewm"))
config, rooms = replace(recorded, steps=300), recorded.rooms  # fewer steps than in the record
task, planner = Task(), CEM()
starts, goals = task.draw(rooms, cpu)  # 200 pairs of start and goal; the goals of even ones are in the other room

encoder = build_model(pretraining(config)).encoder
encoder.load_state_dict(saved["vjepa"]["encoder"])
vjepa = build_frozen(config, encoder)  # with a predictor that has learned nothing yet
raw = build_frozen(replace(config, model="raw"))  # the same without an encoder
lewm = build_lewm(lewm_config)
lewm.load_state_dict(saved["lewm"]["model"])
lewm.eval().requires_grad_(False)
stored = json.loads((RESULTS / "world_seeds.json").read_text())

# %% [markdown]
# Three robots, one goal: the ring. One acts at random, one walks straight at the goal and slides along walls, one imagines first.

# %%
by_controls = {name: pursue(rooms, task, policy, cpu) for name, policy in controls(rooms, planner, task.seed).items()}
hard = (~by_controls["straight"].reached).nonzero().flatten().tolist()[:10]  # the first that a straight walk misses
pair, some = hard[0], replace(task, pairs=hard[0] + 1)
imagining = pursue(rooms, some, planning_policy(planner, picture_costs(lewm, rooms, 32, 32), task.seed), cpu)


def until_there(path):
    """[T, 2] -> the same without the steps after the robot has stopped."""
    return path[: 1 + max([step for step in range(1, len(path)) if not path[step].equal(path[step - 1])])]


hidden = {"A": by_controls["straight"], "B": imagining, "C": by_controls["random"]}
opening = {name: until_there(run.path[pair]) for name, run in hidden.items()}
play(robots_in_motion(rooms, opening, goals[pair], task.radius, {}))

# %%
guess("Which robot imagines first?", "B", choices=list(hidden))
straight = stored["straight"]["all"]
guess(
    "The straight walk knows the goal's place, but not the walls. Of 200 such goals, what share does it reach? (Half are in the other room.)",
    round(straight["success"], 2),
)

# %% [markdown]
# What are features good for, then? Robot B gets two pictures: where it is, and where it should be. It gets no coordinates and no map. This
# lesson builds it, and then asks what it's worth.
#
# ## A second predictor
#
# V-JEPA's predictor can fill in what's hidden, but it can't tell what happens *if I do this*: it never saw an action. V-JEPA 2-AC (arXiv
# 2506.09985, section 3; AC: action-conditioned) freezes the trained encoder and trains a **new predictor**: from a frame's features and an
# action to the next frame's features. Clips without actions are plentiful, and teach the encoder. The few with actions teach only this
# predictor.
#
# We do the same in lesson 11's two rooms, and load a V-JEPA trained there. A frame's 16 tokens, 1,024 numbers, are cut to their 32 **main
# directions** (PCA): the frame's **latent**. We cut raw pixels in the same way, and give them a predictor too. The loss has two terms:
# predict each next frame from a true one, and imagine three in a row from the first.

# %%
clips, journeys = [], []
for index in torch.arange(4096).split(512):
    clip, journey = WorldClips(config.clips, SEED, world=rooms).batch(0, index)
    clips.append(clip)
    journeys.append(journey)
actions = torch.cat([journey.actions for journey in journeys])  # [4096, 3, 2]


def train(model):
    """Fit the predictor of a frozen world model to its latents of the clips; the latents [clips, T, Z]."""
    with torch.no_grad():
        z = torch.cat([model.embed(clip) for clip in clips])
    optimizer = torch.optim.AdamW(model.predictor.parameters(), lr=config.lr, weight_decay=config.weight_decay)
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(config, step)
        key = randomness.keys("lesson", SEED, step, torch.arange(config.batch))
        chosen = (randomness.uniform(key, 1)[:, 0] * len(z)).long()
        forced, rolled = action_loss(
            model.predictor, z[chosen][:, :, None], actions[chosen], torch.zeros(config.batch, 3, 1), lambda state, action: state, 3
        )  # fmt: skip
        optimizer.zero_grad()
        (forced + rolled).backward()
        optimizer.step()
        if step % 100 == 0 or step == config.steps - 1:
            print(f"step {step:3}: next frame {forced.item():.2f}, three in a row {rolled.item():.2f}")
    model.eval().requires_grad_(False)
    return z


z = train(vjepa)

# %%
raw_z = train(raw)

# %% [markdown]
# Now imagine ten steps in unseen clips, from the *first* frame and ten actions. Which place does an imagined latent mean? Find the most
# similar latent among all training frames, and look where the robot was. Two controls: the robot stays where it was, and
# the predictor gets another clip's actions.

# %%
unseen = WorldClips(replace(config.clips, frames=11), SEED + 1, world=rooms)  # ten moves
test_clips, test = unseen.batch(0, torch.arange(512))
library = z.flatten(0, 1), torch.cat([journey.positions for journey in journeys]).flatten(0, 1)


def where(latents):
    """Latents [..., Z] -> positions [..., 2]: of the training frame with the nearest latent."""
    nearest = torch.cdist(latents.reshape(-1, latents.shape[-1]), library[0]).argmin(dim=1)
    return library[1][nearest].view(*latents.shape[:-1], 2)


first = vjepa.embed(test_clips[:, :, :1])[:, 0]
imagined = {
    "imagined": where(vjepa.imagine(first, test.actions)),
    "with another clip's actions": where(vjepa.imagine(first, test.actions.roll(1, dims=0))),
    "nothing changes": test.positions[:, :1].expand(-1, 10, -1),
}
truth = test.positions[:, 1:]
curves = {name: (path - truth).norm(dim=-1).mean(dim=0).tolist() for name, path in imagined.items()}
guess(
    "The world's side is 1. If nothing changes, the robot's place is off by about a third after ten steps. By how much is it off if imagined?",
    round(curves["imagined"][-1], 2),
)

# %%
show(rollout_errors(curves, task.radius))
begin = test.positions[:4, :1]
drawn = [{"what happened": torch.cat([begin[k], truth[k]]), "imagined": torch.cat([begin[k], imagined["imagined"][k]])} for k in range(4)]  # fmt: skip
show(ways(list(displayable(test_clips[:4, :, 0])), [f"clip {k + 1}" for k in range(4)], drawn))


# %% folded=true
# NBVAL_CHECK_OUTPUT
def share(name, step):
    """R² of the positions after so many imagined steps."""
    missed, all_of_it = imagined[name][:, step - 1] - truth[:, step - 1], truth[:, step - 1]
    return float(1 - missed.square().sum() / (all_of_it - all_of_it.mean(dim=0)).square().sum())


frozen, other, still = (share(name, 5) for name in imagined)
check("O7b actions", frozen > 0.75 and frozen > still + 0.2 and still > other,
      "on frozen features a predictor learns what actions do: after five imagined steps it knows the position far better than 'nothing changes', and another clip's actions lead it astray")  # fmt: skip

# %% [markdown]
# It believes its actions, even wrong ones. That's what planning needs.
#
# ## A goal that is a picture
#
# How far is it to the goal? Put the robot everywhere, and measure the squared distance to the goal's picture: in pixels, in pixels cut to
# main directions, in V-JEPA's latents. The last map is for an **oracle**, which knows the walls. Move the goal:

# %%
SIDE = 32
middle = (torch.arange(SIDE) + 0.5) / SIDE
everywhere = torch.cartesian_prod(middle, middle)
free = ((everywhere - 0.5).abs() <= 0.5 - rooms.robot).all(dim=1)
free &= ~rooms.in_strip(everywhere[:, 1]) | rooms.in_doorway(everywhere[:, 0])
views = {
    "pixels": lambda frames: frames.flatten(1),
    "pixels, main directions": lambda frames: raw.embed(frames[:, :, None])[:, 0],
    "V-JEPA": lambda frames: vjepa.embed(frames[:, :, None])[:, 0],
}
seen = {name: view(rooms.render(everywhere, 32, 32)) for name, view in views.items()}


def landscape(down, right):
    """Maps of the distance to a goal at this place, in percent of the side."""
    goal = rooms.place(torch.tensor([down, right]) / 100)
    picture = rooms.render(goal[None], 32, 32)
    found = {name: (seen[name] - view(picture)).square().mean(dim=1) for name, view in views.items()}
    found["on foot (oracle)"] = rooms.walking_distance(everywhere, goal.expand_as(everywhere))
    return distance_maps({name: values.masked_fill(~free, torch.nan).view(SIDE, SIDE) for name, values in found.items()}, goal, task.radius)  # fmt: skip


explore(landscape, {"down": (0, 100, 10, 20), "right": (0, 100, 10, 80)})

# %% [markdown]
# In pixels the goal is a narrow funnel: it's nearer only where both discs overlap. Main directions widen it, and add hills. Only the
# oracle's slope leads through the door. So look *ahead*: imagine where plans lead, until one gets into the funnel.
#
# ## Write it: `plan_cost` (easy, 5 minutes)
#
# A model has imagined what S plans lead to: `imagined` [S, H, Z], a latent for each of H steps. `goal` [Z] is the goal's latent. A plan costs the
# mean squared difference between the two, **at the step where that's smallest**. (The path through a door may lead away from the goal
# at first, and what comes after arriving doesn't matter.) Return the costs [S].
#
# <details><summary>Hint 1</summary>
#
# `(imagined - goal).square()` is [S, H, Z].
# </details>
#
# <details><summary>Hint 2</summary>
#
# First the mean over Z, then the smallest over H: `.amin(dim=...)`.
# </details>
#
# <details><summary>Hint 3</summary>
#
# `solution("12", "plan_cost")`.
# </details>


# %% exercise="plan_cost"
def plan_cost(imagined, goal):
    """Imagined latents [S, H, Z] and the goal's [Z] -> the squared distance at each plan's nearest step [S]."""
    ### BEGIN SOLUTION
    return (imagined - goal).square().mean(dim=2).amin(dim=1)
    ### END SOLUTION


attempt("12", plan_cost)

# %% [markdown]
# ## Write it: `cem_round` (medium, 10 minutes)
#
# Which ten actions are cheapest? The **cross-entropy method** (CEM) tries 64 plans, keeps the best, and tries again close to those. You write one
# round. You get `plans` [S, H, A], what each `costs` [S], and `noise` [S, H, A], normal random numbers. Return the next plans:
#
# 1. The `elites` cheapest plans are kept. Take their mean and standard deviation (which divides by n - 1), for each step and each number of
#    an action.
# 2. Each new plan is the mean plus the standard deviation times its noise, clipped to -1 to 1.
# 3. The first one is the mean itself: the best guess so far competes.
#
# <details><summary>Hint 1</summary>
#
# `costs.topk(elites, largest=False).indices` or `costs.argsort()[:elites]` finds the cheapest.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `kept.mean(dim=0)`, `kept.std(dim=0)`, `.clamp(-1, 1)`.
# </details>
#
# <details><summary>Hint 3</summary>
#
# `solution("12", "cem_round")`.
# </details>


# %% exercise="cem_round"
def cem_round(plans, costs, noise, elites):
    """Plans [S, H, A], their costs [S], normal numbers [S, H, A] -> the next plans [S, H, A], the mean of the kept ones first."""
    ### BEGIN SOLUTION
    kept = plans[costs.topk(elites, largest=False).indices]
    mean, spread = kept.mean(dim=0), kept.std(dim=0)
    drawn = (mean + spread * noise).clamp(-1, 1)
    drawn[0] = mean
    return drawn
    ### END SOLUTION


attempt("12", cem_round)

# %% [markdown]
# Four of your rounds, from standing still. Paths show where plans really lead; even if none passes the goal, later ones cost less:


# %%
def noise_of(number, moment):
    """Normal numbers [S, H, A] for a pair and a moment."""
    key = randomness.keys("plan", task.seed, moment, torch.tensor([number]))
    return randomness.normal(key, planner.samples * planner.horizon * 2).view(planner.samples, planner.horizon, 2)


def latents(model, spots):
    """Positions [n, 2] -> the latents [n, Z] of their pictures."""
    return model.embed(rooms.render(spots, 32, 32)[:, :, None])[:, 0]


def make_plans(model, now, wanted, means, numbers, step, judge=plan_cost):
    """Latents now and wanted [n, Z], first guesses [n, H, A], for pairs -> plans [n, H, A]; plans and costs of each round."""
    S, first, rounds = planner.samples, step * planner.rounds, []
    far = persistent(torch.stack([noise_of(number, first) for number in numbers]), planner.persistence)
    plans = (means[:, None] + planner.spread * far).clamp(-1, 1)  # [n, S, H, A]; at first, actions in a row are alike
    plans[:, 0] = means
    for round_ in range(1, planner.rounds + 1):
        imagined = model.imagine(now.repeat_interleave(S, dim=0), plans.flatten(0, 1)).unflatten(0, (len(now), S))
        costs = torch.stack([judge(*one) for one in zip(imagined, wanted)])
        rounds.append((plans, costs))
        noise = [noise_of(number, first + round_) for number in numbers]
        plans = torch.stack([cem_round(*one, planner.elites) for one in zip(plans, costs, noise)])
    return plans[:, 0], rounds


standing = torch.zeros(planner.horizon, 2)
ends = latents(vjepa, torch.stack([starts[pair], goals[pair]])).split(1)
[plan], rounds = make_plans(vjepa, *ends, standing[None], [pair], 0)
rounds = [(plans[0], costs[0]) for plans, costs in rounds]
tried = [rooms.walk(starts[pair].expand(len(plans), 2), plans) for plans, _ in rounds]
kept = [paths[costs.topk(planner.elites, largest=False).indices] for paths, (_, costs) in zip(tried, rounds)]
show(planning_rounds(displayable(rooms.render(starts[pair], 64, 64)), goals[pair], list(zip(tried, kept)), task.radius))

# %% folded=true
# NBVAL_CHECK_OUTPUT
same_cost = lambda plans: plan_cost(vjepa.imagine(ends[0].expand(planner.samples, -1), plans[0]), ends[1][0])[None]  # noqa: E731
theirs = replan(replace(planner, rounds=1), same_cost, standing[None], task.seed, 0, torch.tensor([pair]))[0]
assert torch.allclose(latent_cost(vjepa, *ends)(rounds[0][0][None])[0], rounds[0][1], atol=1e-4)
cheapest = [float(costs.min()) for _, costs in rounds]
assert torch.allclose(rounds[1][0][0], theirs, atol=1e-4) and min(cheapest[1:]) < cheapest[0]
print("verified: after a round, your best guess is that of the package's planner; later rounds find cheaper plans")

# %% [markdown]
# Choose your own start and goal. Find a pair that V-JEPA's features miss. Do raw pixels reach it? Does the oracle (*what has to be walked*)?

# %%
spots = rooms.render(places(rooms), 32, 32)[:, :, None]
judges = {"V-JEPA's features": vjepa, "raw pixels, main directions": raw, "LeWorldModel's latents": lewm}
watched_plans(rooms, task.radius, {name: model.embed(spots)[:, 0] for name, model in judges.items()})

# %% [markdown]
# ## Act, look, plan again
#
# Imagination drifts, as you saw. So take only the **first** action, look at the new picture, and plan again, starting from the rest of the
# old plan. That's **model-predictive control**.


# %%
def act(model, numbers, judge=plan_cost):
    """Pursue the goals of pairs -> for each its path [steps + 1, 2], the plan [H, 2] of each step, whether it got there."""
    paths, plans = {number: [starts[number]] for number in numbers}, {number: [] for number in numbers}
    means = dict.fromkeys(numbers, standing)

    def there(number):
        return bool(rooms.line(paths[number][-1], goals[number]) <= task.radius)

    for step in range(task.steps):
        under_way = [number for number in numbers if not there(number)]
        if under_way:
            now = latents(model, torch.stack([paths[number][-1] for number in under_way]))
            guesses = torch.stack([means[number] for number in under_way])
            found, _ = make_plans(model, now, latents(model, goals[under_way]), guesses, under_way, step, judge)
            for number, plan in zip(under_way, found):
                plans[number].append(plan)
                paths[number].append(rooms.move(paths[number][-1], plan[0]))  # the first action
                means[number] = torch.cat([plan[1:], torch.zeros(1, 2)])  # the rest is the next guess
    return {number: (torch.stack(paths[number]), plans[number], there(number)) for number in numbers}


guess("Ten goals that a straight walk misses: how many are reached with V-JEPA's features?")
guess("And with raw pixels, cut to main directions?")

# %%
models = {"V-JEPA, frozen": vjepa, "raw pixels": raw, "LeWorldModel": lewm}
runs = {name: act(model, hard) for name, model in models.items()}
hits = {name: int(run.reached[hard].sum()) for name, run in by_controls.items()}
hits |= {name: sum(there for *_, there in found.values()) for name, found in runs.items()}
guess.reveal("Ten goals that a straight walk misses: how many are reached with V-JEPA's features?", hits["V-JEPA, frozen"])  # fmt: skip
guess.reveal("And with raw pixels, cut to main directions?", hits["raw pixels"])
order = ["random", "straight", "raw pixels", "V-JEPA, frozen", "LeWorldModel", "oracle"]
table(markdown(["", "goals reached, of 10"], [[name, str(hits[name])] for name in order]))

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("O7b", min(hits["V-JEPA, frozen"], hits["LeWorldModel"]) >= 6 and hits["oracle"] == 10 and hits["random"] <= 1,
      "with frozen features or with LeWorldModel, planning in latent space reaches at least 6 of 10 goals that a straight walk misses; the oracle reaches 10, random actions at most 1")  # fmt: skip
assert hits["raw pixels"] >= 5
print("verified: raw pixels, without any encoder, reach at least 5 of them")

# %%
film = {name: runs[name][pair][0] for name in ("V-JEPA, frozen", "raw pixels")}
in_mind = []
for place, plan in zip(film["V-JEPA, frozen"], runs["V-JEPA, frozen"][pair][1]):
    ahead = where(vjepa.imagine(latents(vjepa, place[None]), plan[None]))[0]
    in_mind.append(torch.cat([place[None], ahead]))
play(robots_in_motion(rooms, film, goals[pair], task.radius, {"V-JEPA, frozen": in_mind}))

# %% [markdown]
# *Dashed: what the plan imagines from here.*
#
# ## Planners find your model's mistakes
#
# Of the 200 stored pairs, this LeWorldModel missed a few. Run four again. A plan *promises* to come within some distance of the goal's latent.
# If the robot carried it out, how near would it really get?

# %%
row = next(row for row in stored["models"] if (row["model"], row["seed"]) == ("lewm", lewm_config.seed))
missed = [number for number, there in enumerate(row["reached"]) if not there][:4]
stuck = {number: run for number, run in act(lewm, missed).items() if not run[2]}
library_of_lewm = torch.cat([lewm.embed(clip) for clip in clips]).flatten(0, 1)
promises, lines_of = [], []
for number, (path, plans, _) in stuck.items():
    before, walked = path[-2], rooms.walk(path[-2], plans[-1])
    wanted, now, *real = latents(lewm, torch.cat([goals[[number]], before[None], walked[1:]]))
    dream, real = lewm.imagine(now[None], plans[-1][None])[0], torch.stack(real)
    promises.append([float(plan_cost(part[None], wanted)[0]) for part in (dream, real)])
    dreamt = library[1][torch.cdist(dream, library_of_lewm).argmin(dim=1)]
    lines_of.append({"the path so far": path[:-1], "imagined": torch.cat([before[None], dreamt]), "the same plan, truly": walked})  # fmt: skip
    print(f"pair {number}: promised {promises[-1][0]:.2f}, true {promises[-1][1]:.2f}")
show(ways(list(displayable(rooms.render(starts[list(stuck)], 64, 64))), [f"pair {number}" for number in stuck], lines_of, [goals[number] for number in stuck]))  # fmt: skip

# %% folded=true
# NBVAL_CHECK_OUTPUT
gaps = sorted(real - promised for promised, real in promises)
assert len(gaps) >= 2 and gaps[len(gaps) // 2] > 0.2
print("verified: where LeWorldModel is stuck, its plan promises far more than it would give")

# %% [markdown]
# A planner finds the mistakes that make a plan look cheap. Looking again doesn't help a robot that pushes against a wall, sees the same
# picture, and falls for the same promise.
#
# ## The comparison
#
# Now the stored results: 200 pairs, the same planner, three trainings each. In the first training, V-JEPA reaches more goals than
# the same encoder untrained. **McNemar's test** looks at pairs that only one of the two reaches: would a fair coin split them so unevenly?

# %%
names = {"lewm": "LeWorldModel", "vjepa": "V-JEPA, frozen", "untrained": "untrained, frozen"}
shares = {model: {row["seed"]: row["all"]["success"] for row in stored["models"] if row["model"] == model} for model in names}  # fmt: skip
paths = {(row["model"], row["seed"]): row["reached"] for row in stored["models"]}
first_seed = min(shares["vjepa"])
p = mcnemar(paths["vjepa", first_seed], paths["untrained", first_seed])
print(f"first training: V-JEPA {shares['vjepa'][first_seed]:.3f}, untrained {shares['untrained'][first_seed]:.3f}, p = {p:.1g}")  # fmt: skip
lasting = {(a, b): paired(shares[a], shares[b]) for a, b in (("vjepa", "untrained"), ("lewm", "untrained"), ("lewm", "vjepa"))}  # fmt: skip
guess(
    "And over three trainings, seed by seed: V-JEPA minus untrained is ...",
    lasting["vjepa", "untrained"].answer,
    choices=["above", "equal", "undecided", "below"],
)

# %%
floors = {"random": stored["random"]["all"]["success"], "straight walk": straight["success"], "oracle": stored["oracle"]["all"]["success"]}  # fmt: skip
show(success_dots({names[model]: list(values.values()) for model, values in shares.items()}, floors))
for (a, b), found in lasting.items():
    print(f"{names[a]} minus {names[b]}: {', '.join(f'{value:+.3f}' for value in found.each.values())}: {found.answer}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
beaten = [sum(row["reached"]) > sum(stored["straight"]["reached"]) and mcnemar(row["reached"], stored["straight"]["reached"]) < 0.05 for row in stored["models"]]  # fmt: skip
by_seed = list(lasting["vjepa", "untrained"].each.values())
assert p < 0.05 and [value > 0 for value in by_seed] == [True, False, False]
assert [found.answer for found in lasting.values()] == ["undecided", "above", "undecided"]
assert all(beaten) and len(beaten) == 9 and min(shares["untrained"].values()) >= 0.9
assert all(row["room"]["hits"] == row["room"]["trials"] for row in (*stored["models"], stored["straight"]))
print("verified: within a room, every model reaches every goal, and so does a straight walk")
print("verified: over three trainings, V-JEPA minus untrained is undecided, LeWorldModel minus untrained is above")
print(
    "verified: all nine trainings are ahead of a straight walk, and untrained features reach at least 90 of 100 goals"
)

# %% [markdown]
# V-JEPA is ahead of untrained on the first seed and behind on the other two. McNemar's test covers new pairs, not new trainings.
#
# So in these rooms, planning in latent space beats a straight walk. LeWorldModel is four or five points above untrained features. But
# those already reach nine goals in ten, and raw pixels did well, too: a bright disc on a dark floor looks different everywhere.
#
# ## Among lamps
#
# Now 64 lamps in the floor flicker. Nothing can predict them, and the goal's picture was taken at another moment. Every path leads around
# the wall. Do latents still tell where the robot is? And how bright the lamps are?
#
# LeWorldModel learned its 32 numbers, with actions. The others never saw an action, and are cut to 128 main directions.

# %%
kept = torch.load(RESULTS / "worlds.pt", weights_only=True)
seeing, reading = (from_dict(WorldConfig, kept[name]["config"]) for name in ("vjepa", "lewm"))
lamps, lamps_task = seeing.scene, TASKS[seeing.world]
trained = build_model(pretraining(seeing)).encoder
trained.load_state_dict(kept["vjepa"]["encoder"])
latents_by = {
    "raw pixels": build_frozen(replace(seeing, model="raw")),  # each of the first three is cut to 128 main directions
    "untrained": build_frozen(replace(seeing, model="untrained")),
    "V-JEPA, frozen": build_frozen(seeing, trained),
    "LeWorldModel": build_lewm(reading),
}
latents_by["LeWorldModel"].load_state_dict(kept["lewm"]["model"])
key = randomness.keys("lesson", SEED, 0, torch.arange(3072))
states = lamps.draw(randomness.uniform(key, lamps.numbers))
facts = {"robot": states[:, :2], "lamps": lamps.lamps(states).flatten(1)}
known = {}  # R² of linear probes
for name, model in latents_by.items():
    z_train, z_test = embed_frames(model, lamps.render(states, 32, 32)).split([2048, 1024])
    known[name] = {fact: linear_r2(z_train, y[:2048], z_test, y[2048:]) for fact, y in facts.items()}
pictures = displayable(lamps.render(lamps.walk(states[0], torch.zeros(4, 2)), 64, 64))
show(strips({"lamps": list(pictures)}, ["now", "1 step later", "2", "3", "4"]))
table(markdown(["latents", "robot, R²", "lamps, R²"], [[name, f"{r2['robot']:.2f}", f"{r2['lamps']:.2f}"] for name, r2 in known.items()]))  # fmt: skip

# %% [markdown]
# Act without imagining. **Inverse dynamics** is a small network from two latents, now and the goal, to an action. It learns
# from clips: every later frame is a goal that the robot did reach.

# %%
guess("Whose latents give inverse dynamics the lowest training loss?", choices=list(latents_by))
guess("Whose latents reach the most of 200 goals?", choices=list(latents_by))

# %%
inverse, losses, unseen, by_lamps = Inverse(clips=600, steps=600), {}, {}, {}
grid = replace(seeing.clips, frames=inverse.frames)
its_clips, new_clips = (WorldClips(grid, seeing.seed + k, world=lamps) for k in (0, 1))
by_lamps["straight walk"] = pursue(lamps, lamps_task, controls(lamps, planner, 0)["straight"], cpu)
for name, model in latents_by.items():
    network, losses[name] = train_inverse(model, its_clips, inverse)
    unseen[name] = inverse_error(model, network, new_clips, 200)
    by_lamps[name] = pursue(lamps, lamps_task, inverse_policy(model, network, lamps, 32), cpu)
hits = {name: int(run.reached.sum()) for name, run in by_lamps.items()}
guess.reveal("Whose latents give inverse dynamics the lowest training loss?", min(losses, key=losses.get))
guess.reveal("Whose latents reach the most of 200 goals?", max(hits, key=hits.get))
constant = new_clips.journey(0, torch.arange(200)).actions.var()  # the error of a mean action
scores = [[name, f"{losses[name]:.2f}", f"{unseen[name]:.2f}", str(hits[name])] for name in losses]
scores += [
    ["always the mean action", "", f"{constant:.2f}", ""],
    ["a straight walk", "", "", str(hits["straight walk"])],
]
table(markdown(["latents", "training loss", "loss on unseen clips", "goals reached, of 200"], scores))

# %%
others = torch.stack([run.reached for name, run in by_lamps.items() if name != "LeWorldModel"]).any(dim=0)
first = int((by_lamps["LeWorldModel"].reached & ~others).nonzero()[0])  # a goal that only LeWorldModel reaches
goal = lamps_task.draw(lamps, cpu)[1][first]
walks = {name: until_there(by_lamps[name].path[first]) for name in ("straight walk", "raw pixels", "LeWorldModel")}
play(robots_in_motion(lamps, walks, goal, lamps_task.radius, {}))

# %% folded=true
# NBVAL_CHECK_OUTPUT
lit = {name: r2["lamps"] for name, r2 in known.items()}
assert min(r2["robot"] for r2 in known.values()) > 0.75 and lit.pop("LeWorldModel") < 0.2 and min(lit.values()) > 0.8
print("verified: every latent tells where the robot is; all but LeWorldModel's tell how bright the lamps are, too")
most = hits.pop("LeWorldModel")
assert max(losses, key=losses.get) == "LeWorldModel" and most >= 1.5 * max(hits.values())
assert unseen.pop("LeWorldModel") < 0.85 * constant and min(unseen.values()) > 0.95 * constant
print(
    "verified: LeWorldModel's latents have the highest training loss, and reach 1.5 times as many goals as any other's"
)
print("verified: on unseen clips, no other latents beat the mean action by more than 5 percent")

# %% [markdown]
# By its training loss, the best one is the worst. Lamps make every picture different, so a network can memorize its clips by them. On unseen
# clips, only LeWorldModel's latents beat a constant answer: they've dropped the lamps.
#
# A guess: its loss trains the target too, so latents that are easy to predict cost less, and nothing predicts a lamp. Unchecked, that
# force is collapse (06); SIGReg holds against it. V-JEPA's stop-gradient cuts it off. With SIGReg instead, V-JEPA keeps little of
# lamps or robot. Without actions, LeWorldModel drops the lamps and, once, the robot (`docs/worlds.md`).
#
# Stored results, with inverse dynamics trained longer, and a pixel-target encoder:

# %%
names = {
    "raw, 128": "raw pixels",
    "untrained, 128": "untrained",
    "pixel-target, 128": "pixel target",
    "vjepa, default": "V-JEPA, frozen",
    "lewm": "LeWorldModel",
}
worlds = json.loads((RESULTS / "worlds.json").read_text())
rows = {(row["encoder"], row["seed"]): row for row in worlds["rows"] if (row["world"], row["planner"]) == ("rooms-lamps", "inverse dynamics")}  # fmt: skip
shares = {encoder: {seed: row["success"] for (name, seed), row in rows.items() if name == encoder} for encoder in names}
floors = {row["planner"]: row["success"] for row in worlds["floors"] if row["world"] == "rooms-lamps" and row["planner"] != "random"}  # fmt: skip
show(success_dots({name: list(shares[encoder].values()) for encoder, name in names.items()}, floors))
for a, b in (
    ("lewm", "raw, 128"),
    ("vjepa, default", "raw, 128"),
    ("vjepa, default", "untrained, 128"),
    ("vjepa, default", "pixel-target, 128"),
):
    each = [
        (shares[a][seed] - shares[b][seed], mcnemar(rows[a, seed]["reached"], rows[b, seed]["reached"]))
        for seed in shares[a]
    ]
    print(f"{names[a]} minus {names[b]}: {', '.join(f'{gain:+.2f} (p = {p:.1g})' for gain, p in each)}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
behind = [
    (seed, encoder) for seed in shares["lewm"] for encoder in names if shares["lewm"][seed] < shares[encoder][seed]
]
assert not behind and len(shares["lewm"]) == 3
assert all(mcnemar(rows["lewm", seed]["reached"], rows[encoder, seed]["reached"]) < 0.001 for seed in shares["lewm"] for encoder in names if encoder != "lewm")  # fmt: skip
print("verified: in each of three trainings, LeWorldModel's latents reach more goals than any other's (p below .001)")

# %% [markdown]
# ## Break it
#
# Judge a plan by its **last** step instead. Here are five goals in the robot's own room. How many steps does it take then? (At 25 it gives up.)


# %%
def last_step(imagined, goal):
    """Only where a plan ends counts."""
    return (imagined[:, -1] - goal).square().mean(dim=1)


judge = last_step  # change this: plan_cost
near = list(range(1, 10, 2))  # pairs in the same room
for name, counts in (("the nearest step", plan_cost), ("yours", judge)):
    print(f"judged by {name}: steps to the goal {[len(plans) for _, plans, _ in act(lewm, near, counts).values()]}")

# %% [markdown]
# <details><summary>What happens</summary>
#
# The robots dawdle, and some never arrive: nothing rewards arriving early. A plan gets there in ten steps, the robot takes one of them, and the
# next plan may take ten again.
# </details>
#
# ## Three questions
#
# <details><summary>1. What would happen to the encoder if the action loss could train it too, with nothing else in the loss?</summary>
#
# It would collapse: if all frames have the same latent, the next one is easy to predict. LeWorldModel trains its encoder by such a loss, and
# needs SIGReg (lesson 11).
# </details>
#
# <details><summary>2. Why take only the first action, when the plan has ten?</summary>
#
# It's the only one planned from a true picture. The others rest on imagined frames, each a bit further off.
# </details>
#
# <details><summary>3. Somebody shows you a robot that reaches nearly all goals with features of a large pretrained encoder. What do you ask?</summary>
#
# What do a straight walk, raw pixels and an untrained encoder reach, on the same pairs with the same planner? How many trainings are behind
# each number? Which goals does it miss?
# </details>

# %%
guess.table()

# %% [markdown]
# ## The end of the course
#
# What you can say now, and where you saw it:
#
# - **What prevents collapse?** In our runs, the stop-gradient. With an EMA but no stop, the target collapses (07). A loss term prevents it, too,
#   if its weight is right (11).
# - **What does predicting features buy?** On plain clips, V-JEPA loses to pixel targets in short runs and beats them with
#   `cpu-long`; under a background new in every frame it loses (07). Among lamps, no lead is shown (12).
# - **What does the moving target add?** In short runs, no clear lead over a frozen one. With `cpu-long`, identity and motion are easier to read
#   from plain clips, and motion harder under such a background (07).
# - **What are features good for?** Probes and neighbors find motion in them (09). A predictor on them can plan, but in plain rooms V-JEPA shows
#   no lead over an untrained encoder. Among lamps, LeWorldModel's latents drop the noise and reach the most goals. V-JEPA's keep it, and beat
#   untrained features only by inverse dynamics, raw pixels never (`docs/worlds.md`).
# - **What's open?** Why LeWorldModel drops the lamps, and all of this on real video. V-JEPA 2's models are thousands of times as
#   large, and saw over a million hours. A toy can show how things fail, and how to notice.
#
# **In the package:** `minivjepa/world/` (`action_predictor.py`, `frozen_model.py`, `planner.py`, `goal_reaching.py`). **In the papers:** V-JEPA 2
# (arXiv 2506.09985), section 3; PlaNet (arXiv 1811.04551), for CEM; LeWorldModel (arXiv 2603.19312).
# **Next:** your own arm, in `CONTRIBUTING.md`, or your own video, with `minivjepa train --data`.
