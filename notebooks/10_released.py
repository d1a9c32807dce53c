# %% [markdown]
# # 10 The released models
#
# **At the end you can explain** what is in a file of released V-JEPA weights, how it gets into the classes that you have read, and what
# V-JEPA 2 changed: positions, momentum, schedule.
#
# *35 minutes, seconds of them for the computer. Any laptop; nothing is downloaded unless you ask for it.*
# You need: lessons 03 to 05, and 09 for the pictures.

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
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from minivjepa.config import PRESETS
from minivjepa.data.digits import DigitClips
from minivjepa.ema import half_life
from minivjepa.encoder import Encoder
from minivjepa.figures.clips import displayed
from minivjepa.figures.features import feature_strip
from minivjepa.figures.released import scores_over_distance
from minivjepa.figures.training import schedules
from minivjepa.layouts import from_original, to_original
from minivjepa.lesson import check, compare, show, table
from minivjepa.predictor import Predictor
from minivjepa.pretrained import load_pretrained
from minivjepa.rotary import rotary_angles, rotate
from minivjepa.tables import markdown
from minivjepa.transformer import init_linear
from minivjepa.tubelets import Grid, patchify, sincos_positions

folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## How large the real ones are
#
# Nothing but numbers separates the encoder of this course from the published ones: width, blocks, heads. The sizes of V-JEPA 2, at 16
# frames of 256 x 256, counted without computing anything (a tensor on the device `meta` has a shape and no numbers):

# %%
grid = Grid(frames=16, height=256, width=256, tubelet=2, patch=16)
# name: width, blocks, heads, width of the MLP
SIZES = {"ViT-L": (1024, 24, 16, 4096), "ViT-H": (1280, 32, 16, 5120), "ViT-g": (1408, 40, 22, 6144)}
lines, millions = [], {}
for name, (dim, depth, heads, hidden) in SIZES.items():
    with torch.device("meta"):
        giant = Encoder(grid, dim, depth, heads, "rotary-tiled", hidden)
    millions[name] = sum(p.numel() for p in giant.parameters()) / 1e6
    lines.append([name, str(dim), str(depth), str(heads), f"{millions[name]:.0f}", f"{4 * millions[name] / 1000:.1f}"])
table(markdown(["encoder", "width D", "blocks", "heads", "million parameters", "GB in float32"], lines))

# %%
# NBVAL_CHECK_OUTPUT
print("tokens of a clip:", grid.tokens)
about = {name: round(value, -1) for name, value in millions.items()}
print("about 300, 630 and 1010 million parameters:", about == {"ViT-L": 300, "ViT-H": 630, "ViT-g": 1010})
assert about == {"ViT-L": 300, "ViT-H": 630, "ViT-g": 1010}

# %% [markdown]
# ## A file like theirs
#
# Set `DOWNLOAD = True` to fetch the released ViT-L (more than a gigabyte) from the Hugging Face hub, or put a file or folder that you have into
# `WEIGHTS`. Otherwise the lesson makes a small file of *random* weights with exactly the layout of Meta's files: all that
# follows is the same, except that its features mean nothing.

# %%
DOWNLOAD = False
WEIGHTS = ""

# %%
small = Grid(frames=8, height=64, width=64, tubelet=2, patch=16)
torch.manual_seed(0)
encoder = Encoder(small, dim=96, depth=2, heads=4, positions="rotary-tiled").eval()
predictor = Predictor(small, dim=96, inner=48, depth=1, heads=2, groups=10, positions="rotary-tiled").eval()
for network in (encoder, predictor):
    init_linear(network, "xavier")
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
# Two things differ from what you have read, and both are packaging:
#
# - **Names.** `module.backbone.` is what two wrappers around their model left behind; `attn` is our `attention`. And so on.
# - **The tubelet embedding** is a `Conv3d` with kernel = stride, weight [D, C, 2, 16, 16]. A convolution that never overlaps looks at
#   each tubelet once: it *is* the linear layer of lesson 01, with its weight written in another shape.
#
# **Predict:** by how much does their convolution differ from our linear layer on the same pixels? (`0`, `"by rounding"`, or a number.)

# %%
my_guess_about_the_convolution = None

# %%
clips, _ = DigitClips(small, "test").batch(step=0, index=torch.arange(4))
conv = torch.nn.Conv3d(3, 96, kernel_size=(2, 16, 16), stride=(2, 16, 16))
conv.load_state_dict({name: held["encoder"][f"module.backbone.patch_embed.proj.{name}"] for name in ("weight", "bias")})
with torch.no_grad():
    theirs = conv(clips).flatten(2).transpose(1, 2)  # [B, D, t, h, w] -> [B, N, D]
    gap = float((theirs - encoder.embed.project(patchify(clips, small))).abs().max())
compare("largest difference", my_guess_about_the_convolution, "by rounding" if 0 < gap < 1e-4 else gap)

# %%
# NBVAL_CHECK_OUTPUT
check("the convolution", gap < 1e-4, "a Conv3d with kernel = stride is the linear layer on flattened tubelets")

# %% [markdown]
# ## Load it
#
# `load_pretrained` reads such a file, translates names and shapes, builds networks of the size that the weights have, and fills them.
# A key too many, a key too few, or a wrong shape is an error. `from_original` is the translation alone:

# %%
translated = from_original(held)
for theirs_name, ours_name in zip(
    list(held["encoder"])[2:6], [key for key in translated if key.startswith("encoder.")][2:6]
):
    print(f"{theirs_name:45} -> {ours_name}")
loaded = load_pretrained(str(made), clip=(8, 64, 64), heads=4, predictor_heads=2)
print("layout:", loaded.layout, "| positions:", loaded.encoder.positions)

# %%
# NBVAL_CHECK_OUTPUT
with torch.no_grad():
    same = torch.equal(loaded.encoder(clips), encoder(clips))
context, target = torch.arange(32).expand(4, -1), torch.arange(32, 64).expand(4, -1)
with torch.no_grad():
    z = encoder(clips, context)
    same_guesses = torch.equal(loaded.predictor(z, context, target), predictor(z, context, target))
check(
    "loading",
    same and same_guesses,
    "an encoder and a predictor that were written in Meta's layout come back to the same bits",
)

# %% [markdown]
# That it is *their* model, and not only their file, has to be shown against their code. Where transformers is installed (`pip install
# 'minivjepa[parity]'`), here is its `VJEPA2Model` with random weights, and its output beside ours. The full comparison, gradients
# too, is `docs/fidelity.md`.

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
    from_hub = load_pretrained(str(folder / "hugging-face"))
    with torch.no_grad():
        wanted = reference(clips.transpose(1, 2), skip_predictor=True).last_hidden_state
        difference = float((from_hub.encoder(clips) - wanted).abs().max())
    print("largest difference from transformers is rounding:", difference < 1e-4, "| sizes read from its config.json")
    assert difference < 1e-4

# %% [markdown]
# ## What V-JEPA 2 changed: positions
#
# V-JEPA 1 *adds* a position to every token (lesson 01). V-JEPA 2 adds nothing. It **turns**: in every head, pairs of numbers of each query
# and key are rotated by an angle that is the token's place times a frequency. If both are turned, their product depends only on
# the *difference* of their angles: on how far apart the two tokens are, and not on where they are.
#
# Put the same query and the same key at different places along the time axis.
#
# **Predict:** with which of the three does the product depend on the distance alone? (A list such as `["added", "rotary", "as released"]`.)

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

# %%
# NBVAL_CHECK_OUTPUT
angles = rotary_angles(line, places, head, "rotary-tiled", torch.float32)
lengths = rotate(query.expand(1, 1, line.tokens, head), angles)[0, 0].norm(dim=-1)
check("rotary", answer == ["rotary"], "turned positions know distances only; added ones do not")
check("the quirk", float(lengths.max() - lengths.min()) > 0.1,
      "the released weights were trained with a turn that is not one: it changes the length of what it turns")  # fmt: skip

# %% [markdown]
# The third panel is a surprise that you will find in the public code, too: in the released V-JEPA 2, the two numbers of a pair are turned by
# *different* angles, because frequencies are repeated in one order and pairs are formed in another. It was trained like that, so
# whoever loads the weights has to do it as well: `positions="rotary-tiled"`. Whoever trains anew should use `"rotary"`.
#
# How much does it matter when you get it wrong?

# %%
wrong = load_pretrained(str(made), clip=(8, 64, 64), heads=4, predictor_heads=2, positions="rotary").encoder
with torch.no_grad():
    right, other = encoder(clips), wrong(clips)
    print(f"relative difference of the features: {float((right - other).norm() / right.norm()):.3f}")

# %% [markdown]
# No error, no warning, features of the right shape: only slightly wrong ones, in every layer. That is why `docs/fidelity.md` names a test for
# every detail.
#
# ## What V-JEPA 2 changed: momentum and schedule
#
# One number, .99925, for the whole run, where V-JEPA 1 went from .998 to (nearly) 1. And a learning rate that warms up and stays,
# with a constant weight decay: such a run can be prolonged at any time, since nothing in it depends on where it ends.
#
# **Predict:** V-JEPA 2's half-life, in steps (lesson 05)?

# %%
my_half_life = None

# %%
first = PRESETS["vitl"]
second = replace(first, momentum=0.99925, final_momentum=0.99925, final_lr=1.0, final_weight_decay=0.04, clip_grad=0.0)
compare("half-life at .99925, in steps", my_half_life, round(half_life(0.99925)))
show(schedules({"V-JEPA 1": first, "V-JEPA 2": second}))

# %%
# NBVAL_CHECK_OUTPUT
print(
    "half-lives in steps: V-JEPA 1 at first", round(half_life(0.998)), "and V-JEPA 2 always", round(half_life(0.99925))
)
assert (round(half_life(0.998)), round(half_life(0.99925))) == (346, 924)

# %% [markdown]
# (Here only the three schedules are compared. V-JEPA 2 also trained on images, on far more video, and with larger encoders.)
#
# ## Look through it
#
# Features of a clip as colours, as in lesson 09. With random weights this only shows that all is connected; with released weights, set above,
# it shows what they see.

# %%
source = WEIGHTS or ("facebook/vjepa2-vitl-fpc64-256" if DOWNLOAD else "")
if source:
    eyes, size = load_pretrained(source, parts=("encoder",)).encoder, (16, 256)
else:
    eyes, size = loaded.encoder, (8, 64)
clips, _ = DigitClips(replace(eyes.grid, frames=size[0], height=size[1], width=size[1]), "test").batch(
    0, torch.arange(1)
)
with torch.no_grad():
    tokens = eyes(clips)[0].unflatten(0, eyes.grid.shape)
print("weights:", source or "random")
show(feature_strip((displayed(clips)[0] * 255).astype("uint8"), tokens.numpy()))

# %% [markdown]
# For a video of your own: `minivjepa embed clip.mp4 --weights WEIGHTS --out clip.npz --picture clip.gif`.
#
# ## Break it
#
# Give the file a wrong number of heads below. The shapes of all weights still fit (heads only cut the same numbers differently). What
# happens?
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
# There is no table with one row per place. Angles exist for every place, and what counts is the distance. Whether it does well on distances
# that it has never seen is another question.
# </details>
#
# <details><summary>3. You load weights without an error, and the features are bad. Name three details to suspect.</summary>
#
# The positions (scheme, order of the axes), the number of heads, and how pixels are normalised. None of them changes a shape.
# </details>
#
# **In the package:** `minivjepa/layouts.py`, `minivjepa/weights.py`, `minivjepa/pretrained.py`, `minivjepa/rotary.py`. **In the papers:** V-JEPA 2 (arXiv 2506.09985); RoPE
# (arXiv 2104.09864). **Next:** 11, one term instead of three tricks (not written yet).
