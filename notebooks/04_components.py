# %% [markdown]
# # 04 Three components
#
# **At the end you can explain** the three networks of V-JEPA, what each of them is allowed to see, where gradients go and
# where they do not; and you will have built all three in some forty lines.
#
# *40 minutes, seconds of them for the computer. Any laptop.*
# You need: lessons 01 to 03; what a gradient is.

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
import copy
import inspect
from dataclasses import replace

import torch
from torch import nn

from minivjepa.course.figures.component_diagram import three_components
from minivjepa.course.lesson import check, compare, show
from minivjepa.data.digits import DigitClips
from minivjepa.predictor import Predictor
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_model, sample_masks
from minivjepa.transformer import Block
from minivjepa.tubelets import gather_tokens, patchify, sincos_positions, unpatchify

# %% [markdown]
# ## The idea
#
# A **student** sees part of a clip. A **teacher** sees all of it. The student must guess what the teacher thinks of the part
# that it cannot see. Not the pixels there: the teacher's *features*, vectors of numbers that nobody has defined in advance.
#
# - The **online encoder** turns the visible tubelets into vectors.
# - The **predictor** turns those, and the *places* of the hidden tubelets, into guesses. Online encoder and predictor
#   together are the student.
# - The **target encoder** turns all tubelets into vectors, and those at the hidden places are what was to be guessed. It is
#   a slow copy of the online encoder: the teacher is the student's own past.
#
# ## Build them by hand
#
# A clip of 4 frames of 16 x 16 pixels is 8 tubelets here: small enough to look at. For each hidden place the predictor gets one
# and the same learned vector, the *mask token*, plus the position of that place: where to look, and nothing of what is there.

# %%
config = replace(PRESETS["tiny"], masks=("random:0.625",), predictor_dim=16)
grid, D, P = config.grid, config.dim, config.predictor_dim
clips, _ = DigitClips(grid).batch(step=0, index=torch.arange(4))
[(context, target)] = sample_masks(config, step=0, index=torch.arange(4))
print("clip", tuple(clips.shape), " context", context[0].tolist(), " target", target[0].tolist())

# %%


class MyEncoder(nn.Module):
    """Tubelets [B, K, values] and their ids [B, K] -> vectors [B, K, D]."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(grid.values, D)
        self.block = Block(D, heads=2)
        self.norm = nn.LayerNorm(D, eps=1e-6)

    def forward(self, tubelets, ids):
        return self.norm(self.block(self.project(tubelets) + sincos_positions(grid, D)[ids]))


class MyPredictor(nn.Module):
    """Vectors of the context [B, K, D], its ids, and the ids to guess [B, M] -> guesses [B, M, D]."""

    def __init__(self):
        super().__init__()
        self.enter, self.leave = nn.Linear(D, P), nn.Linear(P, D)
        self.mask_token = nn.Parameter(torch.zeros(P))
        self.block = Block(P, heads=2)
        self.norm = nn.LayerNorm(P, eps=1e-6)

    def forward(self, z, context, target):
        places = sincos_positions(grid, P)
        asked = self.mask_token + places[target]  # where to look: nothing else is known of the hidden tubelets
        x = self.block(torch.cat([self.enter(z) + places[context], asked], dim=1))
        return self.leave(self.norm(x[:, context.shape[1] :]))


torch.manual_seed(0)
online, predictor = MyEncoder(), MyPredictor()
teacher = copy.deepcopy(online)  # a copy: from now on it has weights of its own

tubelets = patchify(clips, grid)
everything = torch.arange(grid.tokens).expand(4, -1)
seen = online(gather_tokens(tubelets, context), context)
guess = predictor(seen, context, target)
with torch.no_grad():
    h = teacher(tubelets, everything)
wanted = gather_tokens(h, target)
print(
    "student saw",
    tuple(seen.shape),
    "and guessed",
    tuple(guess.shape),
    "; the teacher's answer is",
    tuple(wanted.shape),
)

# %% [markdown]
# That is V-JEPA's forward pass, up to the comparison. The package has the same three, with as many blocks as you like, and one
# mask token per mask group (lesson 02 had two groups, short and long). Put its weights into yours and compare:

# %% folded=true
# NBVAL_CHECK_OUTPUT
model = build_model(config)


def into_mine(state):
    """The package's weights under the names of the classes above; a position table is no weight."""
    return {key.replace("embed.project", "project").replace("blocks.0", "block"): value for key, value in state.items()}


online.load_state_dict(into_mine(model.encoder.state_dict()))
theirs = into_mine(model.predictor.state_dict())
predictor.load_state_dict(
    {**{k: v for k, v in theirs.items() if k != "mask_tokens"}, "mask_token": theirs["mask_tokens"][0]}
)
z = model.encoder(clips, context)
same_vectors = torch.allclose(online(gather_tokens(tubelets, context), context), z, atol=1e-5)
same_guesses = torch.allclose(predictor(z, context, target), model.predictor(z, context, target), atol=1e-5)
print("your encoder and the package's say the same:", same_vectors)
print("your predictor and the package's say the same:", same_guesses)
assert same_vectors and same_guesses

# %% [markdown]
# ## All of it in one picture

# %%
h = model.targets(clips)
shapes = {
    "clip": clips.shape,
    "context": z.shape,
    "prediction": model.predictor(z, context, target).shape,
    "features": h.shape,
    "target": gather_tokens(h, target).shape,
}
show(three_components(shapes))

# %% [markdown]
# Three things in it are for lesson 05: the LayerNorm on the teacher's side, `mean |.|`, which is the loss, and EMA (exponential
# moving average), which is what "slow copy" means. The shapes are [B, K, D] for the context, [B, M, D] for guesses and
# answers, [B, N, D] for all that the teacher says.

# %% folded=true
# NBVAL_CHECK_OUTPUT
B, K, M, N = len(clips), context.shape[1], target.shape[1], grid.tokens
as_drawn = {name: tuple(shape) for name, shape in shapes.items()}
print("K, M and N are", K, M, N)
check("P4", as_drawn["context"] == (B, K, D) and as_drawn["prediction"] == as_drawn["target"] == (B, M, D) and as_drawn["features"] == (B, N, D),
      "student (online encoder and predictor) and teacher (target encoder) meet in vectors of one shape, [B, M, D]")  # fmt: skip

# %% [markdown]
# ## Can the student cheat?
#
# If one hidden pixel reached the online encoder, the task would be easier than it looks, and nobody would notice: the loss
# would only be lower. So test it: replace all hidden pixels by nonsense.
#
# **Predict:** by how much do the context vectors change? (`"not at all"`, `"a little"` or `"a lot"`)

# %%
my_guess_about_a_leak = None

# %%
poisoned = tubelets.clone()
poisoned.scatter_(1, target[..., None].expand(-1, -1, grid.values), 1e6)
poisoned = unpatchify(poisoned, grid)
before, after = model.encoder(clips, context), model.encoder(poisoned, context)
compare("the context vectors change", my_guess_about_a_leak, "not at all" if torch.equal(before, after) else "they do")
print(
    f"  the teacher's features of the same clips change by up to {float((model.targets(poisoned) - model.targets(clips)).abs().max()):.1f}"
)

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("P1", torch.equal(before, after) and tuple(before.shape) == (B, K, D) and not torch.equal(model.targets(poisoned), model.targets(clips)),
      "one vector per visible tubelet, and hidden pixels change not one bit of them; the teacher sees those pixels")  # fmt: skip

# %% [markdown]
# ## What does the predictor see?
#
# Look at its signature. There is no clip in it.

# %%
print("Predictor.forward", inspect.signature(Predictor.forward))

# %% folded=true
# NBVAL_CHECK_OUTPUT
arguments = list(inspect.signature(Predictor.forward).parameters)
moved = target.roll(1, dims=1)  # ask for the same places in another order
elsewhere = model.predictor(z, context, context[:, :1])  # and for another place
follows = torch.allclose(
    model.predictor(z, context, moved), model.predictor(z, context, target).roll(1, dims=1), atol=1e-5
)
print("it is told: ", ", ".join(arguments[1:]))
depends = not torch.allclose(elsewhere, model.predictor(z, context, target[:, :1]), atol=1e-3)
check("P2", arguments == ["self", "context", "context_ids", "target_ids", "group"] and follows and depends,
      "no argument of the predictor is a clip; another place gives another guess, and guesses come in the order of the places")  # fmt: skip

# %% [markdown]
# ## Where do gradients go?
#
# **Predict:** after one backward pass, which of the three have gradients? Write a list such as `["predictor"]`.

# %%
my_list_of_those_with_gradients = None

# %%
model.zero_grad()
loss = model(clips, [(context, target)])
loss.backward()
parts = {"online encoder": model.encoder, "predictor": model.predictor, "target encoder": model.target_encoder}
audit = {
    name: {
        "with": sum(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in part.parameters()),
        "without": sum(p.grad is None for p in part.parameters()),
    }
    for name, part in parts.items()
}
compare("with gradients", my_list_of_those_with_gradients, [name for name, count in audit.items() if count["with"]])
for name, count in audit.items():
    print(f"  {name:15} tensors with a gradient: {count['with']:2}, without: {count['without']:2}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
learns = all(audit[name]["with"] == len(list(parts[name].parameters())) for name in ("online encoder", "predictor"))
rests = audit["target encoder"]["with"] == 0 and all(not p.requires_grad for p in model.target_encoder.parameters())
check(
    "P3",
    learns and rests,
    "every parameter of online encoder and predictor has a gradient, and none of the target encoder",
)

# %% [markdown]
# So the teacher does not learn from mistakes. It changes in one way only, after each step: every one of its weights moves a
# small part of the way towards the student's. Why anyone would want that is lesson 05; what happens without it you have seen in
# lesson 00, and lessons 06 and 07 take it apart.
#
# ## Break it
#
# Hide *after* embedding instead of before: change the line below to `gather_tokens(model.encoder(clip), context)`, so that the
# encoder attends over all tubelets and only the visible vectors are kept. The shapes are the same. Does the leak test pass?
#
# <details><summary>What to expect</summary>
#
# It does not. Every visible token has looked at the hidden ones by then, and nothing but this test would tell you.
# </details>

# %%


def encode(clip):
    """Vectors of the visible tubelets [B, K, D]."""
    return model.encoder(clip, context)  # change this line


print("same shape:", encode(clips).shape == before.shape)
print("unchanged by hidden pixels:", torch.equal(encode(clips), encode(poisoned)))

# %% [markdown]
# ## Three questions
#
# <details><summary>1. Why does the teacher see everything, and not only the hidden part?</summary>
#
# A tubelet means something only together with what is around it. Features of the hidden part alone would be poorer, and there would
# be less to learn from guessing them.
# </details>
#
# <details><summary>2. Why is the predictor narrow?</summary>
#
# It is cheaper (lesson 03). And the encoder is what we want to keep: a predictor that is too small to do the understanding itself
# leaves it to the encoder. That is the intention; this course does not test it.
# </details>
#
# <details><summary>3. What would happen if mask tokens carried no position?</summary>
#
# All hidden tubelets would get the same guess, for the predictor could not know which of them it is asked for.
# </details>
#
# **In the package:** `minivjepa/encoder.py`, `minivjepa/predictor.py`, `minivjepa/ema.py`, `minivjepa/vjepa.py`. **In the paper:** V-JEPA (arXiv
# 2404.08471), section 3.1. **Next:** 05, the one line of loss.
