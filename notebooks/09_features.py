# %% [markdown]
# # 09 Throw the predictor away
#
# **At the end you can explain** what is kept of V-JEPA after training, four ways to ask frozen features what they know, what they
# know here and what they do not, and why a probe's score alone says nothing.
#
# *40 minutes, about 2 of them for the computer. Any laptop.*
# You need: lessons 06 to 08.

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
from dataclasses import replace
from pathlib import Path

import torch
from sklearn.neighbors import NearestNeighbors

from minivjepa.config import Config, from_dict
from minivjepa.data.digits import DigitClips
from minivjepa.evaluation import encode_split, evaluation_clips
from minivjepa.figures.clips import HEADINGS, displayed
from minivjepa.figures.features import feature_strip, neighbours_strip
from minivjepa.lesson import check, compare, show, table
from minivjepa.probes import attentive_accuracy, knn_accuracy, linear_accuracy, standardise
from minivjepa.protocol import CHANCE, CLIPS, DATA_SEED, FULL, SPLITS
from minivjepa.recipe import build_model
from minivjepa.tables import markdown

# %% [markdown]
# ## What is kept
#
# Prediction was the exam, not the job. After training, predictor and target encoder are thrown away, and the online encoder is frozen:
# clips in, features out. Here is one from the shelf, five minutes of training with the preset `cpu-long`. It is the first
# seed of that run in `results/`, not the best; `results/README.md` has all five.

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
print(f"kept: {kept:,} of {whole:,} parameters, those of one encoder")

# %% [markdown]
# Beside it stands its **untrained** twin: same seed, same size, step 0. Everything that we ask the one, we ask the other.
#
# Both encode the evaluation clips of `protocol.py`: 4,096 for training probes, 1,024 for choosing their settings, 2,048 for testing them, with
# handwriting in each that is in no other.

# %%
grid, cpu = config.grid, torch.device("cpu")
features = {
    name: {split: encode_split(encoder, grid, split, FULL, cpu) for split in SPLITS}
    for name, encoder in encoders.items()
}
for split in SPLITS:
    print(f"{split:10} tokens {tuple(features['trained'][split].tokens.shape)}")

# %% [markdown]
# ## Four questions to the same features
#
# - A **linear probe** averages the tokens of a clip and draws flat borders between the averages. What it finds is lying open.
# - **k nearest neighbours** draws nothing: the ten nearest training clips vote. What it finds is what features hold *closest*.
# - An **attentive probe** may first choose which tokens to look at, by one learned query (as in lesson 03, with a single row). It
#   finds more, also in features that have learned nothing.
# - **Retrieval** shows you the neighbours instead of counting them.
#
# **Predict:** the attentive probe's accuracy for the direction of motion, on the *untrained* encoder. Chance is 0.125.

# %%
my_score_of_an_untrained_encoder = None

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
compare(
    "attentive probe, direction, untrained",
    my_score_of_an_untrained_encoder,
    f"{scores['untrained']['direction, attentive']:.2f}",
)
pixels = stored["controls"]["raw_pixels"]  # probes of the tubelets themselves, stored with the run
named = {"linear": "linear", "attentive": "attentive", "kNN": "knn"}
lines = []
for question in sorted(scores["trained"]):
    task, probe = question.split(", ")
    raw = pixels.get(f"{named[probe]}_{task}")
    values = [scores["trained"][question], scores["untrained"][question]]
    lines.append(
        [question, *(f"{value:.2f}" for value in values), "" if raw is None else f"{raw:.2f}", f"{CHANCE[task]:.3f}"]
    )
table(markdown(["held-out accuracy", "trained", "untrained", "raw pixels, stored", "chance"], lines))

# %%
# NBVAL_CHECK_OUTPUT
gain = {question: scores["trained"][question] - scores["untrained"][question] for question in scores["trained"]}
check("O7a", gain["direction, linear"] > 0.5 and gain["identity, linear"] > 0.2 and gain["identity, attentive"] > 0.1,
      "the predictor is gone, and frozen features serve: motion and identity are read far better than from the untrained encoder")  # fmt: skip

# %% [markdown]
# Read it row by row:
#
# - **Motion, linear**: from next to nothing to nearly everything. Training laid it open.
# - **Motion, attentive**: high everywhere, even untrained, even on raw pixels. A number such as 0.97 would look fine in an abstract, and it
#   says *nothing* about training.
# - **Identity**: better than untrained by every probe, yet the attentive probe reads the digit nearly as well from pixels. To predict where
#   something goes you need to know little of what it is. This recipe learns motion better than identity, and says so.
#
# **Why a probe without its untrained row says nothing:** a probe is a learner too. Its score is what *it* can make of the features. Only
# the difference to the same probe on features that never learned belongs to the training.
#
# ## Neighbours
#
# Take a clip, and look for those with the nearest features (standardised and averaged over tokens) among 2,048 others.
#
# **Predict:** of the five nearest, what share moves in the query's direction, for the trained encoder? (By chance, one in eight.)

# %%
my_share_of_the_same_direction = None

# %%
NEAREST = 5


def nearest(name):
    """The indices [B, 1 + 5] of every test clip and of its nearest among all others, and shares that agree."""
    test = features[name]["test"]
    x = (test.pooled - test.pooled.mean(dim=0)) / test.pooled.std(dim=0)
    own, ids = (
        torch.arange(len(x))[:, None],
        NearestNeighbors(n_neighbors=NEAREST).fit(x.numpy()).kneighbors(return_distance=False),
    )
    found = torch.cat([own, torch.from_numpy(ids)], dim=1)
    share = {}
    for task in CHANCE:
        labels = getattr(test, task)[found]
        share[task] = float((labels[:, 1:] == labels[:, :1]).float().mean())
    return found, share


found = {name: nearest(name) for name in features}
compare("share of the same direction", my_share_of_the_same_direction, f"{found['trained'][1]['direction']:.2f}")
for name, (_, share) in found.items():
    print(f"  {name:10}", {task: round(value, 2) for task, value in share.items()})
test = features["trained"]["test"]
clips, _ = evaluation_clips(grid, "test", cpu).batch(0, torch.arange(FULL.test_clips))
trails = displayed(clips).max(axis=1)  # all frames laid over each other
labels = [f"{digit} {HEADINGS[way]}" for digit, way in zip(test.identity.tolist(), test.direction.tolist())]
for name, (ids, _) in found.items():
    show(neighbours_strip(trails, labels, ids[:3].numpy(), name))

# %%
# NBVAL_CHECK_OUTPUT
ours, theirs = (found[name][1] for name in ("trained", "untrained"))
check("O7a retrieval", ours["direction"] > 2 * theirs["direction"] and ours["identity"] > theirs["identity"],
      "nearest clips share their direction more than twice as often as by untrained features, and their digit more often too")  # fmt: skip

# %% [markdown]
# The first three clips of the test set are shown, not chosen ones.
#
# ## What the tokens look like
#
# Features have 64 numbers a token. Their first three **principal components** (the directions along which the tokens of this clip
# differ most) drawn as red, green and blue show which tokens are alike to the encoder.

# %%
frames = (displayed(clips[:1])[0] * 255).astype("uint8")
for name, encoder in encoders.items():
    with torch.no_grad():
        tokens = encoder(clips[:1])[0].unflatten(0, grid.shape)
    print(name)
    show(feature_strip(frames, tokens.numpy()))

# %% [markdown]
# Do not read too much into colours: components have no names, another run turns them, and the untrained encoder has a picture too.
# What you can check is whether the digit's tokens stand out from the background's.
#
# ## Does it carry over?
#
# Handwriting in the test was new already. Now the *speed* too: probes are trained on clips with the usual 0.7 to 1.5 pixels a frame and
# asked about slower and faster ones, which neither encoder nor probe has seen.
#
# **Predict:** at twice the speed (1.5 to 3 pixels a frame), the linear probe's accuracy for direction, trained encoder?

# %%
my_score_at_twice_the_speed = None

# %%
SPEEDS = {"half the speed": (0.35, 0.75), "as trained": (CLIPS.slowest, CLIPS.fastest), "twice the speed": (1.5, 3.0)}


@torch.no_grad()
def at_speed(name, slowest, fastest, count=1024):
    """Accuracy for direction of a linear probe that was trained at the usual speed, on new clips at another."""
    rules = replace(CLIPS, slowest=slowest, fastest=fastest)
    source, train = DigitClips(grid, "test", DATA_SEED + 9, rules=rules), features[name]["train"]
    pooled, ways = [], []
    for index in torch.arange(count).split(128):
        clip, factors = source.batch(0, index)
        pooled.append(encoders[name](clip).mean(dim=1))
        ways.append(factors.direction)
    return linear_accuracy(train.pooled, train.direction, torch.cat(pooled), torch.cat(ways))


carried = {name: {speed: at_speed(name, *limits) for speed, limits in SPEEDS.items()} for name in encoders}
compare("direction at twice the speed", my_score_at_twice_the_speed, f"{carried['trained']['twice the speed']:.2f}")
table(
    markdown(
        ["direction, linear", *SPEEDS],
        [[name, *(f"{value:.2f}" for value in row.values())] for name, row in carried.items()],
    )
)

# %%
# NBVAL_CHECK_OUTPUT
best = all(carried["trained"][speed] > carried["untrained"][speed] + 0.2 for speed in SPEEDS)
worse = carried["trained"]["as trained"] > max(
    carried["trained"]["half the speed"], carried["trained"]["twice the speed"]
)
print("at every speed the trained encoder is far above the untrained one:", best)
print("and away from the speeds that it was trained on it is worse:", worse)
assert best and worse

# %% [markdown]
# ## Break it
#
# Divide the features by a thousand, as if they had nearly collapsed, and probe again. Which score changes?
#
# <details><summary>What to expect</summary>
#
# None, by more than rounding. Probes standardise what they get, so they are blind to scale: features whose std is 0.0004 probe like those whose
# std is 0.4. That is why a table needs the feature std beside its probes (lesson 06).
# </details>

# %%
scale = 1.0  # make this 0.001
train, test = features["trained"]["train"], features["trained"]["test"]
print(round(linear_accuracy(scale * train.pooled, train.direction, scale * test.pooled, test.direction), 3),
      "linear probe, feature std", float((scale * test.tokens).std(dim=0).mean()))  # fmt: skip

# %% [markdown]
# ## Three questions
#
# <details><summary>1. Why is the *online* encoder kept here, and not the target encoder?</summary>
#
# Either can be. V-JEPA's authors evaluate the target encoder; at the end of training, with a momentum near 1 and a small learning rate, the two
# hardly differ: `results/README.md` lists both, and their intervals overlap.
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
# Otherwise a probe may recognise an image that it has seen, with its label, rather than the digit. 1,797 images make many clips, but
# they remain 1,797 images.
# </details>
#
# **In the package:** `minivjepa/probes.py`, `minivjepa/evaluation.py`, `minivjepa/protocol.py`. **In the papers:** V-JEPA (arXiv 2404.08471), section 4.2, on attentive
# probes. **Next:** 10, the released models.
