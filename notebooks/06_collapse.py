# %% [markdown]
# # 06 Collapse
#
# **At the end you can explain** why a network that says the same about everything is a perfect answer to V-JEPA's loss, what
# three kinds of collapse look like in numbers, which numbers lie, and why gradients do not help.
#
# *40 minutes, about 1 of them for the computer. Any laptop.*
# You need: lesson 05.

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

# %%
import json
from dataclasses import replace
from pathlib import Path

import torch

from minivjepa.collapse import feature_std, token_metrics
from minivjepa.course.figures.collapse_kinds import kinds_of_collapse, loss_and_spread
from minivjepa.course.lesson import check, compare, show
from minivjepa.data.digits import DigitClips
from minivjepa.data.protocol import CHANCE, Budget
from minivjepa.evaluation.judge import encode_split
from minivjepa.evaluation.probes import linear_accuracy
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_model, parameter_groups, sample_masks
from minivjepa.vjepa import ARMS

config = PRESETS["tiny"]
source = DigitClips(config.grid)
clips, _ = source.batch(step=0, index=torch.arange(64))
masks = sample_masks(config, step=0, index=torch.arange(64))

# %% [markdown]
# ## The perfect useless network
#
# You need no training for a loss of zero. Two edits of an untrained V-JEPA do it: let the encoder's last layer ignore its
# input and always say the same vector, and let the predictor always say that vector, normalised.
#
# **Predict:** under squared error, is that still a perfect answer? (`"yes"` or `"no"`)

# %%
my_guess_about_squared_error = None

# %%


def useless(kind):
    """An untrained model, edited to say the same about everything."""
    model = build_model(replace(config, loss=kind))
    same = torch.randn(config.dim, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for encoder in (model.encoder, model.target_encoder):
            encoder.norm.weight.zero_()  # whatever comes in ...
            encoder.norm.bias.copy_(same)  # ... this goes out
        model.predictor.leave.weight.zero_()
        model.predictor.leave.bias.copy_(model.normalised(same))
    return model


losses = {kind: float(useless(kind)(clips, masks)) for kind in ("l1", "l2")}
compare("a perfect answer under squared error", my_guess_about_squared_error, "yes" if losses["l2"] < 1e-6 else "no")
print("  losses:", {kind: round(loss, 6) for kind, loss in losses.items()})

# %% [markdown]
# What do its features know? A **linear probe** is the standard question: freeze the encoder, average its tokens, and let a
# linear classifier try to read something from them, on clips and handwriting that it has not seen. Eight directions of
# motion: guessing gives 1 in 8. Ten digits: 1 in 10.

# %%
budget = Budget(train_clips=1024, validation_clips=16, test_clips=512)


def linear_probes(encoder):
    """Task -> held-out accuracy of a linear probe."""
    train, test = (
        encode_split(encoder.eval(), config, split, budget, torch.device("cpu")) for split in ("train", "test")
    )
    return {
        task: linear_accuracy(train.pooled, getattr(train, task), test.pooled, getattr(test, task))
        for task in ("direction", "identity")
    }


scores = linear_probes(useless("l1").encoder)
print({task: round(score, 3) for task, score in scores.items()}, "chance:", CHANCE)

# %% folded=true
# NBVAL_CHECK_OUTPUT
at_chance = all(abs(scores[task] - CHANCE[task]) < 0.05 for task in scores)
check("O2", max(losses.values()) < 1e-6 and at_chance,
      "a network that says the same about everything has loss 0, with squared error too, and probes read nothing from it")  # fmt: skip

# %% [markdown]
# ## Train into it
#
# Nobody edits weights like that. But an optimiser looks for a low loss and does not care how it gets there. Train without
# EMA and without stop-gradient (the arm `neither`), under both losses, and beside them a healthy V-JEPA. It takes a few
# seconds each.
#
# **Predict:** of the two runs under L1, which ends with the lower loss? (`"vjepa"` or `"neither"`)

# %%
my_guess_for_the_lower_loss = None

# %%


def train(arm, kind="l1", steps=400):
    """The tiny model under one arm; returns it with rows of (step, loss, feature std)."""
    run = replace(config, prevention=ARMS[arm], loss=kind)
    model, rows = build_model(run), []
    optimiser = torch.optim.AdamW(parameter_groups(model, run), lr=2e-3)
    for step in range(steps):
        batch, _ = source.batch(step, torch.arange(16))
        loss = model(batch, sample_masks(run, step, torch.arange(16)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.update_target(0.99)
        if step % 20 == 0 or step == steps - 1:
            with torch.no_grad():
                rows.append((step, loss.item(), feature_std(model.encoder(clips))))
    return model, rows


runs = {"vjepa": train("vjepa"), "neither, L1": train("neither"), "neither, squared": train("neither", "l2")}
histories = {name: rows for name, (_, rows) in runs.items()}
compare(
    "lower loss under L1",
    my_guess_for_the_lower_loss,
    min(("vjepa", "neither, L1"), key=lambda name: histories[name][-1][1]).split(",")[0],
)
for name, rows in histories.items():
    print(f"  {name:16} loss fell to 1 / {rows[0][1] / rows[-1][1]:.0f} of what it was")
show(loss_and_spread(histories))

# %% [markdown]
# Both unprotected runs find it by themselves, within moments. (Squared errors are another unit: compare how far they fell, not the
# values.) And look at the left panel as somebody would who does not know the right one: losses that fall and fall, smoothly.
# They look like the best runs.
#
# The same in the large: two arms of the ablation in `results/`, 2,600 steps each, several seeds. Loaded, not run here. The other arms are
# lesson 07's; the check below counts them in.

# %%
stored = json.loads((Path("..") / "results" / "matrix.json").read_text())
print(stored["command"], "|", stored["date"], "|", stored["device"], "| torch", stored["versions"]["torch"])
finals = {arm: [run["final"]["loss"] for run in each] for arm, each in stored["arms"].items()}
print("  means over seeds at the end     loss   feature std: online, target")
for arm in ("vjepa", "neither"):
    values = finals[arm]
    ends = [run["final"] for run in stored["arms"][arm]]
    stds = [[end["feature_std"] for end in ends], [(end["target"] or end)["feature_std"] for end in ends]]
    print(f"  {arm:24} {sum(values) / len(values):11.4f}   {'  '.join(f'{sum(std) / len(std):11.4f}' for std in stds)}")
healthy = [[row["loss"] for row in run["history"] if row["step"] > 0] for run in stored["arms"]["vjepa"]]
rises = [max(loss[loss.index(min(loss)) :]) > 1.1 * min(loss) for loss in healthy]
print(f"  vjepa's loss falls and then rises again by a tenth or more in {sum(rises)} of {len(rises)} runs")

# %% folded=true
# NBVAL_CHECK_OUTPUT
small = histories["neither, L1"][-1][1] < 0.1 * histories["vjepa"][-1][1]
large = max(finals["neither"]) < min(min(values) for arm, values in finals.items() if arm != "neither")
check(
    "O6",
    small and large,
    "a falling loss does not mean learning: the lowest loss belongs to the run without safeguards, here and in the stored ablation",
)

# %% [markdown]
# (You may read that a healthy run's loss falls and then rises again, because its targets grow richer. It can; the last line above
# counts how often it did here.)
#
# ## But bad features should mean a high loss?
#
# That is the intuition: garbage features, bad predictions, high loss, so the gradient improves the encoder. It holds only
# while the *targets* carry information. Two measurements: the size of the gradient that reaches the encoder, and the loss when
# the predictor gets the context of **another** clip. Where what is in the clip matters, the wrong clip must cost something.
#
# **Predict:** for the run `neither, L1`, by how many per cent does the loss grow with the wrong clip? (0 means not at all.)

# %%
my_percentage_with_the_wrong_clip = None

# %%


def loss_with(model, context_of):
    """Loss of predicting each clip's hidden features from the context of the clip that `context_of` names."""
    [(context, target)] = masks
    h = model.normalised(model.targets(clips))
    z = model.encoder(clips[context_of], context)
    return (
        (model.predictor(z, context, target) - h.gather(1, target[..., None].expand(-1, -1, h.shape[2]))).abs().mean()
    )


def measure(model):
    """(gradient norm into the encoder, loss with the own clip, loss with another clip)."""
    model.zero_grad()
    loss_with(model, torch.arange(64)).backward()
    norm = torch.cat([p.grad.flatten() for p in model.encoder.parameters()]).norm().item()
    with torch.no_grad():
        return norm, loss_with(model, torch.arange(64)).item(), loss_with(model, torch.arange(64).roll(1)).item()


table = {
    "untrained": measure(build_model(config)),
    "vjepa": measure(runs["vjepa"][0]),
    "built by hand": measure(useless("l1")),
    "neither, L1": measure(runs["neither, L1"][0]),
}
growth = {name: 100 * (other - own) / max(own, 1e-6) for name, (_, own, other) in table.items()}
compare(
    "per cent more loss with the wrong clip, neither under L1",
    my_percentage_with_the_wrong_clip,
    f"{growth['neither, L1']:.0f}",
)
for name, (norm, own, other) in table.items():
    print(f"  {name:14} gradient into the encoder {norm:6.3f}, loss {own:.3f}, with another clip's context {other:.3f}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
by_hand = table["built by hand"]
check("O9", by_hand[0] < 1e-6 and by_hand[1] == by_hand[2] and growth["vjepa"] > 30 and abs(growth["neither, L1"]) < 10,
      "a healthy V-JEPA loses much when it is given the wrong clip; collapsed networks lose nothing, so nothing in the clip is worth learning")  # fmt: skip

# %% [markdown]
# The network built by hand is at the bottom: loss zero, no gradient. The one that collapsed by training still has a gradient, and
# not a small one: an absolute difference has the same slope however close it is to zero. But there is nothing to be gained by
# looking at the clip: with the wrong one, the loss is the same. So it is not the size of the gradient that fails. It is what
# the gradient could be about.
#
# ## Three kinds of collapse
#
# Features can die in more than one way. Here are four sets of features made by hand, for 320 clips of 8 tokens with 24
# numbers each:
#
# - **complete**: every clip and every token gets the same vector (a little noise remains);
# - **dimensional**: clips differ, but only along two directions of 24;
# - **content-free**: tokens differ by their place, and not by the clip.
#
# *Effective rank* asks along about how many directions clips are spread: average each clip's tokens, subtract the mean over all
# clips, and see how evenly what is left is spread; size does not count. 24 is the most.
#
# **Predict:** which of these three reach at least nine tenths of the healthy rank? Write a list such as `["dimensional"]`.

# %%
my_list_of_those_with_a_high_rank = None

# %%
torch.manual_seed(0)
B, N, D = 320, config.grid.tokens, 24
noise = 0.001 * torch.randn(B, N, D)
made = {
    "healthy": torch.randn(B, 1, D) + 0.5 * torch.randn(B, N, D),
    "complete": torch.randn(D) + noise,
    "dimensional": torch.randn(B, N, 2) @ torch.randn(2, D) / 2**0.5,
    "content-free": torch.randn(1, N, D) + noise,
}
numbers = {name: token_metrics(h) for name, h in made.items()}
ranks = {name: numbers[name]["effective_rank"] for name in made}
high = [name for name in made if name != "healthy" and ranks[name] > 0.9 * ranks["healthy"]]
compare("at least nine tenths of the healthy rank", my_list_of_those_with_a_high_rank, high)
print({name: round(rank, 1) for name, rank in ranks.items()})
show(kinds_of_collapse(made))

# %% folded=true
# NBVAL_CHECK_OUTPUT
low = {
    name: [
        metric
        for metric in ("feature_std", "position_std", "effective_rank")
        if numbers[name][metric] < 0.25 * numbers["healthy"][metric]
    ]
    for name in made
}
for name, metrics in low.items():
    print(f"{name}: far below healthy in", ", ".join(metrics).replace("position_std", "within-clip std") or "nothing")
assert low == {
    "healthy": [],
    "complete": ["feature_std", "position_std"],
    "dimensional": ["effective_rank"],
    "content-free": ["feature_std"],
}

# %% [markdown]
# So no single number sees all three:
#
# - **feature std**, across clips at a fixed place, sees complete and content-free collapse. Read it first.
# - **effective rank** sees dimensional collapse, and is fooled by the other two: it ignores scale, so what little noise is
#   left looks rich: subtract the mean, and only noise remains, which fills all directions. A dead network can score *higher*
#   than a live one.
# - **within-clip std** is fooled by content-free collapse: tokens differ, only not because of what is in the clip.
#
# The package logs them all, for both encoders, and prints an early warning when feature std falls below 0.1 (it starts near 0.8).
#
# ## Break it
#
# Make the noise of the complete collapse a thousand times smaller. Which numbers change, and which do not? (`rankme` is the
# effective rank without subtracting the mean.)
#
# <details><summary>What to expect</summary>
#
# The two standard deviations become a thousand times smaller. Effective rank stays near 24, as if nothing had happened, and
# `rankme` near 1: it sees one direction, the vector that all clips share.
# </details>

# %%
quieter = torch.randn(D) + 1e-3 * torch.randn(B, N, D)  # make this noise smaller
print({name: round(value, 6) for name, value in token_metrics(quieter).items()})

# %% [markdown]
# ## Three questions
#
# <details><summary>1. Your loss went to 0.001 in the first hundred steps. What do you look at before you celebrate?</summary>
#
# The feature std across clips, of the online and of the target encoder. If it is near zero, you have the network of the first
# section.
# </details>
#
# <details><summary>2. Why does normalising the targets (lesson 05) not prevent this?</summary>
#
# It fixes the scale of each vector, not whether vectors of different clips differ. One vector, normalised, is still one vector.
# </details>
#
# <details><summary>3. Could a collapsed network recover if training went on?</summary>
#
# There is nothing to pull it out: the wrong clip costs nothing, so looking at the clip gains nothing. The gradient need not be small
# for that, as the table showed.
# </details>
#
# **In the package:** `minivjepa/collapse.py`, `minivjepa/evaluation/probes.py`. **In the papers:** VICReg (arXiv 2105.04906) on kinds of collapse; RankMe
# (arXiv 2210.02885) on ranks. **Next:** 07, which switch prevents it.
