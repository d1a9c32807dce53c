# %% [markdown]
# # 04 Three components
#
# ![You are here: three components and what flows between them. The diagram of V-JEPA. In full color: everything.](attachment:here-04.png)
#
# **At the end you can explain** V-JEPA's three networks, what each of them is allowed to see, and where gradients go and where they don't.
# And you'll have built all three in about forty lines.
#
# *40 minutes, including a few seconds of computing. Any laptop.*
# You need: lessons 01 and 02, and to know what a gradient is and what a transformer block is (lesson 03 has both its parts).

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

from minivjepa.data.digits import DigitClips
from minivjepa.masking import RandomMask
from minivjepa.predictor import Predictor
from minivjepa.training.config import PRESETS
from minivjepa.training.recipe import build_model, sample_masks
from minivjepa.transformer import Block
from minivjepa.tubelets import Grid, gather_tokens, patchify, sincos_positions, unpatchify
from minivjepa_course.homework.checking import attempt, solution
from minivjepa_course.lesson import check, show
from minivjepa_course.pictures.component_diagram import three_components
from minivjepa_course.pictures.mask_maps import masked_strip
from minivjepa_course.predictions import Predictions

guess = Predictions()

# %% [markdown]
# Here's a clip, most of it covered. What's under the blue?

# %%
scene = Grid(frames=8, height=32, width=32, tubelet=2, patch=8)
show(masked_strip(scene, RandomMask(hide=0.625).sample(scene, seed=0, step=0, index=torch.arange(1)), "a random mask"))

# %% [markdown]
# You can't paint the missing pixels one by one: the frame is full of noise. But you can say a lot about what's there: the digit
# continues here, the frame is empty there. V-JEPA asks for that kind of answer.
#
# A **student** sees part of a clip. A **teacher** sees all of it. The student has to guess what the teacher makes of the hidden part: not
# its pixels but the teacher's *features*, vectors of numbers whose meaning is never defined in advance.
#
# - The **online encoder** turns the visible tubelets into vectors, the context. Papers also call it the context encoder or x-encoder.
# - The **predictor** turns those, and the *places* of the hidden tubelets, into guesses. The online encoder and the predictor together are
#   the student.
# - The **target encoder** is the teacher. It turns all tubelets into vectors, and its features at the hidden places are the answers. It's
#   a slow copy of the online encoder: the student's own past. The V-JEPA paper calls it the y-encoder.
#
# ## The online encoder
#
# You'll build all three on a smaller clip: 4 frames of 16 x 16 pixels, so 8 tubelets, few enough to print.

# %%
config = replace(PRESETS["tiny"], masks=("random:0.625",), predictor_dim=16)
grid, D, P = config.grid, config.dim, config.predictor_dim
clips, _ = DigitClips(grid).batch(step=0, index=torch.arange(4))
[(context, target)] = sample_masks(config, step=0, index=torch.arange(4))
print("clip", tuple(clips.shape), " context", context[0].tolist(), " target", target[0].tolist())

# %% [markdown]
# The encoder is made of what you know from lessons 01 to 03: a linear layer, positions, and transformer blocks, here just one.

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


torch.manual_seed(0)
online = MyEncoder()
tubelets = patchify(clips, grid)
z = online(gather_tokens(tubelets, context), context)
guess("Of 8 tubelets, 5 are hidden. How many vectors does the online encoder return for one clip?", z.shape[1])

# %%
shapes = {"clip": clips.shape, "context": z.shape}
show(three_components(shapes, parts=1))

# %% [markdown]
# ## The predictor
#
# The predictor is a transformer too, so it needs a token for each thing it should guess. But what goes into the token of a tubelet it isn't
# allowed to see? Every hidden place gets the same learned vector, the **mask token**, plus the position of that place. It says where to
# look, and nothing about what's there.
#
# ## Write it: `tokens` (medium, 8 minutes)
#
# Make the predictor's list for each clip: first the K context vectors, each plus the position of its place; then M mask tokens, each plus
# the position of a hidden place. Row p of `table` is the position of place p. Every clip has its own ids.
#
# <details><summary>Hint 1</summary>
#
# Index the table with ids: `table[context_ids]` has the shape [B, K, P].
# </details>
#
# <details><summary>Hint 2</summary>
#
# You don't have to repeat the mask token: [P] plus [B, M, P] is [B, M, P]. `torch.cat` joins the two parts along the list, `dim=1`.
# </details>
#
# <details><summary>Hint 3</summary>
#
# The whole solution: `solution("04", "tokens")`.
# </details>


# %% exercise="tokens"
def tokens(context, context_ids, target_ids, table, mask_token):
    """Vectors [B, K, P], ids [B, K] and [B, M], positions [N, P], mask token [P] -> the predictor's list [B, K + M, P]."""
    ### BEGIN SOLUTION
    seen = context + table[context_ids]
    hidden = mask_token + table[target_ids]
    return torch.cat([seen, hidden], dim=1)
    ### END SOLUTION


attempt("04", tokens)

# %% [markdown]
# Your function is the heart of the predictor. Around it go a layer down to the predictor's narrower width P, a block, and a layer back up
# to D. The guesses are what comes out at the mask tokens.

# %%


class MyPredictor(nn.Module):
    """Vectors of the context [B, K, D], its ids, and the ids to guess [B, M] -> guesses [B, M, D]."""

    def __init__(self):
        super().__init__()
        self.enter, self.leave = nn.Linear(D, P), nn.Linear(P, D)
        self.mask_token = nn.Parameter(torch.zeros(P))
        self.block = Block(P, heads=2)
        self.norm = nn.LayerNorm(P, eps=1e-6)

    def forward(self, z, context, target):
        x = self.block(tokens(self.enter(z), context, target, sincos_positions(grid, P), self.mask_token))
        return self.leave(self.norm(x[:, context.shape[1] :]))


predictor = MyPredictor()
guesses = predictor(z, context, target)
shapes["prediction"] = guesses.shape
show(three_components(shapes, parts=2))

# %% [markdown]
# What does the predictor know? Look at the signature of the package's predictor: there's no clip in it.

# %%
print("Predictor.forward", inspect.signature(Predictor.forward))

# %%
turned = predictor(z, context, target.roll(1, dims=1))  # ask for the same places in another order
follows = torch.allclose(turned, guesses.roll(1, dims=1), atol=1e-5)
guess(
    "Ask for the same hidden places in a different order. The guesses ...",
    "come in the new order" if follows else "change",
    choices=["stay where they were", "come in the new order", "change"],
)

# %% folded=true
# NBVAL_CHECK_OUTPUT
model = build_model(config)  # the package's three components
arguments = list(inspect.signature(Predictor.forward).parameters)
depends = True
for each in (predictor, model.predictor):
    asked = each(z, context, target)
    moved = each(z, context, target.roll(1, dims=1))
    follows = follows and torch.allclose(moved, asked.roll(1, dims=1), atol=1e-5)
    elsewhere = each(z, context, context[:, :1])  # ask for another place
    depends = depends and not torch.allclose(elsewhere, each(z, context, target[:, :1]), atol=1e-3)
print("it is told: ", ", ".join(arguments[1:]))
check("P2", arguments == ["self", "context", "context_ids", "target_ids", "group"] and follows and depends,
      "no argument of the predictor is a clip; another place gives another guess, and guesses come in the order of the places")  # fmt: skip

# %% [markdown]
# `group` picks the mask token: the package has one per mask group. Lesson 02 had two groups, short and long.
#
# ## The target encoder
#
# The teacher starts as an exact copy of the student's encoder, with its own weights, which get no gradient.

# %%
teacher = copy.deepcopy(online).requires_grad_(False)

# %% [markdown]
# Why `deepcopy`? Try the shorter line on a spare student, and change one of its weights.

# %%
spare = copy.deepcopy(online)
shorter = spare  # instead of a copy
with torch.no_grad():
    spare.norm.bias += 1
guess(
    "After teacher = online, one of the student's weights changes. The teacher's weight ...",
    "changes too" if torch.equal(shorter.norm.bias, spare.norm.bias) else "stays",
    choices=["stays", "changes too"],
)

# %% [markdown]
# `=` copies nothing: it gives the student a second name. `deepcopy` makes a second network:

# %% folded=true
# NBVAL_CHECK_OUTPUT
pairs = list(zip(teacher.parameters(), online.parameters(), strict=True))
equal = sum(torch.equal(ours, theirs) for ours, theirs in pairs)
shared = sum(ours.data_ptr() == theirs.data_ptr() for ours, theirs in pairs)
learning = sum(ours.requires_grad for ours, _ in pairs)
assert equal == len(pairs) and shared == learning == 0
print(
    f"verified: of the teacher's {len(pairs)} weight tensors, {equal} equal the student's, {shared} share memory, {learning} take a gradient"
)

# %% [markdown]
# ## Write it: `answers` (easy, 5 minutes)
#
# The teacher gives features for all N tubelets. Take those at the hidden places: answer m of a clip belongs to place `target_ids[clip, m]`.
# Keep that order, because answer m will be compared with guess m.
#
# <details><summary>Hint 1</summary>
#
# For a single clip it's `features[0][target_ids[0]]`.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Do that for each clip in a loop, and put the pieces together with `torch.stack`.
# </details>
#
# <details><summary>Hint 3</summary>
#
# The whole solution: `solution("04", "answers")`.
# </details>


# %% exercise="answers"
def answers(features, target_ids):
    """The teacher's features [B, N, D] and hidden places [B, M] -> the features at those places [B, M, D]."""
    ### BEGIN SOLUTION
    return torch.stack([h[ids] for h, ids in zip(features, target_ids)])
    ### END SOLUTION


attempt("04", answers)

# %% [markdown]
# The teacher reads the whole clip, your function picks the answers, and the guesses meet them. Here's V-JEPA's forward pass up to the
# comparison, in one picture:

# %%
everything = torch.arange(grid.tokens).expand(len(clips), -1)
h = teacher(tubelets, everything)
wanted = answers(h, target)
shapes |= {"features": h.shape, "target": wanted.shape}
show(three_components(shapes))

# %% [markdown]
# Left for lesson 05: the LayerNorm on the teacher's side, the loss, the stop, and EMA (exponential moving average), which is what
# "slow copy" means. The shapes are [B, K, D] for the context, [B, M, D] for guesses and answers, and [B, N, D] for all of the teacher's
# features.

# %% folded=true
# NBVAL_CHECK_OUTPUT
B, K, M, N = len(clips), context.shape[1], target.shape[1], grid.tokens
as_drawn = {name: tuple(shape) for name, shape in shapes.items()}
theirs = {
    "context": tuple(model.encoder(clips, context).shape),
    "prediction": tuple(model.predict(clips, [(context, target)])[0].shape),
    "features": tuple(model.targets(clips).shape),
}
assert all(as_drawn[name] == shape for name, shape in theirs.items()), "the package's shapes are not those of yours"
print("K, M and N are", K, M, N)
check("P4", as_drawn["context"] == (B, K, D) and as_drawn["prediction"] == as_drawn["target"] == (B, M, D) and as_drawn["features"] == (B, N, D),
      "student (online encoder and predictor) and teacher (target encoder) meet in vectors of one shape, [B, M, D]")  # fmt: skip

# %% [markdown]
# ## Can the student cheat?
#
# If one hidden pixel reached the online encoder, the task would be easier than it looks, and you wouldn't notice: the loss would just be
# lower. So test it. Replace all hidden pixels with nonsense, and run your encoder again.

# %%
poisoned = tubelets.clone()
poisoned.scatter_(1, target[..., None].expand(-1, -1, grid.values), 1e6)


def change(before, after):
    """How much a tensor has changed, in words."""
    size = ((after - before).norm() / before.norm()).item()
    return "not at all" if torch.equal(before, after) else "a little" if size < 0.1 else "a lot"


before, after = z, online(gather_tokens(poisoned, context), context)
guess(
    "With nonsense in all hidden pixels, the context vectors change ...",
    change(before, after),
    choices=["not at all", "a little", "a lot"],
)
print("The teacher's features of the same clips change", change(h, teacher(poisoned, everything)))

# %% [markdown]
# Now the same test with your guesses, and with the package's encoder and teacher, which cut up the clip themselves:

# %% folded=true
# NBVAL_CHECK_OUTPUT
nonsense = unpatchify(poisoned, grid)
clean = [z, guesses, model.encoder(clips, context)]
dirty = [after, predictor(after, context, target), model.encoder(nonsense, context)]
sealed = all(torch.equal(one, other) for one, other in zip(clean, dirty))
teachers_see = not torch.equal(teacher(poisoned, everything), h) and not torch.equal(
    model.targets(nonsense), model.targets(clips)
)
check("P1", sealed and tuple(before.shape) == tuple(clean[2].shape) == (B, K, D) and teachers_see,
      "one vector per visible tubelet, bit for bit the same whatever the hidden pixels are; the teacher sees those pixels")  # fmt: skip

# %% [markdown]
# ## Where do gradients go?
#
# Run one backward pass from the mean absolute difference between guesses and answers:

# %%
once_more = predictor(online(gather_tokens(tubelets, context), context), context, target)
(once_more - wanted).abs().mean().backward()


def audit(parts):
    """Name -> how many weight tensors got a gradient, and how many got none."""
    counts = {}
    for name, part in parts.items():
        got = [p.grad is not None and bool(p.grad.any()) for p in part.parameters()]
        counts[name] = sum(got), len(got) - sum(got)
    return counts


mine = audit({"online encoder": online, "predictor": predictor, "target encoder": teacher})
guess(
    "Which of the three have gradients now?",
    " and ".join(name for name, (some, _) in mine.items() if some),
    choices=["predictor", "online encoder and predictor", "online encoder and predictor and target encoder"],
)

# %% folded=true
# NBVAL_CHECK_OUTPUT
model(clips, [(context, target)]).backward()  # the package's loss
package = audit({"online encoder": model.encoder, "predictor": model.predictor, "target encoder": model.target_encoder})
for name, (some, none) in mine.items():
    print(f"{name:15} your tensors with a gradient: {some:2}, without: {none:2}")
learns = all(both[name][1] == 0 for both in (mine, package) for name in ("online encoder", "predictor"))
rests = all(both["target encoder"][0] == 0 for both in (mine, package))
rests = rests and not any(p.requires_grad for part in (teacher, model.target_encoder) for p in part.parameters())
check(
    "P3",
    learns and rests,
    "every parameter of online encoder and predictor has a gradient, and none of the target encoder's has",
)

# %% [markdown]
# So the teacher doesn't learn from mistakes. It changes in one way only: after each step, every one of its weights moves a small part of
# the way toward the student's. Lesson 05 asks why you'd want that, and lesson 07 takes it away.
#
# ## Is yours the real thing?
#
# The package has the same three networks, with as many blocks as you like. Load its weights into copies of yours and compare:


# %% folded=true
# NBVAL_CHECK_OUTPUT
def into_mine(state):
    """The package's weights under the names of the classes above; position tables are not weights."""
    return {key.replace("embed.project", "project").replace("blocks.0", "block"): value for key, value in state.items()}


weights = into_mine(model.predictor.state_dict())
weights["mask_token"] = weights.pop("mask_tokens")[0]
encoder, guesser, slow = (copy.deepcopy(yours) for yours in (online, predictor, teacher))
encoder.load_state_dict(into_mine(model.encoder.state_dict()))
guesser.load_state_dict(weights)
slow.load_state_dict(into_mine(model.target_encoder.state_dict()))
vectors = encoder(gather_tokens(tubelets, context), context)
theirs = [
    model.encoder(clips, context),
    model.predict(clips, [(context, target)])[0],
    gather_tokens(model.targets(clips), target),
]
ours = [vectors, guesser(vectors, context, target), answers(slow(tubelets, everything), target)]
assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(ours, theirs))
print("verified: with the same weights, your vectors, your guesses and your teacher's answers are the package's")

# %% [markdown]
# ## Break it
#
# Hide *after* the encoder instead of before it: let it read all tubelets, and keep only the vectors of the visible ones.

# %%


def encode_late(tubelets):
    """Vectors of the visible tubelets [B, K, D], from an encoder that has read them all."""
    return gather_tokens(online(tubelets, everything), context)


print("same shape:", encode_late(tubelets).shape == z.shape)
guess(
    "Run the leak test again with this encoder: the context vectors change ...",
    change(encode_late(tubelets), encode_late(poisoned)),
    choices=["not at all", "a little", "a lot"],
)

# %% [markdown]
# <details><summary>What happens</summary>
#
# It leaks. By then, every visible token has looked at the hidden ones, and no shape would tell you.
# </details>
#
# ## Three questions
#
# <details><summary>1. Why does the teacher see everything, and not just the hidden part?</summary>
#
# A tubelet means something only together with what's around it. Features of the hidden part by itself would likely be poorer. This
# course doesn't test it.
# </details>
#
# <details><summary>2. Why is the predictor narrow?</summary>
#
# It's cheaper (lesson 03). And the encoder is what we want to keep: a predictor that's too small to do the understanding itself
# leaves it to the encoder. That's the intention; this course doesn't test it.
# </details>
#
# <details><summary>3. What would happen if mask tokens carried no position?</summary>
#
# All hidden tubelets of a clip would get the same guess, because the predictor couldn't tell which of them it's being asked for.
# </details>

# %%
guess.table()

# %% [markdown]
# **In the package:** `minivjepa/encoder.py`, `minivjepa/predictor.py`, `minivjepa/ema.py`, `minivjepa/vjepa.py`. **In the paper:** V-JEPA (arXiv
# 2404.08471), section 3.1. **Next:** 05, the one line of loss.
