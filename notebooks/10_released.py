# %% [markdown]
# # 10 The released models
#
# ![You are here: the released networks. The diagram of V-JEPA. In full color: online encoder, predictor, target encoder.](attachment:here-10.png)
#
# **At the end you can explain** how V-JEPA 2 tells attention where tokens are, how released weights get into the classes you've read, and
# which details fail without an error.
#
# *35 minutes, including a few seconds of computing. Any laptop; nothing is downloaded unless you ask for it.*
# You need: lessons 03, 05 and 08.

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
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from minivjepa import rotary
from minivjepa.data.digits import DigitClips
from minivjepa.data.video import normalise
from minivjepa.ema import half_life
from minivjepa.encoder import Encoder
from minivjepa.evaluation.statistics import markdown
from minivjepa.figures.feature_colors import feature_strip
from minivjepa.figures.film_strips import displayed
from minivjepa.predictor import Predictor
from minivjepa.released.load import load_pretrained
from minivjepa.released.names import from_original, to_original
from minivjepa.training.config import PRESETS
from minivjepa.transformer import init_linear
from minivjepa.tubelets import Grid, sincos_positions
from minivjepa_course.homework.checking import attempt, solution
from minivjepa_course.lesson import check, play, show, table
from minivjepa_course.pictures.rotary_scores import dials, scores_over_distance, two_arrows
from minivjepa_course.pictures.training_curves import schedules
from minivjepa_course.predictions import Predictions
from minivjepa_course.widgets import explore

guess = Predictions()

# %% [markdown]
# V-JEPA 1 *adds* a position to every token (lesson 01). V-JEPA 2 adds nothing. It *turns* each query and key by an angle that grows with the
# token's place. Here a query and a key move along the time axis, always three places apart:

# %%
play(two_arrows(distance=3, places=24, frequency=0.4))

# %% [markdown]
# On the left, the product depends on where the two are. On the right it depends only on how far apart they are: both arrows turn by the same
# angle, and the angle between them stays. To attention, an event looks the same at the start of a clip and at its end.
#
# ## Many dials
#
# A head has more than two numbers, so neighbors pair up: numbers 0 and 1, numbers 2 and 3, and so on. Each pair is a dial with its own
# frequency. Of P pairs, pair i turns by 10000 to the power of -i/P radians per place: the first dial moves fast and tells neighbors apart, slower
# ones tell far places apart, and the last hardly moves.
#
# ## Write it: `angles` (easy, 5 minutes)
#
# You get whole-number places along one axis, and the number of pairs. Return the angle of every *number*, `[n, 2 * pairs]`: place times frequency, where
# both numbers of a pair get the same one.
#
# <details><summary>Hint 1</summary>
#
# The frequencies are powers of 10000; `torch.arange(pairs)` counts pairs.
# </details>
#
# <details><summary>Hint 2</summary>
#
# `repeat_interleave(2)` makes f0 f0 f1 f1 ... of f0 f1 ...; `places[:, None]` is a column.
# </details>
#
# <details><summary>Hint 3</summary>
#
# In a new cell: `solution("10", "angles")`.
# </details>


# %% exercise="angles"
def angles(places, pairs):
    """Places [n] and a number of pairs -> angles [n, 2 * pairs] in radians: f0 f0 f1 f1 ... times the place."""
    ### BEGIN SOLUTION
    frequency = 10000.0 ** -(torch.arange(pairs) / pairs)
    return places[:, None] * frequency.repeat_interleave(2)
    ### END SOLUTION


attempt("10", angles)

# %% [markdown]
# ## Write it: `rotate` (medium, 8 minutes)
#
# Turn the pair (a, b) counterclockwise: it becomes (a cos - b sin, b cos + a sin). Each number uses the cosine and sine of the angle in its
# own column. If a vector has more numbers than angles, the rest stays as it is.
#
# <details><summary>Hint 1</summary>
#
# `x[:, 0::2]` takes every other number. Mind that there may be fewer angles than numbers.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Number j is itself times its cosine, plus its *partner* times its sine. The partners of a, b are -b, a. `torch.stack([...], dim=-1).flatten(1)`
# weaves two lists together.
# </details>
#
# <details><summary>Hint 3</summary>
#
# In a new cell: `solution("10", "rotate")`.
# </details>


# %% exercise="rotate"
def rotate(x, angle):
    """Vectors x [n, d] and angles [n, r], r up to d -> pairs turned by their angles; numbers from r on stay, [n, d]."""
    ### BEGIN SOLUTION
    turned, still = x[:, : angle.shape[1]], x[:, angle.shape[1] :]
    a, b = turned[:, 0::2], turned[:, 1::2]
    partner = torch.stack([-b, a], dim=-1).flatten(1)
    return torch.cat([turned * angle.cos() + partner * angle.sin(), still], dim=1)
    ### END SOLUTION


attempt("10", rotate)

# %% [markdown]
# Your functions turn these dials. Move `place`: everything turns, and the product above stays. Then move `distance`.

# %%
torch.manual_seed(0)
query, key = torch.randn(24), torch.randn(24)  # of a head with 24 numbers


def turned_dials(place, distance):
    """The first four pairs of the query and the key at their places."""
    turn = angles(torch.tensor([place, place + distance]), pairs=4)
    return dials(*rotate(torch.stack([query[:8], key[:8]]), turn), place, distance)


explore(turned_dials, {"place": (0, 31, 1, 4), "distance": (0, 31, 1, 3)})

# %% [markdown]
# ## A quirk in the released code
#
# Meta's code pairs neighbors too, but lists the frequencies as f0 f1 ... f0 f1 ... and not as f0 f0 f1 f1 ... So the two numbers of a pair
# turn by different angles.

# %%
places = torch.arange(32)
line = Grid(frames=64, height=16, width=16, tubelet=2, patch=16)  # 32 places in time, one in space


def products(turn):
    """[32, 32]: the query at every place times the key at every place."""
    return rotate(query.expand(32, -1), turn) @ rotate(key.expand(32, -1), turn).T


def by_distance(matrix):
    """Whether every diagonal of the matrix is constant."""
    return all(float(matrix.diagonal(d).max() - matrix.diagonal(d).min()) < 1e-3 for d in range(-16, 17))


turn = angles(places, pairs=4)  # a third of the head is for time; height and width get the other two
mixed_up = torch.cat([turn[:, 0::2], turn[:, 0::2]], dim=1)  # f0 f1 ... f0 f1 ...
added = sincos_positions(line, 24)
scores = {
    "added": (query + added) @ (key + added).T,
    "turned": products(turn),
    "as released": products(mixed_up),
}
released = by_distance(scores["as released"])
guess(
    "With Meta's order, does the product still depend only on the distance?", "yes" if released else "no", ["yes", "no"]
)

# %%
show(scores_over_distance(scores))

# %% folded=true
# NBVAL_CHECK_OUTPUT
lengths = rotate(query.expand(32, -1), mixed_up).norm(dim=1)
package = {
    scheme: rotary.rotate(
        query.expand(1, 1, 32, 24), rotary.rotary_angles(line, places[None], 24, scheme, torch.float32)
    )
    for scheme in ("rotary", "rotary-tiled")
}
mine = {"rotary": rotate(query.expand(32, -1), turn), "rotary-tiled": rotate(query.expand(32, -1), mixed_up)}
same = all(torch.allclose(package[scheme][0, 0], mine[scheme], atol=1e-5) for scheme in mine)
check("rotary", same and [name for name, matrix in scores.items() if by_distance(matrix)] == ["turned"],
      "your turns are the package's, and only they make the product depend on the distance and nothing else")  # fmt: skip
check("the quirk", float(lengths.max() - lengths.min()) > 0.1,
      "what the released models do is not a turn: it changes the length of what it turns")  # fmt: skip

# %% [markdown]
# With Meta's order the curves part: the place counts again, though here less than if positions are added. The released weights were trained
# with it, so to use them you need it too: `positions="rotary-tiled"` in the package. For a model of your own, use `"rotary"`.
#
# ## A file like theirs
#
# Three sizes of V-JEPA 2's encoder are published, named after vision transformers. On the device `meta` a tensor has a shape and no
# numbers, so counting costs nothing.

# %%
grid = Grid(frames=16, height=256, width=256, tubelet=2, patch=16)
SIZES = {"ViT-L": (1024, 24, 16, 4096), "ViT-H": (1280, 32, 16, 5120), "ViT-g": (1408, 40, 22, 6144)}
millions = {}
for name, (dim, depth, heads, hidden) in SIZES.items():
    with torch.device("meta"):
        giant = Encoder(grid, dim, depth, heads, "rotary-tiled", hidden)
    millions[name] = sum(p.numel() for p in giant.parameters()) / 1e6
guess("How many million parameters has the largest, ViT-g? Yours had about 0.2.", round(millions["ViT-g"]))

# %%
lines = [[name, *map(str, SIZES[name]), f"{count:.0f}", f"{4 * count / 1000:.1f}"] for name, count in millions.items()]
table(markdown(["encoder", "width D", "blocks", "heads", "MLP width", "million parameters", "GB in float32"], lines))

# %% [markdown]
# For the real ViT-L (more than a gigabyte), set `DOWNLOAD = True`, or put a file or folder of yours into `WEIGHTS`; the last picture uses it.
# Everything else uses a small file of *random* weights in the layout of Meta's files: same names, same kinds of shapes.

# %%
DOWNLOAD = False
WEIGHTS = ""

# %% folded=true
folder = Path(tempfile.mkdtemp())
small = Grid(frames=8, height=64, width=64, tubelet=2, patch=16)
torch.manual_seed(0)
encoder = Encoder(small, dim=96, depth=2, heads=4, positions="rotary-tiled").eval()
predictor = Predictor(small, dim=96, inner=48, depth=1, heads=2, groups=10, positions="rotary-tiled").eval()
for network in (encoder, predictor):
    init_linear(network, "xavier")  # random weights that keep numbers at a sensible size
parts = {"encoder": encoder, "target_encoder": encoder, "predictor": predictor}
ours = {f"{part}.{key}": value for part, network in parts.items() for key, value in network.state_dict().items()}
made = folder / "like-meta.pt"
torch.save(to_original(ours, small), made)

# %%
held = torch.load(made, weights_only=True)
translated = [key for key in from_original(held) if key.startswith("encoder.")]
print("parts of the file:", list(held))
for (theirs, value), name in list(zip(held["encoder"].items(), translated))[:6]:
    print(f"  {theirs:45} {tuple(value.shape)!s:20} is our {name}")

# %% [markdown]
# The file differs from our classes in three ways. Two are packaging: the names, and the tubelet embedding, a `Conv3d` of shape [D, C, 2, 16, 16] that lesson 01 showed to be our
# linear layer. The third matters: the file has **ten mask tokens**. V-JEPA 1 has one for each mask group. V-JEPA 2 numbers them by clip length, and
# its recipes use one length, so both groups share the first token and nine stay zero. On the Hugging Face hub, the code takes the second unless told
# otherwise, and that one is zero.
#
# `load_pretrained` reads such a file, translates it, and builds networks to fit. Two things this file doesn't tell you: the size of your clips, and the
# number of heads, which only cut the same numbers differently.

# %%
loaded = load_pretrained(str(made), clip=(8, 64, 64), heads=4, predictor_heads=2)
print("layout:", loaded.layout, "| positions:", loaded.encoder.positions)

# %% folded=true
# NBVAL_CHECK_OUTPUT
clips, _ = DigitClips(small, "test").batch(step=0, index=torch.arange(4))
context, target = torch.arange(32).expand(4, -1), torch.arange(32, 64).expand(4, -1)
with torch.no_grad():
    z = encoder(clips, context)
    same = torch.equal(loaded.encoder(clips), encoder(clips))
    same_predictions = torch.equal(loaded.predictor(z, context, target), predictor(z, context, target))
del held["encoder"]["module.backbone.norm.weight"]
torch.save(held, folder / "short.pt")
try:
    load_pretrained(str(folder / "short.pt"), clip=(8, 64, 64), heads=4, predictor_heads=2)
    refused = False
except ValueError as error:
    refused = "norm.weight is missing" in str(error)
check("loading", same and same_predictions and refused,
      "what is written in that layout is read back to the same numbers, and a file that lacks one tensor is refused")  # fmt: skip

# %% [markdown]
# So our reader inverts our writer. That doesn't prove that it matches Meta's model; for that we need other people's code. If the package
# `transformers` is installed (`pip install 'minivjepa[parity]'`), its `VJEPA2Model` writes random weights in its own layout, and we read them.

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
# With the quirk it agrees to rounding; without it, it doesn't. And nothing warns you, because all shapes fit. How far off are the features of our
# random file?

# %%
wrong = load_pretrained(str(made), clip=(8, 64, 64), heads=4, predictor_heads=2, positions="rotary").encoder
with torch.no_grad():
    right, other = encoder(clips), wrong(clips)
off = float((right - other).norm() / right.norm())
guess("Positions of the wrong kind: by how many percent do the features change?", round(100 * off))

# %% [markdown]
# That's two blocks of random weights; trained ones may differ more. `docs/fidelity.md` lists details like this one, each with a test.
#
# ## Momentum and schedule
#
# V-JEPA 1's momentum goes from .998 to nearly 1, and its learning rate falls along a cosine. V-JEPA 2 keeps one momentum, .99925, and after the
# warm-up (drawn as long as V-JEPA 1's) one learning rate and one weight decay. Before its last phase, nothing depends on where the run ends, so you can always extend it.

# %%
first = PRESETS["vitl"]
second = replace(
    first, momentum=0.99925, final_momentum=0.99925, start_lr=0.19, final_lr=1.0, final_weight_decay=0.04, clip_grad=0.0
)
ratio = half_life(0.99925) / half_life(0.998)
guess("V-JEPA 2's half-life, as a multiple of V-JEPA 1's at its start?", round(ratio, 1))

# %%
show(schedules({"V-JEPA 1": first, "V-JEPA 2": second}))

# %% folded=true
# NBVAL_CHECK_OUTPUT
print(
    "half-lives in steps: V-JEPA 1 at first", round(half_life(0.998)), "and V-JEPA 2 always", round(half_life(0.99925))
)
assert (round(half_life(0.998)), round(half_life(0.99925))) == (346, 924)

# %% [markdown]
# (Not drawn: a last phase on longer clips, with a falling rate. V-JEPA 2 also saw images, and far more video.)
#
# ## Look at its features
#
# A clip's features as colors. With random weights you only see that all parts fit together; with released ones, set above, you see what they
# learned.

# %%
source = WEIGHTS or ("facebook/vjepa2-vitl-fpc64-256" if DOWNLOAD else "")
eyes = load_pretrained(source, clip=(16, 256, 256), parts=("encoder",)).encoder if source else loaded.encoder
shown, _ = DigitClips(eyes.grid, "test").batch(0, torch.arange(1))
frames = torch.from_numpy((255 * displayed(shown)[0]).astype("uint8"))  # [T, H, W, 3], as a video file has them
with torch.no_grad():
    tokens = eyes(normalise(frames.permute(0, 3, 1, 2))[None])[0].unflatten(0, eyes.grid.shape)
title = f"weights {source}" if source else "random weights: pixels and places, nothing learned"
show(feature_strip(frames.numpy(), tokens.numpy(), title))

# %% [markdown]
# For your own video: `minivjepa embed clip.mp4 --weights WEIGHTS --out clip.npz --picture clip.gif`. It normalizes colors by ImageNet's mean
# and spread, as in training.
#
# ## Break it
#
# Give the file the wrong number of heads. The shapes of all weights still fit. What happens?
#
# <details><summary>What to expect</summary>
#
# With 2 heads it loads, and its features are different: Meta's files don't say how many heads there are. Hugging Face's files come with a
# `config.json`, and there a wrong number is refused.
# </details>

# %%
mine = load_pretrained(str(made), clip=(8, 64, 64), heads=4, predictor_heads=2).encoder  # make this 2 heads
with torch.no_grad():
    print("the same features as before:", torch.allclose(mine(clips), encoder(clips), atol=1e-5))

# %%
guess.table()

# %% [markdown]
# ## Three questions
#
# <details><summary>1. Which of the loaded parts do you need to embed a video?</summary>
#
# One encoder. The predictor and the other encoder were for training.
# </details>
#
# <details><summary>2. Why can a model with rotary positions read longer clips than it was trained on?</summary>
#
# There's no table with a row for each place: every place has angles. How well it does at distances it has never seen is another question.
# </details>
#
# <details><summary>3. Weights load without an error, and the features are bad. Name three suspects.</summary>
#
# The scheme of the positions, the number of heads, and how pixels are normalized. None of them changes a shape.
# </details>
#
# **In the package:** `rotary.py`, `released/names.py`, `released/load.py`. **In the papers:** V-JEPA 2 (arXiv 2506.09985); RoPE (arXiv 2104.09864).
# **Next:** 11, one term in place of three tricks.
