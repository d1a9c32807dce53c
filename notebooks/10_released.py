# %% [markdown]
# # 10 The released models
#
# ![You are here: the released networks. The diagram of V-JEPA. In full color: online encoder, predictor, target encoder.](attachment:here-10.png)
#
# **At the end you can explain** what is in a file of released V-JEPA weights, how it gets into the classes that you have read, and what
# V-JEPA 2 changed: positions, momentum, schedule.
#
# *35 minutes, including a few seconds of computing. Any laptop; nothing is downloaded unless you ask for it (then it takes minutes).*
# You need: lessons 03 to 05, and 09 for the pictures.

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
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from minivjepa.course.figures.feature_colors import feature_strip
from minivjepa.course.figures.film_strips import displayed
from minivjepa.course.figures.rotary_scores import scores_over_distance
from minivjepa.course.figures.training_curves import schedules
from minivjepa.course.lesson import check, compare, show, table
from minivjepa.data.digits import DigitClips
from minivjepa.data.video import normalise
from minivjepa.ema import half_life
from minivjepa.encoder import Encoder
from minivjepa.evaluation.statistics import markdown
from minivjepa.predictor import Predictor
from minivjepa.released.load import load_pretrained
from minivjepa.released.names import from_original, to_original
from minivjepa.rotary import rotary_angles, rotate
from minivjepa.training.config import PRESETS
from minivjepa.transformer import init_linear
from minivjepa.tubelets import Grid, sincos_positions

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## How large the real ones are
#
# Sizes apart, the encoder of this course and that of V-JEPA 2 differ in one thing, how positions enter (`rotary-tiled` below; you will see what
# it means); V-JEPA 1's adds them as ours does. V-JEPA 2 comes in three sizes, whose names are those of vision transformers: ViT-L(arge), -H(uge), -g(iant). Count them without
# computing anything: a tensor on the device `meta` has a shape and no numbers.
#
# **Predict:** how many parameters has the largest, in millions? (Your own models had some hundred thousand.)

# %%
my_millions_of_parameters = None

# %%
grid = Grid(frames=16, height=256, width=256, tubelet=2, patch=16)
SIZES = {"ViT-L": (1024, 24, 16, 4096), "ViT-H": (1280, 32, 16, 5120), "ViT-g": (1408, 40, 22, 6144)}
millions = {}
for name, (dim, depth, heads, hidden) in SIZES.items():
    with torch.device("meta"):
        giant = Encoder(grid, dim, depth, heads, "rotary-tiled", hidden)
    millions[name] = sum(p.numel() for p in giant.parameters()) / 1e6
compare("millions of parameters of ViT-g", my_millions_of_parameters, round(millions["ViT-g"]))
lines = [[name, *map(str, SIZES[name]), f"{count:.0f}", f"{4 * count / 1000:.1f}"] for name, count in millions.items()]
table(
    markdown(
        ["encoder", "width D", "blocks", "heads", "width of the MLP", "million parameters", "GB in float32"], lines
    )
)

# %% [markdown]
# ## A file like theirs
#
# Set `DOWNLOAD = True` to fetch the released ViT-L (more than a gigabyte) from the Hugging Face hub, where weights are published, or put a file or
# folder that you have into `WEIGHTS`. Both are used in the last picture. For all else the lesson makes a small file of *random*
# weights in the layout of Meta's files: the same names, the same shapes but for the sizes.

# %%
DOWNLOAD = False
WEIGHTS = ""

# %%
small = Grid(frames=8, height=64, width=64, tubelet=2, patch=16)
torch.manual_seed(0)
encoder = Encoder(small, dim=96, depth=2, heads=4, positions="rotary-tiled").eval()
predictor = Predictor(small, dim=96, inner=48, depth=1, heads=2, groups=10, positions="rotary-tiled").eval()
for network in (encoder, predictor):
    init_linear(network, "xavier")  # random weights that keep numbers at a sensible size
ours = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
ours |= {f"target_encoder.{key}": value for key, value in encoder.state_dict().items()}
ours |= {f"predictor.{key}": value for key, value in predictor.state_dict().items()}
made = folder / "like-meta.pt"
torch.save(to_original(ours, small), made)
held = torch.load(made, weights_only=True)
print("parts:", list(held))
for key, value in list(held["encoder"].items())[:6]:
    print(f"  {key:45} {tuple(value.shape)}")

# %% [markdown]
# Three things differ from what you have read. The first two are only packaging:
#
# - **Names.** `module.backbone.` is what two wrappers around their model left behind; `attn` is our `attention`. And so on.
# - **The tubelet embedding** is a `Conv3d` with kernel = stride, weight [D, C, 2, 16, 16]. Lesson 01 has shown that it is the linear layer on
#   flattened tubelets, with its weight written in another shape.
# - **Ten mask tokens.** V-JEPA 1 has one for each mask group. V-JEPA 2 numbers them by the length of its clips, and its published recipes know one
#   length: both mask groups use the first token, and the other nine are still the zeros that they started as. Models on the Hugging Face hub take
#   the second unless they are told, a zero; ours takes the first.
#
# ## Load it
#
# `load_pretrained` reads such a file, translates names and shapes (`from_original`), builds networks of the size that the weights have, and fills
# them. What a file does not say has to be given: for which clips it is, and how many heads there are, because heads only cut the same
# numbers differently. And clips must be normalised as in training: for the released models with the mean and spread of ImageNet's
# colors, which `minivjepa embed` does.

# %%
translated = from_original(held)
for theirs_name, ours_name in zip(
    list(held["encoder"])[2:6], [key for key in translated if key.startswith("encoder.")][2:6]
):
    print(f"{theirs_name:45} -> {ours_name}")
loaded = load_pretrained(str(made), clip=(8, 64, 64), heads=4, predictor_heads=2)
print("layout:", loaded.layout, "| positions:", loaded.encoder.positions)

# %% folded=true
# NBVAL_CHECK_OUTPUT
clips, _ = DigitClips(small, "test").batch(step=0, index=torch.arange(4))
context, target = torch.arange(32).expand(4, -1), torch.arange(32, 64).expand(4, -1)
with torch.no_grad():
    z = encoder(clips, context)
    same = torch.equal(loaded.encoder(clips), encoder(clips))
    same_guesses = torch.equal(loaded.predictor(z, context, target), predictor(z, context, target))
del held["encoder"]["module.backbone.norm.weight"]
torch.save(held, folder / "short.pt")
try:
    load_pretrained(str(folder / "short.pt"), clip=(8, 64, 64), heads=4, predictor_heads=2)
    refused = False
except ValueError as error:
    refused = "norm.weight is missing" in str(error)
check("loading", same and same_guesses and refused,
      "what is written in that layout is read back to the same numbers, and a file that lacks one tensor is refused")  # fmt: skip

# %% [markdown]
# That shows that writing and reading fit each other, and not yet that it is *their* model. For that it has to be compared with other people's code:
# here with `VJEPA2Model` of the Python package `transformers`, where it is installed (`pip install 'minivjepa[parity]'`). It gets random
# weights, writes them in its own layout, and we read them. Meta's layout, and all gradients, are compared in the tests that `docs/fidelity.md`
# names, row by row.

# %%
if importlib.util.find_spec("transformers") is None:
    print("transformers is not installed here")
else:
    from transformers import VJEPA2Config, VJEPA2Model

    torch.manual_seed(1)
    sizes = VJEPA2Config(
        crop_size=64, frames_per_clip=8, patch_size=16, tubelet_size=2, hidden_size=96, num_hidden_layers=2,
        num_attention_heads=4, pred_hidden_size=48, pred_num_hidden_layers=1, pred_num_attention_heads=2, pred_num_mask_tokens=10,
    )  # fmt: skip
    reference = VJEPA2Model(sizes).eval()
    reference.save_pretrained(folder / "hugging-face")
    with torch.no_grad():
        wanted = reference(clips.transpose(1, 2), skip_predictor=True).last_hidden_state
        difference = {
            scheme: float(
                (load_pretrained(str(folder / "hugging-face"), positions=scheme).encoder(clips) - wanted).abs().max()
            )
            for scheme in ("rotary-tiled", "rotary")
        }
    print("largest difference from transformers, by positions:", difference)
    assert difference["rotary-tiled"] < 1e-4 < difference["rotary"]

# %% [markdown]
# ## What V-JEPA 2 changed: positions
#
# V-JEPA 1 *adds* a position to every token (lesson 01). V-JEPA 2 adds nothing. It **turns**: take two numbers (x, y) of a query as an arrow, and turn
# the arrow by an angle, the token's place times a frequency. The same for the next two numbers, with the next frequency, and for the
# keys. Three ways to do it:
#
# - *added*: sine-cosine positions added to query and key, as in V-JEPA 1.
# - *rotary*: numbers 0 and 1 are a pair, 2 and 3 the next. Frequencies f0, f1, ... turn them by f0 f0 f1 f1 ...
# - *as released*: the same pairs, but Meta's code lists the frequencies as f0 f1 ... f0 f1 ... So 0 is turned by f0 and its partner 1 by f1.
#
# Put the same query and the same key at different places along the time axis.
#
# **Predict:** with which of the three does their product depend only on *how far* they are apart? (A list such as `["added", "rotary"]`.)

# %%
my_list_of_those = None

# %%
line = Grid(frames=64, height=16, width=16, tubelet=2, patch=16)  # 32 places in time, one in space
head = 24
places = torch.arange(line.tokens)[None]
torch.manual_seed(0)
query, key = torch.randn(head), torch.randn(head)


def products(scheme):
    """[n, n]: the query at every place times the key at every place."""
    q, k = (x.expand(1, 1, line.tokens, head) for x in (query, key))
    if scheme == "sincos":
        table = sincos_positions(line, head)
        return ((q + table) @ (k + table).transpose(-1, -2))[0, 0]
    angles = rotary_angles(line, places, head, scheme, torch.float32)
    return (rotate(q, angles) @ rotate(k, angles).transpose(-1, -2))[0, 0]


scores = {"added": products("sincos"), "rotary": products("rotary"), "as released": products("rotary-tiled")}


def depends_on_distance_alone(matrix):
    """Whether every diagonal of the matrix is constant."""
    return all(float(matrix.diagonal(d).max() - matrix.diagonal(d).min()) < 1e-3 for d in range(-16, 17))


answer = [name for name, matrix in scores.items() if depends_on_distance_alone(matrix)]
compare("depends on the distance alone", my_list_of_those, answer)
show(scores_over_distance(scores))

# %% folded=true
# NBVAL_CHECK_OUTPUT
angles = rotary_angles(line, places, head, "rotary-tiled", torch.float32)
lengths = rotate(query.expand(1, 1, line.tokens, head), angles)[0, 0].norm(dim=-1)
check("rotary", answer == ["rotary"], "turned positions know distances only; added ones do not")
check("the quirk", float(lengths.max() - lengths.min()) > 0.1,
      "what the released models do is not a turn: it changes the length of what it turns")  # fmt: skip

# %% [markdown]
# If both arrows are turned, their product depends on the difference of the angles, which is the distance times the frequency: in the middle panel, four
# curves lie on one. With the released order it nearly works, and not quite. That this is really in the released V-JEPA 2 was shown above:
# `transformers`, which runs those weights, agrees with `rotary-tiled` up to rounding, and with `rotary` it does not. Its weights were trained like
# that, so whoever loads them has to do it as well. Whoever trains anew should use `"rotary"`.
#
# How much does the wrong one change?

# %%
wrong = load_pretrained(str(made), clip=(8, 64, 64), heads=4, predictor_heads=2, positions="rotary").encoder
with torch.no_grad():
    right, other = encoder(clips), wrong(clips)
    print(f"relative difference of the features: {float((right - other).norm() / right.norm()):.3f}")

# %% [markdown]
# That is for random weights in two blocks; for trained ones in twenty-four we have not measured it. No error and no warning says so: the shapes are right.
# That is why `docs/fidelity.md` names a test for every detail.
#
# ## What V-JEPA 2 changed: momentum and schedule
#
# One number, .99925, for the whole run, where V-JEPA 1 went from .998 to (nearly) 1. And a learning rate that warms up and then stays, with a
# constant weight decay: such a run can be prolonged at any time, since nothing in it depends on where it ends.
#
# **Predict:** how many times as long is V-JEPA 2's half-life as V-JEPA 1's at its start?

# %%
my_ratio_of_half_lives = None

# %%
first = PRESETS["vitl"]
second = replace(first, momentum=0.99925, final_momentum=0.99925, final_lr=1.0, final_weight_decay=0.04, clip_grad=0.0)
ratio = half_life(0.99925) / half_life(0.998)
compare("half-life, times V-JEPA 1's at its start", my_ratio_of_half_lives, f"{ratio:.1f}")
show(schedules({"V-JEPA 1": first, "V-JEPA 2": second}))

# %% folded=true
# NBVAL_CHECK_OUTPUT
print(
    "half-lives in steps: V-JEPA 1 at first", round(half_life(0.998)), "and V-JEPA 2 always", round(half_life(0.99925))
)
assert (round(half_life(0.998)), round(half_life(0.99925))) == (346, 924)

# %% [markdown]
# (Only these three are compared, with the warm-up drawn as in V-JEPA 1. V-JEPA 2 ended with a last phase of its own on longer clips, trained on images
# too, and on far more video.)
#
# ## Look at its features
#
# Features of a clip as colors, as in lesson 09. With random weights this only shows that all is connected; with released weights, set above,
# it shows what they see.

# %%
source = WEIGHTS or ("facebook/vjepa2-vitl-fpc64-256" if DOWNLOAD else "")
eyes = load_pretrained(source, clip=(16, 256, 256), parts=("encoder",)).encoder if source else loaded.encoder
clips, _ = DigitClips(eyes.grid, "test").batch(0, torch.arange(1))
frames = torch.from_numpy((255 * displayed(clips)[0]).astype("uint8"))  # [T, H, W, 3], as a video file has them
with torch.no_grad():
    tokens = eyes(normalise(frames.permute(0, 3, 1, 2))[None])[0].unflatten(0, eyes.grid.shape)
title = f"weights {source}" if source else "random weights: colors show pixels and places, nothing learned"
show(feature_strip(frames.numpy(), tokens.numpy(), title))

# %% [markdown]
# For a video of your own: `minivjepa embed clip.mp4 --weights WEIGHTS --out clip.npz --picture clip.gif`.
#
# ## Break it
#
# Give the file a wrong number of heads below. The shapes of all weights still fit. What happens?
#
# <details><summary>What to expect</summary>
#
# With 2 heads it loads, and its features are different: nothing in a file of Meta's says how many heads there are. Hugging Face's files have a
# `config.json` beside them, and there a wrong number is refused.
# </details>

# %%
mine = load_pretrained(str(made), clip=(8, 64, 64), heads=4, predictor_heads=2).encoder  # make this 2 heads
clips, _ = DigitClips(small, "test").batch(step=0, index=torch.arange(4))
with torch.no_grad():
    print("the same features as before:", torch.allclose(mine(clips), encoder(clips), atol=1e-5))

# %% [markdown]
# ## Three questions
#
# <details><summary>1. Which of the loaded parts do you need to embed a video, and which can you throw away?</summary>
#
# One encoder. Predictor and the other encoder were for training (lesson 09).
# </details>
#
# <details><summary>2. Why can a model with rotary positions read longer clips than it was trained on, at least formally?</summary>
#
# There is no table with one row per place: angles exist for every place. Whether it does well on distances that it has never seen is
# another question.
# </details>
#
# <details><summary>3. You load weights without an error, and the features are bad. Name three details to suspect.</summary>
#
# The scheme of the positions, the number of heads, and how pixels are normalised. None of them changes a shape.
# </details>
#
# **In the package:** `minivjepa/released/names.py`, `minivjepa/released/weight_files.py`, `minivjepa/released/load.py`, `minivjepa/rotary.py`. **In the papers:** V-JEPA 2 (arXiv 2506.09985); RoPE
# (arXiv 2104.09864). **Next:** 11, what can stand in the place of all three heuristics.
