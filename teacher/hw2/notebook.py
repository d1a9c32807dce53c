# %% [markdown]
# # Homework 2: attention, three components, one loss
#
# After lessons 03 to 05. Eight exercises, 27 points, two to three hours.
#
# In each you write one function. The cell below it is its **check**: it stops with a message that says what is probably wrong, or prints that
# all visible cases are right. Your teacher also runs cases that you do not see, at other sizes and settings, so make it right in general.
#
# - Write where it says `raise NotImplementedError()`, and keep the names of functions and arguments.
# - You may use torch, numpy and einops. The package's own function for a task is *blocked* in its check: writing it is the task. The rules here
#   also differ from the package's in places, so read them.
# - Prefer torch: no gradient flows through numpy, and the V-JEPA at the end needs gradients.
# - Do not change the inputs, gradients of tensors included: make new tensors. If you switch gradients off, switch them on again.
# - Numbers come as float32 tensors and ids as int64, unless an exercise says something else. Counts are 1 or more, unless it says that they may be 0.
# - Stuck? Open the hints one after the other.
#
# The exercises go from easy to hard, and no exercise needs the answer to another. At the end is the **capstone**: your eight functions become a V-JEPA
# that trains on moving handwriting, and then you take your own stop-gradient away.
#
# Axes are called as in the lessons: B clips, N tubelets of a clip, K of them kept, M hidden, D the encoder's width, P the predictor's.

# %%
import math
from collections.abc import Callable, Iterator
from copy import deepcopy

import einops
import numpy as np
import torch
from torch import Tensor

from minivjepa_course.homework import check, is_right

# %% [markdown]
# ## 1. Embed what is kept (3 points, easy, 15 minutes)
#
# `tubelets` is [B, N, values]: the raw pixels of all tubelets. `ids` is int64 [B, K]: the tubelets that each clip keeps, in any order, none twice.
#
# 1. Take the kept tubelets of each clip, in the order of its ids. Hide first, then compute: the other tubelets have no part in the result.
# 2. Embed each, its pixels as they are: `tubelet @ weight.T + bias`, with `weight` [D, values] and `bias` [D].
# 3. Add to each the position of its id: that row of `positions` [N, D].
#
# Return [B, K, D].
#
# <details><summary>Hint 1</summary><code>tubelets[b, ids[b]]</code> are the kept tubelets of clip b; <code>torch.stack</code> makes a batch of such pieces.</details>
# <details><summary>Hint 2</summary>Without a loop: <code>tubelets[clip, ids]</code>, where <code>clip</code> is a column of clip numbers, [B, 1].</details>
# <details><summary>Hint 3</summary><code>positions[ids]</code> is [B, K, D].</details>


# %% grade_id="embed_kept" kind="answer"
def embed_kept(tubelets: Tensor, ids: Tensor, weight: Tensor, bias: Tensor, positions: Tensor) -> Tensor:
    """tubelets [B, N, values], ids [B, K] -> vectors of the kept tubelets with positions, [B, K, D]."""
    ### BEGIN SOLUTION
    clip = torch.arange(len(ids))[:, None]
    return tubelets[clip, ids] @ weight.T + bias + positions[ids]
    ### END SOLUTION


# %% grade_id="check_embed_kept" kind="check" points=3
check("hw2", "embed_kept", embed_kept)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw2", "embed_kept", embed_kept)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. How slow is the teacher? (2 points, easy, 15 minutes)
#
# A run has `steps` steps, s = 0, 1, ... `steps` - 1. The momentum goes from `start` to `end`, up or down, both from 0 to 1. It reaches `end` at
# s = `steps` times `stretch`, which need not be a whole number; from then on it stays there. The share of the way is
# p = s / (`steps` times `stretch`), at most 1. The momentum of step s is
#
# - start + (end - start) p, if `shape` is `"line"`, as in V-JEPA;
# - end - (end - start) (1 + cos(π p)) / 2, if `shape` is `"cosine"`, as in BYOL.
#
# For each momentum, say how slow it is. After n updates *with it*, momentum to the power of n of the old target remains. Return the smallest
# n = 1, 2, 3, ... for which that is **at most** `left`, or -1 if no n is large enough. Only momentum 1 has none: for any other, however near,
# n stays below a million. `left` is above 0 and below 1.
#
# Return two lists: the momenta, and these numbers of updates. Compute with Python's own floats (or float64): float32 has too few digits for a
# momentum near 1.
#
# <details><summary>Hint 1</summary>Write a function for one step, then a loop or list over the steps.</details>
# <details><summary>Hint 2</summary>You can simply try n = 1, 2, 3, ... Or use logarithms, with care at momentum 0.</details>


# %% grade_id="plan" kind="answer"
def plan(
    steps: int, start: float, end: float, stretch: float, shape: str, left: float
) -> tuple[list[float], list[int]]:
    """(momentum of each step, updates after which at most `left` of the old target is left)."""
    ### BEGIN SOLUTION
    momenta, updates = [], []
    for s in range(steps):
        p = min(1.0, s / (steps * stretch))
        if shape == "cosine":
            p = (1 - math.cos(math.pi * p)) / 2
        momentum = start + (end - start) * p
        momenta.append(momentum)
        if momentum == 1:
            updates.append(-1)
        elif momentum == 0:
            updates.append(1)
        else:
            updates.append(math.ceil(math.log(left) / math.log(momentum)))
    return momenta, updates
    ### END SOLUTION


# %% grade_id="check_plan" kind="check" points=2
check("hw2", "plan", plan)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw2", "plan", plan)
### END HIDDEN TESTS

# %% [markdown]
# Your momenta, and how slow they are:

# %% folded=true
if "get_ipython" in globals() and is_right("hw2", "plan", plan):  # only to look at
    from minivjepa.figures import Picture, curves
    from minivjepa_course.lesson import show

    runs = {
        "line, 0.99 to 1": plan(200, 0.99, 1.0, 1.25, "line", 0.5),
        "cosine, 0.99 to 1": plan(200, 0.99, 1.0, 1.25, "cosine", 0.5),
    }
    columns = {name: (range(200), momenta, updates) for name, (momenta, updates) in runs.items()}
    figure, axes = curves((9, 3.3), ["momentum, stretch 1.25", "updates until half is left"], columns, "step")
    ends = "; ".join(
        f"{name}: {updates[0]} updates at first, {updates[-1]} at the end" for name, (_, updates) in runs.items()
    )
    alt = f"Two panels of curves over 200 steps: the momentum rises, and so does the number of updates. {ends}."
    show(
        Picture(
            figure,
            alt,
            f"A target encoder that gets slower, by two of your plans. Until half of the old target is left, it takes: {ends}.",
        )
    )

# %% [markdown]
# ## 3. Follow (3 points, medium, 20 minutes)
#
# `target` is a dict: name -> tensor, the target encoder at the start. `students` is a list of dicts with the same names, shapes and types: the online
# encoder after each step of the optimizer. A student's dict may list the names in another order. `momenta` has one number for each step, from 0 to 1.
#
# - After step s: target = momentum of step s times target + (1 - that momentum) times student s.
# - Tensors named in the list `buffers` are not learned (a counter, a running mean, a table of flags). They are not averaged: the target takes over the
#   student's, in the student's type. Only the list decides what a buffer is, not a tensor's name or type: real numbers can be
#   buffers too. What is averaged is always float32.
#
# Return a list of dicts: the target after **each** step; without any step, an empty list. Make new tensors at each step, so that earlier entries stay
# as they were.
#
# <details><summary>Hint 1</summary>Write one step first: a new dict from an old dict and a student.</details>
# <details><summary>Hint 2</summary>Each step begins with what the step before has given.</details>
# <details><summary>Hint 3</summary><code>mul_</code>, <code>lerp_</code> and <code>+=</code> change a tensor in place; <code>a * b + c</code> makes a new one.</details>


# %% grade_id="follow" kind="answer"
def follow(
    target: dict[str, Tensor], students: list[dict[str, Tensor]], momenta: list[float], buffers: list[str]
) -> list[dict[str, Tensor]]:
    """The target encoder after each step."""
    ### BEGIN SOLUTION
    states = []
    for student, momentum in zip(students, momenta):
        new = {}
        for name, old in target.items():
            if name in buffers:
                new[name] = student[name].clone()
            else:
                new[name] = momentum * old + (1 - momentum) * student[name]
        states.append(new)
        target = new
    return states
    ### END SOLUTION


# %% grade_id="check_follow" kind="check" points=3
check("hw2", "follow", follow)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw2", "follow", follow)
### END HIDDEN TESTS

# %% [markdown]
# A student's weight jumps from 0 to 1, and your target follows:

# %% folded=true
if "get_ipython" in globals() and is_right("hw2", "follow", follow):  # only to look at
    from minivjepa.figures import Picture, curves
    from minivjepa_course.lesson import show

    zero, jumped = {"w": torch.zeros(1)}, [{"w": torch.ones(1)}] * 100
    ways = {
        f"momentum {m}": [float(state["w"]) for state in follow(zero, jumped, [m] * 100, [])] for m in (0.5, 0.9, 0.99)
    }
    figure, _ = curves(
        (6.4, 3.4),
        ["The target follows"],
        {name: (range(1, 101), way) for name, way in ways.items()},
        "step",
        "its weight",
    )
    ends = ", ".join(f"{name}: {way[9]:.2f}" for name, way in ways.items())
    alt = f"Three curves that rise from 0 towards 1, more slowly the larger the momentum. After ten steps, {ends}."
    show(Picture(figure, alt, f"One weight of the target encoder, at three momenta. After ten steps, {ends}."))

# %% [markdown]
# ## 4. Ask the predictor (4 points, medium, 25 minutes)
#
# This function stands in for the predictor's blocks:


# %%
def body(x: Tensor) -> Tensor:
    """[B, n, P] -> [B, n, P]: every row sees the mean of all rows of its clip."""
    return torch.tanh(x + x.mean(dim=1, keepdim=True))


# %% [markdown]
# You build its input and use its output. `body` is also the last argument, so that real blocks can take its place in the capstone: leave it in the
# signature, and call it (your points don't depend on that, but the capstone does). `context` is [B, K, D], the vectors of the tubelets `context_ids` [B, K]; to be guessed are the tubelets
# `target_ids` [B, M]. The ids of each clip are in any order, and together they are all of 0 ... N - 1. K may be 0, and so may M with `rows="all"`.
# `weights` has `"enter"` [D, P], `"leave"` [P, D], `"mask_tokens"` [groups, P] and `"positions"` [N, P].
#
# - A kept tubelet goes in as its vector times `enter` plus the position of its id.
# - A hidden tubelet goes in as the mask token of this `group` plus the position of its id.
# - All rows of a clip go through `body` together, and what comes out is multiplied by `leave`.
# - With `rows="hidden"` return only the guesses, [B, M, D], in the order of `target_ids`.
# - With `rows="all"` return all rows, [B, N, D], **in the order of ids**: row 5 belongs to tubelet 5, kept or hidden.
#
# <details><summary>Hint 1</summary><code>weights["positions"][context_ids]</code> is [B, K, P].</details>
# <details><summary>Hint 2</summary><code>torch.cat</code> along axis 1. Which rows are the hidden ones then?</details>
# <details><summary>Hint 3</summary>For the order of ids, put both lists of ids together in the same way. Where in that list is id 0? And id 1?
# <code>argsort</code> says it.</details>


# %% grade_id="predict" kind="answer"
def predict(
    context: Tensor,
    context_ids: Tensor,
    target_ids: Tensor,
    weights: dict[str, Tensor],
    group: int,
    rows: str,
    body: Callable = body,
) -> Tensor:
    """context [B, K, D] -> guesses [B, M, D] (rows "hidden"), or all rows in the order of ids [B, N, D] (rows "all")."""
    ### BEGIN SOLUTION
    seen = context @ weights["enter"] + weights["positions"][context_ids]
    asked = weights["mask_tokens"][group] + weights["positions"][target_ids]
    out = body(torch.cat([seen, asked], dim=1)) @ weights["leave"]  # [B, K + M, D]
    if rows == "hidden":
        return out[:, context.shape[1] :]
    order = torch.cat([context_ids, target_ids], dim=1).argsort()  # where id 0, 1, 2 ... stands
    return out[torch.arange(len(out))[:, None], order]
    ### END SOLUTION


# %% grade_id="check_predict" kind="check" points=4
check("hw2", "predict", predict)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw2", "predict", predict)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. One loss, several groups (4 points, medium, 25 minutes)
#
# `features` is [B, N, D]: the target encoder's features of all tubelets. `guesses` and `ids` are lists with one entry for each mask group: [B, M, D], and
# int64 [B, M], the tubelets that are guessed, in any order. Groups have different M, and a tubelet may be in several groups.
#
# 1. Normalize each vector of `features` as a LayerNorm without weights does: subtract its mean, and divide by the root of its **variance plus `eps`**. The
#    variance is the mean squared deviation: divide by D, not by D - 1. `eps` is above 0, so a vector whose numbers are all alike becomes zeros.
# 2. The loss of a group is the mean absolute difference between its guesses, as they are, and the normalized vectors at its ids. The mean is over clips,
#    tubelets and features.
# 3. Return the weighted mean of the groups, one number: each group counts as much as `weights` (a list of numbers) says, however many tubelets it has.
#    The weights need not add up to 1, and some may be 0.
#
# <details><summary>Hint 1</summary>Normalize all of <code>features</code> once, along the last axis, before the loop over groups.</details>
# <details><summary>Hint 2</summary><code>std</code> and <code>var</code> have an argument <code>correction</code>, and with 0 they divide by D.</details>
# <details><summary>Hint 3</summary>A weighted mean of a and b is (u a + v b) / (u + v).</details>


# %% grade_id="latent_loss" kind="answer"
def latent_loss(guesses: list[Tensor], features: Tensor, ids: list[Tensor], weights: list[float], eps: float) -> Tensor:
    """Guesses [B, M, D] and ids [B, M] of every group, features [B, N, D] -> one number."""
    ### BEGIN SOLUTION
    centred = features - features.mean(dim=-1, keepdim=True)
    normalised = centred / (features.var(dim=-1, correction=0, keepdim=True) + eps).sqrt()
    clip = torch.arange(len(features))[:, None]
    losses = [(guess - normalised[clip, where]).abs().mean() for guess, where in zip(guesses, ids)]
    return sum(w * loss for w, loss in zip(weights, losses)) / sum(weights)
    ### END SOLUTION


# %% grade_id="check_latent_loss" kind="check" points=4
check("hw2", "latent_loss", latent_loss)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw2", "latent_loss", latent_loss)
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Where the gradient stops (3 points, medium, 20 minutes)
#
# V-JEPA's training step on one page: the student sees what is kept, guesses what is hidden, and its guess is compared with the features that the target
# encoder computes of the whole clip. Three functions stand in for the networks and the loss. `tokens` is [B, N, F], and a network is a single matrix here:


# %%
def encode(tokens: Tensor, ids: Tensor | None, network: Tensor) -> Tensor:
    """The features of the tokens at ids, [B, K, D]; ids None: of all tokens.  Each sees the mean of those it is encoded with.  network: [F, D]."""
    x = (tokens if ids is None else tokens[:, ids]) @ network
    return torch.tanh(x + x.mean(dim=1, keepdim=True))


def ask(seen: Tensor, kept: Tensor, hidden: Tensor, predictor: Tensor) -> Tensor:
    """The predictor's guess, [B, D], from what was seen and how far the hidden ids are from the kept ones.  predictor: [D, D]."""
    far = hidden.float().mean() - kept.float().mean()
    return (seen.mean(dim=1) + 0.1 * far) @ predictor


def distance(guess: Tensor, whole: Tensor, hidden: Tensor) -> Tensor:
    """One number: how far the guess is from the target encoder's features `whole` [B, N, D], at the hidden ids."""
    return (guess - whole[:, hidden].mean(dim=1)).abs().mean()


# %% [markdown]
# `kept` and `hidden` are int64 [K] and [M]: ids, the same for all clips, in any order. No token is in both, and some may be in neither.
#
# - **Guess:** `encode` the kept tokens with `encoder`, and `ask` the `predictor`.
# - **Target:** `encode` the whole clip with `teacher`. If `own` is true, the student is its own teacher: use `encoder` here too.
# - Return the `distance` of guess and target at the hidden ids: one number with a gradient.
# - If `stop` is true, no gradient flows back through the target, to anything. If it is false, it flows.
#
# The three functions are also the last arguments, so that real ones can take their places in the capstone: leave them in the signature, and call
# them on all clips at once, with the networks and the ids as they came in. Your points don't depend on that, but the capstone does.
#
# This check calls `backward()` and looks at the gradients of all inputs, `tokens` among them. Where no gradient reaches an input, the
# check shows an empty list (`[]`, of shape [0]), not zeros.
#
# <details><summary>Hint 1</summary>Four calls: <code>encode</code> twice, <code>ask</code> and <code>distance</code> once each. The student must not see what is hidden.</details>
# <details><summary>Hint 2</summary>Lesson 05 cuts with <code>torch.no_grad()</code>; <code>detach()</code> gives a tensor with the same numbers and no past.</details>
# <details><summary>Hint 3</summary>Cut the finished target. If you only cut a matrix, gradient still goes back through the tokens.</details>


# %% grade_id="student_loss" kind="answer"
def student_loss(
    tokens: Tensor,
    encoder: Tensor,
    teacher: Tensor,
    predictor: Tensor,
    kept: Tensor,
    hidden: Tensor,
    own: bool,
    stop: bool,
    encode: Callable = encode,
    ask: Callable = ask,
    distance: Callable = distance,
) -> Tensor:
    """tokens [B, N, F], three networks and two lists of ids -> a loss with a gradient."""
    ### BEGIN SOLUTION
    guess = ask(encode(tokens, kept, encoder), kept, hidden, predictor)
    whole = encode(tokens, None, encoder if own else teacher)
    if stop:
        whole = whole.detach()
    return distance(guess, whole, hidden)
    ### END SOLUTION


# %% grade_id="check_student_loss" kind="check" points=3
check("hw2", "student_loss", student_loss)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw2", "student_loss", student_loss)
### END HIDDEN TESTS

# %% [markdown]
# ## 7. Where did the gradients go? (3 points, medium, 20 minutes)
#
# This is a V-JEPA of a few numbers. It takes the tensors that it needs out of a dict:


# %%
def toy_loss(weights: dict[str, Tensor], tokens: Tensor, kept: Tensor, hidden: Tensor, stop: bool) -> Tensor:
    """tokens [N, F], ids [K] and [M] -> the loss; stop: gradient stops at the target."""
    seen = torch.relu(tokens[kept] @ weights["encoder.project"] + weights["encoder.bias"])  # [K, D]
    inner = weights["predictor.mask_token"] + seen.mean(dim=0) @ weights["predictor.enter"]  # [P]
    guess = inner @ weights["predictor.leave"] + weights["predictor.offset"]  # [D]
    target = torch.relu(tokens[hidden] @ weights["target.project"] + weights["target.bias"])  # [M, D]
    return (guess - (target.detach() if stop else target)).abs().mean()


# %% [markdown]
# Write its audit. `loss` is the last argument, `toy_loss` unless something else is given: call it in the same way. `weights` may hold more tensors than it uses, in any order, and parts that it does not know. The *part* of a tensor is its name
# up to the first dot; every name has one. Compute the loss, go backwards once, and count for each part, as three numbers:
#
# - tensors with a gradient that is not zero everywhere, however small it is,
# - tensors with a gradient that is zero everywhere,
# - tensors with no gradient at all.
#
# Return a dict: part -> (the three numbers), with every part of `weights`, for example `{"encoder": (2, 0, 0), "target": (0, 0, 2)}`.
#
# The difference matters: no gradient is what a stop-gradient gives; zeros mean that the tensor takes part and cannot move, for example behind a matrix
# that starts at zero.
#
# <details><summary>Hint 1</summary>The tensors come without gradients. Make copies with <code>clone().requires_grad_()</code>, under the same names, and give those to
# <code>loss</code>.</details>
# <details><summary>Hint 2</summary>After <code>backward()</code>, <code>grad</code> of a copy is a tensor or <code>None</code>.</details>
# <details><summary>Hint 3</summary>Positive and negative numbers cancel in a sum, and the square of a small number is 0 in float32.</details>


# %% grade_id="audit" kind="answer"
def audit(
    weights: dict[str, Tensor],
    tokens: Tensor,
    kept: Tensor,
    hidden: Tensor,
    stop: bool,
    loss: Callable = toy_loss,
) -> dict[str, tuple[int, int, int]]:
    """part -> (tensors with a gradient, with a gradient of zeros, with none) after the loss has gone backwards."""
    ### BEGIN SOLUTION
    copies = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    loss(copies, tokens, kept, hidden, stop).backward()
    counts = {name.split(".")[0]: [0, 0, 0] for name in weights}
    for name, copy in copies.items():
        place = 2 if copy.grad is None else 0 if copy.grad.any() else 1
        counts[name.split(".")[0]][place] += 1
    return {part: tuple(numbers) for part, numbers in counts.items()}
    ### END SOLUTION


# %% grade_id="check_audit" kind="check" points=3
check("hw2", "audit", audit)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw2", "audit", audit)
### END HIDDEN TESTS

# %% [markdown]
# ## 8. Attention (5 points, hard, 35 minutes)
#
# `x` is [B, n, D]. The clips keep different numbers of tokens, so the short lists were filled up with *padding*, at any place: `real`, bool [B, n], is
# false there. Padding holds numbers like any token; they mean nothing.
# `weights` has four [D, D] tensors, `"q"`, `"k"`, `"v"` and `"out"`, all used as `x @ weights["q"]`, without bias.
#
# - Heads are **interleaved**: feature f of queries, keys and values belongs to head f % `heads`, and so does feature f of what the heads take
#   home. (In the package the first features belong to the first head. A block learns equally well with either.)
# - The score of query i and key j in a head is their dot product, divided by (`temperature` times the root of d). A head has d = D / `heads` features.
# - The weights of query i are the softmax of its scores. Scores may be large, of either sign, up to hundreds of thousands.
# - Padding gets no attention: its weight is 0, and the weights of the real tokens add up to 1.
# - Padding itself gets nothing: its rows are zeros in both results. A clip may be all padding, and then all its rows are.
#
# Return two things: the new vectors, after `"out"`, [B, n, D]; and who looks at whom, [B, n, n]: the weights (row: who looks), averaged over heads.
#
# <details><summary>Hint 1</summary>Begin with one clip and one head, as in your <code>attention</code> of lesson 03, and print shapes.</details>
# <details><summary>Hint 2</summary>The features of head h are <code>q[..., h::heads]</code>. All heads at once: <code>B n (d head) -> B head n d</code>
# for einops, and back.</details>
# <details><summary>Hint 3</summary>A score of minus infinity gets the weight 0 in a softmax: see <code>masked_fill</code>. A softmax over minus
# infinities alone gives nan, and nan times 0 is nan, so fill zeros in rather than multiply.</details>
# <details><summary>Hint 4</summary><code>real[:, None, None]</code> is [B, 1, 1, n] and speaks of those who are looked at;
# <code>real[:, None, :, None]</code> of those who look.</details>


# %% grade_id="attend" kind="answer"
def attend(
    x: Tensor, weights: dict[str, Tensor], heads: int, temperature: float, real: Tensor
) -> tuple[Tensor, Tensor]:
    """x [B, n, D], real bool [B, n] -> (new vectors [B, n, D], mean weights [B, n, n])."""
    ### BEGIN SOLUTION
    q, k, v = (einops.rearrange(x @ weights[name], "B n (d head) -> B head n d", head=heads) for name in "qkv")
    score = q @ k.mT / (temperature * math.sqrt(q.shape[-1]))  # [B, head, n, n]
    weight = score.masked_fill(~real[:, None, None], -math.inf).softmax(dim=-1)
    weight = weight.masked_fill(~real[:, None, :, None], 0.0)
    mixed = einops.rearrange(weight @ v, "B head n d -> B n (d head)")
    return mixed @ weights["out"], weight.mean(dim=1)
    ### END SOLUTION


# %% grade_id="check_attend" kind="check" points=5
check("hw2", "attend", attend)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw2", "attend", attend)
### END HIDDEN TESTS

# %% [markdown]
# Who looks at whom, in a clip of eight tokens, two of them padding:

# %% folded=true
if "get_ipython" in globals() and is_right("hw2", "attend", attend):  # only to look at
    from minivjepa.figures import Picture, strip
    from minivjepa_course.lesson import show

    drawn = torch.Generator().manual_seed(3)
    tokens, four = (
        torch.randn(1, 8, 12, generator=drawn),
        {name: torch.randn(12, 12, generator=drawn) / 3.5 for name in ("q", "k", "v", "out")},
    )
    there = torch.tensor([[True, True, False, True, True, True, False, True]])
    heats = {heat: attend(tokens, four, 3, heat, there)[1][0].detach() for heat in (0.25, 1.0, 4.0)}
    top = max(float(looks.max()) for looks in heats.values())
    figure, axes = strip([heats.values()], [f"temperature {heat:g}" for heat in heats], 2.6, 2.9, limits=(0, top))
    axes[0].set(xlabel="is looked at", ylabel="looks")
    figure.colorbar(axes[0].images[0], ax=list(axes), label="weight")
    largest = ", ".join(f"{looks.max():.2f} at {heat:g}" for heat, looks in heats.items())
    alt = f"Three maps of 8 by 8 weights. Rows and columns 2 and 6 are 0: padding. The largest weight is {largest}."
    show(
        Picture(
            figure,
            alt,
            f"The mean weights of three heads, at three temperatures; the largest is {largest}. Tokens 2 and 6 are padding: they neither look nor are looked at.",
        )
    )

# %% [markdown]
# ## Capstone: a V-JEPA of your own (no points, a minute of computing)
#
# Each function passed its check on a few numbers. Together they're a V-JEPA:
#
# | yours | its part |
# | --- | --- |
# | `embed_kept` | makes vectors: of the tubelets that the student sees, and of all tubelets for the target encoder |
# | `attend` | the attention in every block of both encoders and of the predictor |
# | `predict` | asks for the hidden tubelets, with real blocks as its `body` |
# | `latent_loss` | compares the guesses of two mask groups with normalized targets |
# | `student_loss` | puts these together, and has your stop |
# | `plan`, `follow` | move the target encoder after each step |
# | `audit` | shows where the gradients go, before you train |
#
# The rest is given, and short. Clips are cut by the package's `patchify`, as by your `cut` of homework 1, and hidden by its tube masks, as by your
# `tube_mask`. A network is a dict, name -> weights.

# %%
from torch.nn.functional import gelu, layer_norm

from minivjepa.collapse import feature_std
from minivjepa.masking import parse_mask
from minivjepa.tubelets import Grid, patchify, sincos_positions
from minivjepa_course.homework.checking import CheckFailed, load_cases, require_right

GRID = Grid(frames=4, height=32, width=32, tubelet=2, patch=8)  # 2 x 4 x 4 tubelets
WIDTH, HEADS, DEPTH = 32, 2, 2
GROUPS = (0.5, 0.75)  # two masks for every clip: the share of places that each hides
STEPS, BATCH = 200, 16
PARTS = ("encoder", "target", "predictor")
LAYERS = {"q": 1, "k": 1, "v": 1, "out": 1, "up": 4}  # name -> its width, in widths of the network


def matrix(rows: int, columns: int) -> Tensor:
    """A weight matrix before training."""
    return torch.nn.init.xavier_uniform_(torch.empty(rows, columns))


def new_weights(seed: int) -> dict[str, Tensor]:
    """All weights before training, named PART.NAME; the target encoder's are copies of the encoder's."""
    torch.manual_seed(seed)

    def network(**own: Tensor) -> dict[str, Tensor]:
        blocks = {f"{n}.{name}": matrix(WIDTH, wide * WIDTH) for n in range(DEPTH) for name, wide in LAYERS.items()}
        down = {f"{n}.down": matrix(4 * WIDTH, WIDTH) for n in range(DEPTH)}
        return {"positions": sincos_positions(GRID, WIDTH), **own, **blocks, **down}

    encoder = network(weight=matrix(WIDTH, GRID.values), bias=torch.zeros(WIDTH))
    tokens = 0.02 * torch.randn(len(GROUPS), WIDTH)
    predictor = network(enter=matrix(WIDTH, WIDTH), leave=matrix(WIDTH, WIDTH), mask_tokens=tokens)
    networks = (encoder, {name: weight.clone() for name, weight in encoder.items()}, predictor)
    return {f"{part}.{name}": weight for part, each in zip(PARTS, networks) for name, weight in each.items()}


def part_of(weights: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """The weights of one part, without its name."""
    return {name.removeprefix(f"{part}."): weight for name, weight in weights.items() if name.startswith(f"{part}.")}


# %% [markdown]
# Now the three functions that stood in for something. First what they share, the blocks. Find your `attend`:


# %%
def blocks(x: Tensor, network: dict[str, Tensor]) -> Tensor:
    """Transformer blocks, [B, n, D] -> [B, n, D]."""
    real = torch.ones(x.shape[:2], dtype=torch.bool)  # no padding here
    for n in range(DEPTH):
        four = {name: network[f"{n}.{name}"] for name in ("q", "k", "v", "out")}
        x = x + attend(layer_norm(x, [WIDTH]), four, HEADS, 1.0, real)[0].float()
        x = x + gelu(layer_norm(x, [WIDTH]) @ network[f"{n}.up"]) @ network[f"{n}.down"]
    return layer_norm(x, [WIDTH])


def encode_clip(tokens: Tensor, ids: list[Tensor] | Tensor | None, network: dict[str, Tensor]) -> Tensor | list[Tensor]:
    """Replaces `encode`: vectors of what each mask group shows, as a list, or of all tubelets if ids is not a list."""
    if isinstance(ids, list):
        return [encode_ids(tokens, group, network) for group in ids]
    return encode_ids(tokens, torch.arange(GRID.tokens).expand(len(tokens), -1), network)


def encode_ids(tubelets: Tensor, ids: Tensor, network: dict[str, Tensor]) -> Tensor:
    """Vectors of the tubelets at ids [B, K], which see only each other."""
    x = embed_kept(tubelets, ids, network["weight"], network["bias"], network["positions"])
    return blocks(x.float(), network)


def ask_blocks(
    seen: list[Tensor], kept: list[Tensor], hidden: list[Tensor], predictor: dict[str, Tensor]
) -> list[Tensor]:
    """In place of `ask`: for each mask group, guesses of what is hidden."""
    return [
        predict(*group, predictor, number, "hidden", lambda x: blocks(x, predictor))
        for number, group in enumerate(zip(seen, kept, hidden))
    ]


def distance_of_groups(guess: list[Tensor], whole: Tensor, hidden: list[Tensor]) -> Tensor:
    """In place of `distance`: both mask groups count alike."""
    return latent_loss(guess, whole, hidden, [1.0, 1.0], 1e-5)


def vjepa_loss(
    weights: dict[str, Tensor],
    tubelets: Tensor,
    kept: list[Tensor],
    hidden: list[Tensor],
    stop: bool = True,
    own: bool = False,
) -> Tensor:
    """The loss of your V-JEPA, with the arguments of `toy_loss`."""
    networks = [part_of(weights, part) for part in PARTS]
    return student_loss(tubelets, *networks, kept, hidden, own, stop, encode_clip, ask_blocks, distance_of_groups)


# %% [markdown]
# And the training. Find `vjepa_loss`, `plan` and `follow`. Where does the target encoder get its weights?


# %%
def draw_masks(step: int) -> tuple[list[Tensor], list[Tensor]]:
    """The ids that are kept, and those that are hidden, [B, K] and [B, M] for each mask group."""
    clips = torch.arange(BATCH)
    pairs = [parse_mask(f"tube:{share}").sample(GRID, seed, step, clips) for seed, share in enumerate(GROUPS)]
    return [kept for kept, _ in pairs], [hidden for _, hidden in pairs]


def spread_of(weights: dict[str, Tensor], own: bool, tubelets: Tensor) -> float:
    """Feature std of the encoder or the target encoder, whichever is smaller."""
    with torch.no_grad():
        each = [encode_clip(tubelets, None, part_of(weights, part)) for part in PARTS[: 1 if own else 2]]
    return min(float(feature_std(h)) for h in each)


def train(own: bool, stop: bool, seed: int = 0, steps: int = STEPS) -> Iterator[tuple[int, float, float]]:
    """Train a V-JEPA made of your functions; gives (step, loss, feature std) at every 20th step."""
    from minivjepa.data.digits import DigitClips  # takes seconds to load, and your grade doesn't need it

    source, weights = DigitClips(GRID, seed=seed), new_weights(seed)
    watched = patchify(source.batch(10_000, torch.arange(64))[0], GRID)
    learned = [
        weight.requires_grad_()
        for name, weight in weights.items()
        if not name.startswith("target.") and not name.endswith("positions")
    ]
    optimizer = torch.optim.AdamW(learned, lr=2e-3)
    momenta, _ = plan(steps + 1, 0.99, 1.0, 1.0, "line", 0.5)
    for step, momentum in enumerate(momenta):
        tubelets = patchify(source.batch(step, torch.arange(BATCH))[0], GRID)
        loss = vjepa_loss(weights, tubelets, *draw_masks(step), stop, own)
        if step % 20 == 0:
            yield step, loss.item(), spread_of(weights, own, watched)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        student = {name: weight.detach() for name, weight in part_of(weights, "encoder").items()}
        [target] = follow(part_of(weights, "target"), [student], [float(momentum)], ["positions"])
        weights |= {f"target.{name}": weight.float() for name, weight in target.items()}


# %% [markdown]
# The next cell tests that your functions are right and fit together. If one doesn't, you'll read which and why.


# %% folded=true
def first_case(name: str) -> dict:
    """The inputs of an exercise's first visible case."""
    return deepcopy(load_cases("hw2", name).cases[0].inputs)


def tensors_of(value: object) -> list[Tensor]:
    """All tensors of real numbers in an input."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    found = [tensor for part in inside for tensor in tensors_of(part)]
    return [value] if isinstance(value, Tensor) and value.is_floating_point() else found


def loses_gradient(name: str) -> bool:
    """Whether some input of a function gets no gradient from what it returns."""
    inputs = first_case(name)
    learned = [tensor.requires_grad_() for tensor in tensors_of(inputs)]
    try:
        result = globals()[name](**inputs)
        (result[0] if isinstance(result, tuple | list) else result).sum().backward()
    except (AttributeError, RuntimeError, TypeError):  # numpy, or a plain number
        return True
    return any(tensor.grad is None for tensor in learned)


def unused(name: str, **stand_ins: Callable) -> list[str]:
    """Which of its last arguments a function doesn't have, or doesn't call."""
    called = []

    def noted(word: str) -> Callable:
        return lambda *given, **named: (called.append(word), stand_ins[word](*given, **named))[1]

    try:
        globals()[name](**first_case(name), **{word: noted(word) for word in stand_ins})
    except TypeError:  # an argument that it doesn't have
        return list(stand_ins)
    return [word for word in stand_ins if word not in called]


def what_is_missing() -> list[str]:
    """Why your functions can't be put together yet, a line each; empty if they can."""
    wrong = []
    for name in ("embed_kept", "plan", "follow", "predict", "latent_loss", "student_loss", "audit", "attend"):
        try:
            require_right(load_cases("hw2", name), globals().get(name))
        except CheckFailed as error:
            wrong.append(str(error).split("\n")[0])
    if wrong:
        return wrong
    last = {
        "predict": {"body": body},
        "student_loss": {"encode": encode, "ask": ask, "distance": distance},
        "audit": {"loss": toy_loss},
    }
    return [
        f"{name} is right, but gradients get lost in it, so nothing could learn: use torch, without item() or detach()"
        for name in ("embed_kept", "attend", "predict", "latent_loss")
        if loses_gradient(name)
    ] + [
        f"{name} is right, but it doesn't call its argument {word}, so the real one can't take its place"
        for name, stand_ins in last.items()
        for word in unused(name, **stand_ins)
    ]


HISTORIES: dict[str, list[tuple[int, float, float]]] = {}  # of what you trained


def watch(name: str, own: bool, stop: bool) -> None:
    """Train, and draw all runs while this one grows; if something is missing, say what."""
    from minivjepa_course.lesson import Live
    from minivjepa_course.pictures.collapse_kinds import loss_and_spread

    if missing := what_is_missing():
        print("Not yet. Go back to:", *missing, sep="\n  ")
        return
    HISTORIES[name], live = [], Live()
    for row in train(own, stop):
        HISTORIES[name].append(row)
        live.show(loss_and_spread(HISTORIES, until=STEPS))


# %% [markdown]
# First your `audit` of the whole, untrained. Which of the three parts should get no gradient at all?

# %%
if "get_ipython" in globals():  # here in the notebook, and not where your functions are graded
    some_clips = torch.randn(BATCH, GRID.tokens, GRID.values, generator=torch.Generator().manual_seed(0))
    if missing := what_is_missing():
        print("Not yet. Go back to:", *missing, sep="\n  ")
    else:
        for part, (moves, zeros, none) in audit(new_weights(0), some_clips, *draw_masks(0), True, vjepa_loss).items():
            print(f"{part:10} {moves:2} tensors with a gradient, {zeros} with zeros, {none:2} without one")

# %% [markdown]
# Train it. Will the loss fall? And will features still differ from clip to clip (the right panel, where 0 is collapse)?

# %%
if "get_ipython" in globals():
    watch("with your stop and EMA", own=False, stop=True)

# %% [markdown]
# Now take away your stop, and the EMA with it. `stop=False` skips your `detach`, and with `own=True` the student is its own teacher. The clips, the masks and the first
# weights are the same. Before you run it: which of the two runs will have the lower loss?

# %%
if "get_ipython" in globals():
    watch("without both", own=True, stop=False)

# %% [markdown]
# Cover the right panel, and you'd take the dead run for the better one. Its loss is so low because its encoder gives every clip nearly the same features, and those are
# easy to guess. Your stop and your average are all that's different.
#
# **Break it.** Take away one of the two: `watch("no EMA", own=True, stop=True)`, then `watch("no stop", own=False, stop=False)`.
#
# <details><summary>What happens</summary>Without the average, features stay different in these 200 steps; lesson 07 has longer runs.
# Without the stop, but with a target encoder, <em>nothing</em> changes, digit for digit: gradient flows into the target encoder, but the optimizer doesn't hold its weights
# (find <code>learned</code> in <code>train</code>). In lesson 07 it does, and then the target encoder collapses.</details>

# %% [markdown]
# Done? `minivjepa check hw2.ipynb` runs this notebook as your teacher will, and prints one line an exercise. Then hand
# in this file.
