# %% [markdown]
# # 09 Throw the predictor away
#
# ![You are here: what the trained encoder knows. The diagram of V-JEPA. In full color: context, online encoder.](attachment:here-09.png)
#
# **At the end you can explain** what is kept of V-JEPA after training, four ways to ask frozen features what they know, what they
# know here and what not, and what must stand beside a probe's score.
#
# *40 minutes, including about 2 minutes of computing. Any laptop.*
# You need: lessons 06 to 08.

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
from sklearn.neighbors import NearestNeighbors

from minivjepa.collapse import feature_std
from minivjepa.course.figures.feature_colors import feature_strip, neighbours_strip, trail
from minivjepa.course.figures.film_strips import HEADINGS, displayed
from minivjepa.course.lesson import check, compare, show, table
from minivjepa.data.digits import CLIPS, DigitClips
from minivjepa.data.protocol import CHANCE, DATA_SEED, FULL, SPLITS
from minivjepa.evaluation.judge import encode_split, evaluation_clips
from minivjepa.evaluation.probes import attentive_accuracy, knn_accuracy, linear_accuracy, linear_r2, standardise
from minivjepa.evaluation.statistics import markdown
from minivjepa.training.config import Config, from_dict
from minivjepa.training.recipe import build_model
from minivjepa.tubelets import patchify

# %% [markdown]
# ## What is kept
#
# Prediction was the exam, not the job. After training, predictor and target encoder are thrown away, and the online encoder is frozen:
# clips in, features out. Here is a stored one, trained with the preset `cpu-long`. It is the first seed of that experiment, whatever
# its numbers; `results/README.md` has all five.

# %%
saved = torch.load(Path("..") / "results" / "encoder.pt", weights_only=True)
stored = json.loads((Path("..") / "results" / "long.json").read_text())
config = from_dict(Config, saved["config"])
print("trained by:", stored["command"], "|", stored["date"], "|", stored["device"], "| this is seed", config.seed)
trained = build_model(config).encoder
trained.load_state_dict(saved["encoder"])
encoders = {"trained": trained.eval(), "untrained": build_model(config).encoder.eval()}
whole = sum(p.numel() for p in build_model(config).parameters())
kept = sum(value.numel() for value in saved["encoder"].values())
[run] = [run for run in stored["arms"]["vjepa"] if run["seed"] == config.seed]
print(f"kept: {kept:,} of {whole:,} parameters, those of one encoder; trained for {run['seconds']:.0f} s on one thread")

# %% [markdown]
# Beside it stands its **untrained** twin: same seed, same size, step 0. Everything that we ask the one, we ask the other.
#
# Both encode the evaluation clips of `protocol.py`: 4,096 for training probes, 1,024 for choosing their settings, 2,048 for testing them, with
# handwriting in each that is in no other.

# %%
grid, cpu = config.grid, torch.device("cpu")
features = {
    name: {split: encode_split(encoder, config, split, FULL, cpu) for split in SPLITS}
    for name, encoder in encoders.items()
}
for split in SPLITS:
    print(f"{split:10} tokens {tuple(features['trained'][split].tokens.shape)}")

# %% [markdown]
# ## Four questions to the same features
#
# - A **linear probe** averages the tokens of a clip, and adds up the averages with one weight each. What it finds is easy to read.
# - **k nearest neighbours** learns nothing: the ten training clips with the nearest averages vote. It asks what features are mostly *about*.
# - An **attentive probe** may first choose which tokens to look at: each of eight learned queries weighs the tokens and takes their mean
#   (lesson 03, with a single row), and a linear layer reads the eight means. Of six settings, the best on validation clips is kept.
# - **Retrieval** shows you the neighbours instead of counting them.
#
# **Predict:** the attentive probe's accuracy for the direction of motion, when it reads no encoder at all but the *raw pixels* of the
# tubelets. Chance is 0.125.

# %%
my_score_of_raw_pixels = None

# %%
scores = {"trained": {}, "untrained": {}}


def simple_probes(name):
    """Linear and nearest-neighbour accuracy on held-out clips."""
    train, test = features[name]["train"], features[name]["test"]
    found = {}
    for task in CHANCE:
        x, y = (train.pooled, getattr(train, task)), (test.pooled, getattr(test, task))
        found[f"{task}, linear"] = linear_accuracy(*x, *y)
        found[f"{task}, kNN"] = knn_accuracy(*x, *y, FULL.neighbours)
    return found


def attentive_probes(name):
    """Accuracy of attentive probes; both tasks are trained together, on the same batches."""
    parts = standardise([features[name][split] for split in SPLITS])
    found = attentive_accuracy(*parts, FULL, config.seed)
    return {f"{task}, attentive": held_out for task, (held_out, _) in found.items()}


for name in features:
    scores[name] |= simple_probes(name)
scores["trained"] |= attentive_probes("trained")

# %%
scores["untrained"] |= attentive_probes("untrained")
pixels = stored["controls"]["raw_pixels"]  # probes of the tubelets themselves, stored with the run
compare("attentive probe, direction, raw pixels", my_score_of_raw_pixels, f"{pixels['attentive_direction']:.2f}")
[frozen] = [run["final"] for run in stored["arms"]["frozen"] if run["seed"] == config.seed]
names = {"linear": "linear", "kNN": "knn", "attentive": "attentive"}  # here, and in the stored results
lines = []
for task in CHANCE:
    for probe, stored_name in names.items():
        ours = [scores[name][f"{task}, {probe}"] for name in ("trained", "untrained")]
        others = [row.get(f"{stored_name}_{task}") for row in (frozen, pixels)]
        cells = ["not stored" if value is None else f"{value:.2f}" for value in (*ours, *others)]
        lines.append([f"{task}, {probe}", *cells, f"{CHANCE[task]:.3f}"])
table(
    markdown(
        ["held-out accuracy", "trained", "untrained", "frozen target, stored", "raw pixels, stored", "chance"], lines
    )
)

# %% folded=true
# NBVAL_CHECK_OUTPUT
gain = {question: scores["trained"][question] - scores["untrained"][question] for question in scores["trained"]}
check("O7a", gain["direction, linear"] > 0.5 and gain["identity, linear"] > 0.2,
      "the predictor is gone, and frozen features serve: a linear probe reads motion and identity far better than from the untrained encoder")  # fmt: skip

# %% [markdown]
# Read it row by row:
#
# - **Direction, linear and kNN**: from next to nothing to nearly everything. Training has made motion easy to read. The frozen target of lesson
#   07 does about as well, so it is training of this *kind* that does it; that the moving target is needed is not shown.
# - **Direction, attentive**: nearly perfect, and so are raw pixels. The untrained encoder is worse than pixels: it hides what they show, and most
#   of what training gains on it only brings that back.
# - **Identity**: better than untrained by every probe, yet the attentive probe reads the digit nearly as well from pixels. This recipe learns
#   motion better than identity.
#
# A probe is a learner too: its score is what *it* can make of what it is given. So beside every score belong the same probe on the
# untrained encoder and on raw pixels, or it says nothing about training. And this is one encoder: what holds over seeds is in
# `results/README.md`.
#
# ## Neighbours
#
# Take a clip, and look for those with the nearest features (standardised and averaged over tokens) among all other test clips. The probes above
# have shown that these are about motion.
#
# **Predict:** of the five nearest, what share shows the same *digit* as the query, for the trained encoder? (By chance, one in ten.)

# %%
my_share_of_the_same_digit = None

# %%
NEAREST = 5


def nearest(name):
    """The indices [B, 1 + 5] of every test clip and of its nearest among all others, and shares that agree."""
    test = features[name]["test"]
    x = (test.pooled - test.pooled.mean(dim=0)) / test.pooled.std(dim=0)
    own = torch.arange(len(x))[:, None]
    ids = (
        NearestNeighbors(n_neighbors=NEAREST).fit(x.numpy()).kneighbors(return_distance=False)
    )  # without the clip itself
    found = torch.cat([own, torch.from_numpy(ids)], dim=1)
    share = {}
    for task in CHANCE:
        labels = getattr(test, task)[found]
        share[task] = float((labels[:, 1:] == labels[:, :1]).float().mean())
    return found, share


found = {name: nearest(name) for name in features}
compare("share of the same digit", my_share_of_the_same_digit, f"{found['trained'][1]['identity']:.2f}")
for name, (_, share) in found.items():
    print(f"  {name:10}", {task: round(value, 2) for task, value in share.items()})
test = features["trained"]["test"]
clips, _ = evaluation_clips(config, "test", cpu).batch(0, torch.arange(FULL.test_clips))
trails = trail(displayed(clips).mean(axis=-1))
labels = [f"{digit} {HEADINGS[way]}" for digit, way in zip(test.identity.tolist(), test.direction.tolist())]
for name, (ids, _) in found.items():
    show(neighbours_strip(trails, labels, ids[:3].numpy(), name))

# %% folded=true
# NBVAL_CHECK_OUTPUT
ours, theirs = (found[name][1] for name in ("trained", "untrained"))
check("O7a retrieval", ours["direction"] > 2 * theirs["direction"] and ours["identity"] > theirs["identity"],
      "nearest clips share their direction more than twice as often as by untrained features, and their digit more often too")  # fmt: skip

# %% [markdown]
# These are the first three clips of the test set, not chosen ones.
#
# ## What the tokens look like
#
# Features have 64 numbers a token. Their first three **principal components** (the directions along which the tokens of this clip
# differ most), drawn as red, green and blue, show which tokens are alike to the encoder.

# %%
frames = (displayed(clips[:1])[0] * 255).astype("uint8")
for name, encoder in encoders.items():
    with torch.no_grad():
        tokens = encoder(clips[:1])[0].unflatten(0, grid.shape)
    show(feature_strip(frames, tokens.numpy(), f"{name} encoder"))

# %% [markdown]
# Pretty, and easy to read too much into: components have no names, another run turns them, and the untrained encoder has a picture too. So ask
# for a number. Does a token say whether the digit is in its tubelet? A linear probe *per token*, for how much ink the tubelet has:

# %%
ink = {}
for name in features:
    parts = {split: features[name][split].tokens[:512].flatten(0, 1) for split in ("train", "test")}
    bright = {}
    for split in parts:
        shown, _ = evaluation_clips(config, split, cpu).batch(0, torch.arange(512))
        bright[split] = patchify(shown, grid).mean(dim=2).flatten()[:, None]  # [clips * tokens, 1]
    ink[name] = linear_r2(parts["train"], bright["train"], parts["test"], bright["test"])
print(
    "share of the variance of a tubelet's brightness that its own token explains:",
    {name: round(value, 2) for name, value in ink.items()},
)

# %% [markdown]
# Both know nearly all of it: how bright a tubelet is stands in its pixels, and training did not have to teach it. What training did teach, which way
# the digit goes, no single token's color shows.
#
# ## Does it carry over?
#
# Handwriting in the test was new already. Now the *speed* too: the encoder has seen 0.7 to 1.5 pixels a frame, and is asked about slower and
# faster clips. Twice: with the probe that was trained at the usual speed, and with one that is trained at the new speed. If only the
# first fails, the features are fine and the *probe* does not carry over.
#
# **Predict:** at twice the speed (1.6 to 3 pixels a frame), the accuracy for direction of the probe from the usual speed, trained encoder?

# %%
my_score_at_twice_the_speed = None

# %%
SPEEDS = {"half the speed": (0.3, 0.65), "as trained": (CLIPS.slowest, CLIPS.fastest), "twice the speed": (1.6, 3.0)}


@torch.no_grad()
def at_speed(name, split, limits, count):
    """Pooled features and directions of new clips at another speed."""
    source = DigitClips(grid, split, DATA_SEED + 9, rules=replace(CLIPS, slowest=limits[0], fastest=limits[1]))
    pooled, ways = [], []
    for index in torch.arange(count).split(128):
        clip, factors = source.batch(0, index)
        pooled.append(encoders[name](clip).mean(dim=1))
        ways.append(factors.direction)
    return torch.cat(pooled), torch.cat(ways)


carried = {}
for name in encoders:
    usual = features[name]["train"].pooled, features[name]["train"].direction
    for speed, limits in SPEEDS.items():
        test = at_speed(name, "test", limits, 1024)
        carried[name, speed] = (
            linear_accuracy(*usual, *test),
            linear_accuracy(*at_speed(name, "train", limits, 2048), *test),
        )
measured = carried["trained", "twice the speed"][0]
compare("direction at twice the speed, probe from the usual speed", my_score_at_twice_the_speed, f"{measured:.2f}")
kinds = ("probe from the usual speed", "probe of its own")
lines = [
    [f"{name}, {kind}", *(f"{carried[name, speed][number]:.2f}" for speed in SPEEDS)]
    for name in encoders
    for number, kind in enumerate(kinds)
]
table(markdown(["direction, linear", *SPEEDS], lines))

# %% folded=true
# NBVAL_CHECK_OUTPUT
best = all(carried["trained", speed][0] > carried["untrained", speed][0] + 0.2 for speed in SPEEDS)
slow = carried["trained", "half the speed"]
print("at every speed the trained encoder is far above the untrained one:", best)
print("at half the speed it loses, even with a probe of its own:", max(slow) < carried["trained", "as trained"][0])
assert best and max(slow) < carried["trained", "as trained"][0]

# %% [markdown]
# Part of what is lost at half the speed comes back with a probe of its own, so that part was the probe's. The rest may be the encoder's, or slow
# motion, a pixel in two frames, may just be harder to see: an encoder that was trained on slow clips would tell.
#
# ## Break it
#
# Divide the features by a thousand, as if they had nearly collapsed, and probe again. Which score changes?
#
# <details><summary>What to expect</summary>
#
# None, by more than rounding. Probes standardise what they get, so they are blind to scale: features a thousand times as small probe alike. That is
# why a table needs the feature std beside its probes (lesson 06).
# </details>

# %%
scale = 1.0  # make this 0.001
train, test = features["trained"]["train"], features["trained"]["test"]
print(round(linear_accuracy(scale * train.pooled, train.direction, scale * test.pooled, test.direction), 3),
      "linear probe, feature std", round(feature_std(scale * test.tokens), 4))  # fmt: skip

# %% [markdown]
# ## Three questions
#
# <details><summary>1. Why is the *online* encoder kept here, and not the target encoder?</summary>
#
# It is a choice. V-JEPA's authors evaluate the target encoder. In the long runs here the two are close, since momentum ends near 1 and the learning rate
# near 0; after the short recipe of lesson 07 the online encoder is ahead on motion. `results/README.md` lists both.
# </details>
#
# <details><summary>2. Your features give 0.9 on a task with an attentive probe. Name three rows that must stand beside it.</summary>
#
# The same probe on the untrained encoder; on raw pixels; and chance. A fourth would be the same encoder trained with labels: the
# ceiling.
# </details>
#
# <details><summary>3. Why must the handwriting of the test be in no training clip?</summary>
#
# Otherwise a probe may recognise an image that it has seen, with its label, rather than the digit. A few hundred images make thousands of clips,
# but they remain a few hundred images.
# </details>
#
# **In the package:** `minivjepa/evaluation/probes.py`, `minivjepa/evaluation/judge.py`, `minivjepa/data/protocol.py`. **In the papers:** V-JEPA (arXiv 2404.08471), section 4.2, on attentive
# probes. **Next:** 10, the released models.
