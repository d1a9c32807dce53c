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
# - Do not change the inputs, gradients of tensors included: make new tensors. If you switch gradients off, switch them on again.
# - Numbers come as float32 tensors and ids as int64, unless an exercise says something else. Counts are 1 or more, unless it says that they may be 0.
# - Stuck? Open the hints one after the other.
#
# The exercises follow the data: kept tubelets are embedded (1) and look at each other (2), the predictor guesses the hidden ones (3), guesses are compared
# with targets (4, 5), the target encoder follows (6, 7), and at the end you look where gradients went (8). No exercise needs the answer to another.
#
# Axes are called as in the lessons: B clips, N tubelets of a clip, K of them kept, M hidden, D the encoder's width, P the predictor's.

# %%
import math

import einops
import numpy as np
import torch
from torch import Tensor

from minivjepa.homework import check

# %% [markdown]
# ## 1. Embed what is kept (3 points, easy, 20 minutes)
#
# `tubelets` is [B, N, values]: the raw pixels of all tubelets. `ids` is int64 [B, K]: the tubelets that each clip keeps, in any order, none twice.
#
# 1. Take the kept tubelets of each clip, in the order of its ids.
# 2. Subtract their mean: **one number for each clip**, over all values of its kept tubelets. Hidden tubelets have no part in it.
# 3. Embed each: `tubelet @ weight.T + bias`, with `weight` [D, values] and `bias` [D].
# 4. Add to each the position of its id: that row of `positions` [N, D].
#
# Return [B, K, D]. (The package subtracts no mean. Here it shows whether you hide before or after you compute.)
#
# <details><summary>Hint 1</summary><code>tubelets[b, ids[b]]</code> are the kept tubelets of clip b; <code>torch.stack</code> makes a batch of such pieces.</details>
# <details><summary>Hint 2</summary>Without a loop: <code>tubelets[clip, ids]</code>, where <code>clip</code> is a column of clip numbers, [B, 1].</details>
# <details><summary>Hint 3</summary><code>mean</code> takes several axes at once, and <code>keepdim=True</code> leaves them with length 1.</details>


# %% grade_id="embed_kept" kind="answer"
def embed_kept(tubelets: Tensor, ids: Tensor, weight: Tensor, bias: Tensor, positions: Tensor) -> Tensor:
    """tubelets [B, N, values], ids [B, K] -> vectors of the kept tubelets with positions, [B, K, D]."""
    ### BEGIN SOLUTION
    clip = torch.arange(len(ids))[:, None]
    kept = tubelets[clip, ids]  # [B, K, values]
    kept = kept - kept.mean(dim=(1, 2), keepdim=True)
    return kept @ weight.T + bias + positions[ids]
    ### END SOLUTION


# %% grade_id="check_embed_kept" kind="check" points=3
check("hw2", "embed_kept", embed_kept)
### BEGIN HIDDEN TESTS
from minivjepa.grading.hidden_cases import check_hidden

check_hidden("hw2", "embed_kept", embed_kept)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Attention (5 points, hard, 35 minutes)
#
# `x` is [B, n, D]. The clips keep different numbers of tokens, so the short lists were filled up with *padding*, at any place: `real`, bool [B, n], is
# false there. Padding holds numbers like any token; they mean nothing.
# `weights` has four [D, D] tensors, `"q"`, `"k"`, `"v"` and `"out"`, all used as `x @ weights["q"]`, without bias.
#
# - Heads are **interleaved**: feature f of queries, keys and values belongs to head f % `heads`, and so does feature f of what the heads take
#   home. (In the package the first features belong to the first head.)
# - The score of query i and key j in a head is their dot product, divided by (`temperature` times the root of d). A head has d = D / `heads` features.
# - The weights of query i are the softmax of its scores. Scores may be large, of either sign, up to hundreds of thousands.
# - Nobody looks at padding: its weight is 0, and the weights of the real tokens add up to 1.
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
from minivjepa.grading.hidden_cases import check_hidden

check_hidden("hw2", "attend", attend)
### END HIDDEN TESTS

# %% [markdown]
# ## 3. Ask the predictor (4 points, medium, 25 minutes)
#
# This function stands in for the predictor's blocks:


# %%
def body(x: Tensor) -> Tensor:
    """[B, n, P] -> [B, n, P]: every row sees the mean of all rows of its clip."""
    return torch.tanh(x + x.mean(dim=1, keepdim=True))


# %% [markdown]
# What goes in, and what comes out, is yours. `context` is [B, K, D], the vectors of the tubelets `context_ids` [B, K]; to be guessed are the tubelets
# `target_ids` [B, M]. The ids of each clip are in any order, and together they are all of 0 ... N - 1. K may be 0, and so may M with `rows="all"`.
# `weights` has `"enter"` [D, P], `"leave"` [P, D], `"mask_tokens"` [groups, P] and `"positions"` [N, P].
#
# - A kept tubelet goes in as its vector times `enter` plus the position of its id.
# - A hidden tubelet goes in as the mask token of this `group` plus the position of its id.
# - All rows of a clip go through `body` together, and what comes out is multiplied by `leave`.
# - With `rows="hidden"` return the guesses alone, [B, M, D], in the order of `target_ids`.
# - With `rows="all"` return all rows, [B, N, D], **in the order of ids**: row 5 belongs to tubelet 5, kept or hidden.
#
# <details><summary>Hint 1</summary><code>weights["positions"][context_ids]</code> is [B, K, P].</details>
# <details><summary>Hint 2</summary><code>torch.cat</code> along axis 1. Which rows are the hidden ones then?</details>
# <details><summary>Hint 3</summary>For the order of ids, put both lists of ids together in the same way. Where in that list does id 0 stand? Where id 1?
# <code>argsort</code> says it.</details>


# %% grade_id="predict" kind="answer"
def predict(
    context: Tensor, context_ids: Tensor, target_ids: Tensor, weights: dict[str, Tensor], group: int, rows: str
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
from minivjepa.grading.hidden_cases import check_hidden

check_hidden("hw2", "predict", predict)
### END HIDDEN TESTS

# %% [markdown]
# ## 4. One loss, several groups (4 points, medium, 25 minutes)
#
# `features` is [B, N, D]: what the target encoder says of all tubelets. `guesses` and `ids` are lists with one entry for each mask group: [B, M, D], and
# int64 [B, M], the tubelets that are guessed, in any order. Groups have different M, and a tubelet may be in several groups.
#
# 1. Normalise each vector of `features`: subtract its mean, and divide by its **standard deviation plus `eps`**. (The package adds eps under the root.)
#    The standard deviation is the root of the mean squared deviation: divide by D, not by D - 1. `eps` is above 0, so a vector whose numbers are all
#    alike becomes zeros.
# 2. The loss of a group is the mean absolute difference between its guesses, as they are, and the normalised vectors at its ids. The mean is over clips,
#    tubelets and features.
# 3. Return the weighted mean of the groups, one number: each group counts as much as `weights` (a list of numbers) says, however many tubelets it has.
#    The weights need not add up to 1, and some may be 0.
#
# <details><summary>Hint 1</summary>Normalise all of <code>features</code> once, along the last axis, before the loop over groups.</details>
# <details><summary>Hint 2</summary><code>std</code> and <code>var</code> have an argument <code>correction</code>, and with 0 they divide by D.</details>
# <details><summary>Hint 3</summary>A weighted mean of a and b is (u a + v b) / (u + v).</details>


# %% grade_id="latent_loss" kind="answer"
def latent_loss(guesses: list[Tensor], features: Tensor, ids: list[Tensor], weights: list[float], eps: float) -> Tensor:
    """Guesses [B, M, D] and ids [B, M] of every group, features [B, N, D] -> one number."""
    ### BEGIN SOLUTION
    centred = features - features.mean(dim=-1, keepdim=True)
    normalised = centred / (features.std(dim=-1, correction=0, keepdim=True) + eps)
    clip = torch.arange(len(features))[:, None]
    losses = [(guess - normalised[clip, where]).abs().mean() for guess, where in zip(guesses, ids)]
    return sum(w * loss for w, loss in zip(weights, losses)) / sum(weights)
    ### END SOLUTION


# %% grade_id="check_latent_loss" kind="check" points=4
check("hw2", "latent_loss", latent_loss)
### BEGIN HIDDEN TESTS
from minivjepa.grading.hidden_cases import check_hidden

check_hidden("hw2", "latent_loss", latent_loss)
### END HIDDEN TESTS

# %% [markdown]
# ## 5. Where the gradient stops (3 points, medium, 20 minutes)
#
# A student of three matrices. `tokens` is [B, N, F], `kept` and `hidden` are int64 [K] and [M]: ids, the same for all clips, in any order. No token is in
# both, and some may be in neither. Features of tokens are `torch.tanh(tokens @ matrix)`.
#
# - **Guess:** features of the kept tokens with the matrix `encoder` [F, D], averaged over these tokens, times `predictor` [D, D].
# - **Target:** features of the hidden tokens with the matrix `teacher` [F, D], averaged over these tokens. If `own` is true, the student is its own
#   teacher: use `encoder` here too.
# - Return the mean absolute difference of guess and target, over clips and features: one number with a gradient.
# - If `stop` is true, no gradient flows back through the target, to anything. If it is false, it flows.
#
# This check calls `backward()` and looks at the gradients of all inputs, `tokens` among them. For an input that no gradient reaches, an
# empty list (`[]`, of shape [0]) is expected, which is not the same as zeros.
#
# <details><summary>Hint 1</summary>Guess and target are both [B, D].</details>
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
) -> Tensor:
    """tokens [B, N, F], three matrices and two lists of ids -> a loss with a gradient."""
    ### BEGIN SOLUTION
    guess = torch.tanh(tokens[:, kept] @ encoder).mean(dim=1) @ predictor
    target = torch.tanh(tokens[:, hidden] @ (encoder if own else teacher)).mean(dim=1)
    if stop:
        target = target.detach()
    return (guess - target).abs().mean()
    ### END SOLUTION


# %% grade_id="check_student_loss" kind="check" points=3
check("hw2", "student_loss", student_loss)
### BEGIN HIDDEN TESTS
from minivjepa.grading.hidden_cases import check_hidden

check_hidden("hw2", "student_loss", student_loss)
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Follow (3 points, medium, 20 minutes)
#
# `target` is a dict: name -> tensor, the target encoder at the start. `students` is a list of dicts with the same names: the online encoder after each
# step of the optimiser. A student's dict may list the names in another order. `momenta` has one number for each step, from 0 to 1.
#
# - After step s: target = momentum of step s times target + (1 - that momentum) times student s.
# - Tensors named in the list `buffers` are not learned (a counter, a running mean, a table of flags). They are not averaged: the target takes over the
#   student's, in the student's type. The list alone says what a buffer is, not how a name looks nor what type a tensor has.
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
from minivjepa.grading.hidden_cases import check_hidden

check_hidden("hw2", "follow", follow)
### END HIDDEN TESTS

# %% [markdown]
# ## 7. How slow is the teacher? (2 points, easy, 15 minutes)
#
# A run has `steps` steps, s = 0, 1, ... `steps` - 1. The momentum goes from `start` to `end`, up or down, both from 0 to 1. It reaches `end` at
# s = `steps` times `stretch`, which need not be a whole number; from then on it stays there. The share of the way is
# p = s / (`steps` times `stretch`), at most 1. The momentum of step s is
#
# - start + (end - start) p, if `shape` is `"line"`, as in V-JEPA;
# - end - (end - start) (1 + cos(π p)) / 2, if `shape` is `"cosine"`, as in BYOL.
#
# For each of them, say how slow it is: after how many updates *with this momentum* is **at most** the share `left` of the old target left? After n
# updates momentum to the power of n is left. Return the smallest such n = 1, 2, 3, ..., or -1 where no n is large enough. That is so for momentum 1
# and for no other, however near: n can be hundreds of thousands, but stays below a million. `left` is above 0 and below 1.
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
from minivjepa.grading.hidden_cases import check_hidden

check_hidden("hw2", "plan", plan)
### END HIDDEN TESTS

# %% [markdown]
# ## 8. Where did the gradients go? (3 points, medium, 20 minutes)
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
# Write its audit. `weights` may hold more tensors than `toy_loss` uses, in any order, and parts that it does not know. The *part* of a tensor is its name
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
# <code>toy_loss</code>.</details>
# <details><summary>Hint 2</summary>After <code>backward()</code>, <code>grad</code> of a copy is a tensor or <code>None</code>.</details>
# <details><summary>Hint 3</summary>Positive and negative numbers cancel in a sum.</details>


# %% grade_id="audit" kind="answer"
def audit(
    weights: dict[str, Tensor], tokens: Tensor, kept: Tensor, hidden: Tensor, stop: bool
) -> dict[str, tuple[int, int, int]]:
    """part -> (tensors with a gradient, with a gradient of zeros, with none) after toy_loss has gone backwards."""
    ### BEGIN SOLUTION
    copies = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    toy_loss(copies, tokens, kept, hidden, stop).backward()
    counts = {name.split(".")[0]: [0, 0, 0] for name in weights}
    for name, copy in copies.items():
        place = 2 if copy.grad is None else 0 if copy.grad.any() else 1
        counts[name.split(".")[0]][place] += 1
    return {part: tuple(numbers) for part, numbers in counts.items()}
    ### END SOLUTION


# %% grade_id="check_audit" kind="check" points=3
check("hw2", "audit", audit)
### BEGIN HIDDEN TESTS
from minivjepa.grading.hidden_cases import check_hidden

check_hidden("hw2", "audit", audit)
### END HIDDEN TESTS

# %% [markdown]
# Done? `minivjepa check hw2.ipynb` runs this notebook as your teacher will, and prints one line an exercise. Then hand
# in this file.
