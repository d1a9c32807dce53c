# %% [markdown]
# # Homework 3: collapse, ablations, probes
#
# After lessons 06 to 09. Seven exercises and a short text, 30 points, three hours.
#
# In each exercise you write one function. The cell below it is its **check**: it stops with a message that says what is probably wrong, or
# prints that all visible cases are right. Your teacher also runs cases that you do not see, at other sizes and settings, so make it right in
# general. The text at the end is read by your teacher.
#
# - Write where it says `raise NotImplementedError()`, and keep the names of functions and arguments.
# - You may use torch, numpy, einops and `scipy.stats`. The package's own function for a task is *blocked* in its check: writing it is the task.
#   The rules here also differ from the package's in places, so read them.
# - Do not change the inputs: make new ones.
# - Stuck? Open the hints one after the other.
#
# The exercises go from easy to hard. Below many checks, a picture shows what your function does.
#
# Throughout, *std* means the population's: the root of the mean squared distance from the mean (divided by n, not by n - 1). Exercise 6 says where
# it is otherwise.

# %%
import copy
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import einops
import numpy as np
import torch
from scipy import stats
from torch import Tensor

from minivjepa.data.digits import DigitClips
from minivjepa.training.arms import with_arm
from minivjepa.training.config import PRESETS
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer
from minivjepa_course.homework import check, is_right

# %% [markdown]
# ## 1. When would you have known? (3 points, easy, 15 minutes)
#
# Here are five runs of the ablation in `results/matrix.json`, without their names: what they logged at eight steps, rounded. `feature_std` is that of the
# online encoder, `target_feature_std` that of the target encoder.

# %%
LOGGED = ("step", "loss", "feature_std", "target_feature_std", "effective_rank", "margin")
NUMBERS = {
    "A": [
        (1, 1.0903, 0.7256, 0.7259, 46.3, 0.0),
        (20, 0.6406, 0.5563, 0.7259, 42.8, 0.0),
        (50, 0.5812, 0.529, 0.7259, 37.0, 0.0),
        (200, 0.5675, 0.7018, 0.7259, 32.8, 0.008),
        (800, 0.4944, 0.1759, 0.7259, 22.3, 0.196),
        (1400, 0.4847, 0.1809, 0.7259, 21.3, 0.194),
        (2000, 0.4785, 0.1894, 0.7259, 21.3, 0.207),
        (2600, 0.4755, 0.1854, 0.7259, 21.8, 0.213),
    ],
    "B": [
        (1, 1.0478, 0.7695, 0.7695, 46.3, 0.001),
        (20, 0.336, 0.2214, 0.2214, 47.7, 0.0),
        (50, 0.091, 0.0433, 0.0433, 55.3, 0.0),
        (200, 0.0258, 0.016, 0.016, 56.9, 0.0),
        (800, 0.0149, 0.0061, 0.0061, 56.6, 0.0),
        (1400, 0.0088, 0.003, 0.003, 47.0, 0.0),
        (2000, 0.0027, 0.0014, 0.0014, 41.4, 0.0),
        (2600, 0.0007, 0.0008, 0.0008, 36.6, 0.0),
    ],
    "C": [
        (1, 1.1338, 0.7888, 0.7888, 45.3, 0.001),
        (20, 0.5787, 0.4933, 0.4933, 43.4, 0.0),
        (50, 0.3227, 0.3975, 0.3975, 38.4, 0.0),
        (200, 0.3807, 0.6444, 0.6444, 27.7, 0.0),
        (800, 0.3956, 0.7026, 0.7026, 14.2, 0.0),
        (1400, 0.409, 0.7138, 0.7138, 15.9, 0.0),
        (2000, 0.385, 0.6792, 0.6792, 14.8, 0.0),
        (2600, 0.3862, 0.6794, 0.6794, 14.9, 0.0),
    ],
    "D": [
        (1, 1.0691, 0.7389, 0.7404, 44.7, 0.0),
        (20, 0.3405, 0.461, 0.196, 44.0, 0.0),
        (50, 0.0832, 0.3666, 0.0432, 41.5, 0.0),
        (200, 0.0278, 0.3179, 0.0212, 43.2, 0.0),
        (800, 0.021, 0.3222, 0.0092, 42.5, 0.0),
        (1400, 0.0128, 0.3239, 0.0064, 43.3, 0.0),
        (2000, 0.0053, 0.3122, 0.0052, 44.6, 0.0),
        (2600, 0.0025, 0.3019, 0.0035, 45.5, 0.0),
    ],
    "E": [
        (1, 0.9944, 0.7032, 0.7055, 45.3, 0.0),
        (20, 0.6102, 0.4894, 0.6992, 42.4, 0.0),
        (50, 0.5529, 0.4257, 0.6486, 39.3, 0.0),
        (200, 0.4216, 0.6547, 0.5061, 22.2, 0.003),
        (800, 0.1677, 0.4048, 0.3927, 11.3, 0.18),
        (1400, 0.1589, 0.4685, 0.4452, 12.3, 0.296),
        (2000, 0.161, 0.466, 0.4603, 13.2, 0.321),
        (2600, 0.1611, 0.4626, 0.4609, 13.6, 0.331),
    ],
}
RUNS = {name: [dict(zip(LOGGED, row)) for row in rows] for name, rows in NUMBERS.items()}

# %% [markdown]
# `rows` is such a log: a list of dicts, in the order of their steps; it may be empty.
#
# A warning is given when the **smaller** of the two encoders' stds is below `limit` in `patience` consecutive rows. Rows before step `after` do not count, as
# if they had not been logged; a row at step `after` does. `patience` is at least 1.
#
# Return the step at which the warning is given: that of the row which *completes* the `patience` rows, the first time that this happens. Return -1 if it never
# is.
#
# <details><summary>Hint 1</summary>Go through the rows with a counter.</details>
# <details><summary>Hint 2</summary>What must happen to the counter at a row that is not below the limit?</details>


# %% grade_id="first_warning" kind="answer"
def first_warning(rows: list[dict[str, float]], limit: float, patience: int, after: int) -> int:
    """The step at which a warning is given, -1 if never."""
    ### BEGIN SOLUTION
    low = 0
    for row in rows:
        if row["step"] < after:
            continue
        low = low + 1 if min(row["feature_std"], row["target_feature_std"]) < limit else 0
        if low == patience:
            return row["step"]
    return -1
    ### END SOLUTION


# %% grade_id="check_first_warning" kind="check" points=3
check("hw3", "first_warning", first_warning)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw3", "first_warning", first_warning)
### END HIDDEN TESTS

# %% [markdown]
# ## 2. Five patients without names (4 points, medium, 25 minutes)
#
# Look at the numbers of runs A to E above. Before you go on, write down a guess for each: which learned, and which died?
#
# `rows` is again a log, and may be empty. The **last `last` rows** decide; `last` is at least 1. Return the first word
# whose rule holds:
#
# 1. `"not yet clear"`: the log has fewer than `last` rows;
# 2. `"collapsed"`: the online std is below `gone` in *each* of the last rows;
# 3. `"target collapsed"`: the target's std is below `gone` in each of them;
# 4. `"healthy"`: the stds of *both* encoders are at least `alive` in each of them, and the margin of the *very last* row is at least `margin`;
# 5. `"not yet clear"`: all other logs.
#
# (The margin: how much nearer predictions are to their own clip's targets than to another clip's. At 0 they say nothing about the clip.)
#
# <details><summary>Hint 1</summary><code>rows[-last:]</code> are the last rows, and all of them if there are fewer.</details>
# <details><summary>Hint 2</summary>"Below in each" means that the largest is below.</details>
# <details><summary>Hint 3</summary>The effective rank has no rule here. What would it have told you of run B?</details>


# %% grade_id="diagnose" kind="answer"
def diagnose(rows: list[dict[str, float]], last: int, gone: float, alive: float, margin: float) -> str:
    """healthy, collapsed, target collapsed or not yet clear: what the last rows of a log say."""
    ### BEGIN SOLUTION
    end = rows[-last:]
    online = [row["feature_std"] for row in end]
    target = [row["target_feature_std"] for row in end]
    if len(end) < last:
        return "not yet clear"
    if max(online) < gone:
        return "collapsed"
    if max(target) < gone:
        return "target collapsed"
    return "healthy" if min(online + target) >= alive and end[-1]["margin"] >= margin else "not yet clear"
    ### END SOLUTION


# %% grade_id="check_diagnose" kind="check" points=4
check("hw3", "diagnose", diagnose)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw3", "diagnose", diagnose)
### END HIDDEN TESTS

# %% [markdown]
# What your function says of the five, with `last` 3, `gone` 0.01, `alive` 0.1 and `margin` 0.05. Compare with your guesses, and look at the losses again: sorted by
# loss, where are the dead ones?

# %% folded=true
if "get_ipython" in globals() and is_right("hw3", "diagnose", diagnose):  # only to look at
    from minivjepa.figures import Picture, curves
    from minivjepa_course.lesson import show

    said = {name: diagnose(rows, 3, 0.01, 0.1, 0.05) for name, rows in RUNS.items()}
    titles = ("loss", "feature std, online", "feature std, target")
    keys = ("step", "loss", "feature_std", "target_feature_std")
    columns = {f"{name}: {said[name]}": [[row[key] for row in rows] for key in keys] for name, rows in RUNS.items()}
    figure, axes = curves((11, 3.4), titles, columns, "step")
    for ax in axes:
        ax.set(xscale="log", yscale="log")
    ends = "; ".join(f"{name} ({said[name]}): loss {rows[-1]['loss']:.3f}" for name, rows in RUNS.items())
    alt = f"Three panels over training steps for five runs: loss, and the feature stds of both encoders. At the end, {ends}."
    show(Picture(figure, alt, f"Five logs, and what your function says of them. At the end, {ends}."))

# %% [markdown]
# ## 3. Two numbers of collapse (4 points, medium, 25 minutes)
#
# `h` is [B, N, D]: the features of B clips with N tokens each. Return a dict with two numbers.
#
# `"spread"`: at each place and for each feature, the std **across clips**. Average it over the places, so that every feature has one number. The
# spread is the **median** of these D numbers; where D is even, half-way between the two in the middle.
#
# `"rank"`: average each clip's tokens, [B, D]. Subtract the mean over clips, and take the singular values. Raise them to the power `power`, divide
# by their sum, and call these shares p. (`power` is 1 or more.) The rank is
#
# > exp(- the sum of p log p), where a share of 0 adds nothing
#
# There are at least two clips, and some averages differ. There may be fewer clips than features, and a single token or a single feature. Singular values that
# should be 0 must not become small directions, and directions that are small and real count: if you prefer the roots of a covariance's eigenvalues,
# compute them in float64.
#
# (With `power` 1 this is the effective rank of lesson 06. A median does not care about a few features that are still alive.)
#
# <details><summary>Hint 1</summary>Which axis of <code>h</code> counts clips? The std runs along that one.</details>
# <details><summary>Hint 2</summary><code>h.std(dim=..., correction=0)</code> divides by n. <code>np.median</code> meets in the middle, <code>torch.median</code> does not.</details>
# <details><summary>Hint 3</summary><code>torch.linalg.svdvals</code> gives the singular values of a matrix; <code>torch.special.entr(p)</code> is - p log p, and 0 where p is 0.</details>


# %% grade_id="spread_and_rank" kind="answer"
def spread_and_rank(h: Tensor, power: float) -> dict[str, float]:
    """The median std across clips, and the effective rank of the pooled features, of h [B, N, D]."""
    ### BEGIN SOLUTION
    spread = np.median(h.std(dim=0, correction=0).mean(dim=0).numpy())
    pooled = h.mean(dim=1)
    weight = torch.linalg.svdvals(pooled - pooled.mean(dim=0)) ** power
    rank = torch.special.entr(weight / weight.sum()).sum().exp()
    return {"spread": float(spread), "rank": float(rank)}
    ### END SOLUTION


# %% grade_id="check_spread_and_rank" kind="check" points=4
check("hw3", "spread_and_rank", spread_and_rank)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw3", "spread_and_rank", spread_and_rank)
### END HIDDEN TESTS

# %% [markdown]
# The spectrum behind the rank: features made by hand, of 64 clips with 12 numbers for each of 4 tokens.

# %% folded=true
if "get_ipython" in globals() and is_right("hw3", "spread_and_rank", spread_and_rank):  # only to look at
    from minivjepa.figures import Picture, curves
    from minivjepa_course.lesson import show

    drawn = torch.Generator().manual_seed(0)
    normal = torch.randn(64, 4, 12, generator=drawn)
    made = {
        "healthy": normal,
        "two directions": normal[..., :2] @ torch.randn(2, 12, generator=drawn),
        "all alike": 1 + 0.001 * torch.randn(64, 4, 12, generator=drawn),
    }
    columns, said = {}, []
    for name, h in made.items():
        found = spread_and_rank(h, 1.0)
        said.append(f"{name}: spread {found['spread']:.3f}, rank {found['rank']:.1f}")
        sizes = torch.linalg.svdvals(h.mean(dim=1) - h.mean(dim=(0, 1)))
        columns[said[-1]] = range(1, 13), sizes / sizes.sum()
    figure, _ = curves((6.4, 3.6), ["Shares of the singular values"], columns, "direction", "share", "o")
    alt = f"Three falling curves of shares over 12 directions. {'; '.join(said)}."
    show(
        Picture(
            figure,
            alt,
            f"Where features spread, and your two numbers. {'; '.join(said)}. You need both: with all clips nearly alike, only noise is left, and noise has a high rank.",
        )
    )

# %% [markdown]
# ## 4. Which kind of collapse? (3 points, medium, 20 minutes)
#
# Again `h` is [B, N, D]. Return `"complete"`, `"content-free"`, `"dimensional"` or `"healthy"`:
#
# 1. *across* is the std across clips at a fixed place, averaged over places and features. *within* is the std across the places of a clip, averaged over
#    clips and features. Both are averages of stds: no median, no maximum.
# 2. If across is below `limit`, the features are dead: `"complete"` if within is below `limit` too, otherwise `"content-free"`.
# 3. If not, average each clip's tokens, subtract the mean over clips, and ask how the variance is spread over directions: it goes with the
#    **squared** singular values. If the largest `directions` of them hold at least `share` of all variance, it is `"dimensional"`. (`directions` is at
#    least 1, and not larger than B or D.)
# 4. Otherwise `"healthy"`.
#
# <details><summary>Hint 1</summary>Both numbers of rule 1 come from the same <code>h</code>, and differ in one <code>dim</code>.</details>
# <details><summary>Hint 2</summary>Do not ask for directions before you know that there is something to ask about: keep the order of the rules.</details>
# <details><summary>Hint 3</summary><code>torch.linalg.svdvals</code> lists the largest first.</details>


# %% grade_id="kind_of_collapse" kind="answer"
def kind_of_collapse(h: Tensor, limit: float, directions: int, share: float) -> str:
    """complete, content-free, dimensional or healthy: what features [B, N, D] show."""
    ### BEGIN SOLUTION
    if h.std(dim=0, correction=0).mean() < limit:
        return "complete" if h.std(dim=1, correction=0).mean() < limit else "content-free"
    pooled = h.mean(dim=1)
    variance = torch.linalg.svdvals(pooled - pooled.mean(dim=0)) ** 2
    return "dimensional" if variance[:directions].sum() >= share * variance.sum() else "healthy"
    ### END SOLUTION


# %% grade_id="check_kind_of_collapse" kind="check" points=3
check("hw3", "kind_of_collapse", kind_of_collapse)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw3", "kind_of_collapse", kind_of_collapse)
### END HIDDEN TESTS

# %% [markdown]
# Four sets of features, under the names that your function gives them:

# %% folded=true
if "get_ipython" in globals() and is_right("hw3", "kind_of_collapse", kind_of_collapse):  # only to look at
    from minivjepa_course.lesson import show
    from minivjepa_course.pictures.collapse_kinds import kinds_of_collapse

    drawn = torch.Generator().manual_seed(0)
    normal, noise = (scale * torch.randn(320, 8, 24, generator=drawn) for scale in (1.0, 0.001))
    flat = torch.randn(320, 8, 2, generator=drawn) @ torch.randn(2, 24, generator=drawn)
    sets = (normal, normal[:1, :1] + noise, flat, normal[:1] + noise)
    show(kinds_of_collapse({kind_of_collapse(h, 0.1, 2, 0.95): h for h in sets}))

# %% [markdown]
# ## 5. Design an ablation (3 points, medium, 20 minutes)
#
# `base` is a dict of options; an option may be a dict of options itself. `switches` is a list of (name, values): an option, and the values to try. In a name, a
# slash leads one level down: `"prevention/momentum"` is `base["prevention"]["momentum"]`. There may be several slashes. Every option that is named is in the base.
# A value may be a number, a word, True or False, a list, or a dict that takes the place of a whole dict of options.
#
# Return the arms as a list of complete dicts of options. The first is the base itself. After it, for every switch in turn and for every of its values in turn, an
# arm that differs from the base in **this one option**. Leave out an arm that equals one in the list already, the base included, whichever option it came from.
#
# <details><summary>Hint 1</summary>Start every arm from a fresh copy of the base. <code>copy.deepcopy</code> also copies the dicts inside; <code>dict(base)</code> does not.</details>
# <details><summary>Hint 2</summary>Take the name apart at its slashes. Every part but the last leads into a dict; the last is the option to set in the dict where you arrive. Without a slash that is the arm itself.</details>
# <details><summary>Hint 3</summary>Dicts can be compared: <code>arm in arms</code>.</details>


# %% grade_id="design" kind="answer"
def design(base: dict, switches: list[tuple[str, list]]) -> list[dict]:
    """The base, and every arm that differs from it in exactly one option."""
    ### BEGIN SOLUTION
    arms = [copy.deepcopy(base)]
    for name, values in switches:
        *path, option = name.split("/")
        for value in values:
            arm = copy.deepcopy(base)
            place = arm
            for step in path:
                place = place[step]
            place[option] = value
            if arm not in arms:
                arms.append(arm)
    return arms
    ### END SOLUTION


# %% grade_id="check_design" kind="check" points=3
check("hw3", "design", design)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw3", "design", design)
### END HIDDEN TESTS

# %% [markdown]
# ## 6. Which arm is better? (3 points, medium, 20 minutes)
#
# Two arms were trained on several seeds. `a` and `b` are dicts, seed -> result, with the seeds in any order.
#
# The same seed means the same clips and the same first weights. If a seed draws hard clips, it is hard for both arms, and what a seed does to both
# drops out of the difference. So arms are compared **seed by seed**: for each seed that both have, take a's result minus b's. Leave out the seeds that only one
# of them has. At least one seed is shared. Results may be negative or 0, and so may seeds.
#
# Return a dict of three:
#
# - `"difference"`: the mean of these n differences;
# - `"half"`: the **half-width** of its interval at the confidence `level` (0.95 for a 95 % interval),
#
#   > t s / √n, with s the *sample* std of the differences (divided by n - 1), and t the quantile of Student's t with n - 1 degrees of freedom that
#   > leaves (1 - `level`) / 2 above it.
#
#   A single difference has no s, and the mean could be anywhere: its half-width is infinite, `math.inf`;
# - `"verdict"`: `"higher"` if the whole interval, from difference - half to difference + half, lies above 0, `"lower"` if it lies below 0, else `"undecided"`.
#   An interval that only touches 0 is undecided.
#
# ("Undecided" does not mean equal. It means that these seeds cannot tell.)
#
# <details><summary>Hint 1</summary>First make a list of the differences. The rest needs that list and nothing else.</details>
# <details><summary>Hint 2</summary><code>stats.t.ppf(q, n - 1)</code> is the number below which a share q of Student's t lies. Which q leaves 2.5 % above?</details>
# <details><summary>Hint 3</summary>For "higher", which end of the interval has to be above 0?</details>


# %% grade_id="verdict" kind="answer"
def verdict(a: dict[int, float], b: dict[int, float], level: float) -> dict[str, float | str]:
    """The mean difference a - b over shared seeds, the half-width of its interval, and higher, lower or undecided."""
    ### BEGIN SOLUTION
    each = [a[seed] - b[seed] for seed in a if seed in b]
    n = len(each)
    difference, half = float(np.mean(each)), math.inf
    if n > 1:
        half = float(stats.t.ppf((1 + level) / 2, n - 1) * np.std(each, ddof=1) / n**0.5)
    word = "undecided"
    if difference - half > 0:
        word = "higher"
    if difference + half < 0:
        word = "lower"
    return {"difference": difference, "half": half, "verdict": word}
    ### END SOLUTION


# %% grade_id="check_verdict" kind="check" points=3
check("hw3", "verdict", verdict)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw3", "verdict", verdict)
### END HIDDEN TESTS

# %% [markdown]
# ## 7. A probe by hand (4 points, hard, 30 minutes)
#
# The simplest probe asks which class's average is nearest. `train` is [n, D] and `test` [m, D]: pooled features of clips that the probe may learn from, and of clips that
# it has not seen. `labels` [n] and `test_labels` [m] are their classes: whole numbers, not always 0, 1, 2 and so on.
#
# 1. **Standardize** all clips: from every feature subtract its mean and divide by its std, both over the **training clips only**. A feature that is the same in all
#    training clips is dead: subtract its mean, and divide by 1. (Computed by hand, its std may come out as 0.00000001 rather than 0. A feature that is not the same
#    everywhere is alive, however small its std.)
# 2. The **centroid** of a class is the mean of its standardized training clips. Then **shrink** it: every number in it moves towards 0 by `shrink`, and stops at 0.
# 3. A test clip gets the class of the centroid with the smallest **squared** Euclidean distance. A test clip whose own class has no training clip cannot be right.
#
# Return a dict: `"distance"`, the squared distances of the test clips to the centroids, float [m, classes], classes of `labels` in rising order; and `"accuracy"`, held
# out: the share of test clips that get their own class.
#
# <details><summary>Hint 1</summary><code>labels.unique()</code> lists the classes in rising order.</details>
# <details><summary>Hint 2</summary>To shrink is to keep the sign, take <code>shrink</code> off the absolute value, and never go below 0 with that.</details>
# <details><summary>Hint 3</summary>With axes [m, 1, D] and [1, classes, D] a difference has all pairs.</details>
# <details><summary>Hint 4</summary>The place of the smallest distance is not yet a class: it is a place in the list of classes.</details>


# %% grade_id="probe" kind="answer"
def probe(train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor, shrink: float) -> dict[str, Tensor | float]:
    """Squared distances [m, classes] and held-out accuracy of a probe with shrunken centroids."""
    ### BEGIN SOLUTION
    mean, std = train.mean(dim=0), train.std(dim=0, correction=0)
    std = torch.where(std == 0, torch.ones_like(std), std)
    x, y = (train - mean) / std, (test - mean) / std
    classes = labels.unique()
    centroids = torch.stack([x[labels == one].mean(dim=0) for one in classes])
    centroids = centroids.sign() * (centroids.abs() - shrink).clamp_min(0)
    distance = ((y[:, None] - centroids[None]) ** 2).sum(dim=2)
    found = classes[distance.argmin(dim=1)]
    return {"distance": distance, "accuracy": float((found == test_labels).float().mean())}
    ### END SOLUTION


# %% grade_id="check_probe" kind="check" points=4
check("hw3", "probe", probe)
### BEGIN HIDDEN TESTS
from minivjepa_course.grading.hidden_cases import check_hidden

check_hidden("hw3", "probe", probe)
### END HIDDEN TESTS

# %% [markdown]
# ## 8. What may you claim? (6 points, 30 minutes, read by your teacher)
#
# First an ablation of your own. The next cell trains a tiny model under four arms and two seeds, in about ten seconds. Change arms, seeds and steps if you like
# (`frozen` is an arm too), but do it before you look for a claim.

# %%
ARMS = ("vjepa", "no-ema", "no-stopgrad", "neither")
SEEDS = (0, 1)
STEPS = 120


def tiny_run(arm: str, seed: int, steps: int) -> dict[str, float]:
    """Train the tiny model under one arm; returns the last row of its log."""
    config = replace(with_arm(PRESETS["tiny"], arm), seed=seed, steps=steps, log_every=steps)
    run = Run(Path(tempfile.mkdtemp()) / arm)
    run.create(config, "digits")
    Trainer(config, DigitClips(config.grid, "train", seed), run, torch.device("cpu")).fit(lambda step, row: None)
    return run.history()[-1]


if "get_ipython" in globals():  # here in the notebook, and not where your functions are graded
    print(f"after {STEPS} steps       loss   feature std, online and target   margin")
    for arm in ARMS:
        for seed in SEEDS:
            end = tiny_run(arm, seed, STEPS)
            stds = f"{end['feature_std']:.3f}   {end['target_feature_std']:.3f}"
            print(f"  {arm:12} seed {seed}   {end['loss']:.3f}   {stds:>29}   {end['margin']:6.3f}")

# %% [markdown]
# And this is from the table of the recorded runs (`results/README.md`): 2,600 steps of a larger model, seeds 10 to 14, means with 95 % intervals, or all values where the seeds fall into two groups. *Direction* and *identity*
# are the held-out accuracies of linear probes on the online encoder, for the direction of motion (by chance 0.125) and for the digit (0.1).
#
# | | feature std, online | feature std, target | direction | identity |
# | --- | ---: | ---: | ---: | ---: |
# | vjepa | 0.360 ± 0.135 | 0.351 ± 0.142 | 0.725 ± 0.094 | 0.350 ± 0.041 |
# | no-ema | 0.13, 0.19, 0.66, 0.68, 0.70 | the same encoder | 0.20, 0.21, 0.28, 0.30, 0.82 | 0.289 ± 0.039 |
# | no-stopgrad | 0.343 ± 0.053 | 0.004 ± 0.000 | 0.161 ± 0.006 | 0.207 ± 0.008 |
# | neither | 0.001 ± 0.000 | the same encoder | 0.125 ± 0.011 | 0.102 ± 0.010 |
# | *frozen* | 0.223 ± 0.039 | 0.748 ± 0.041 | 0.736 ± 0.042 | 0.353 ± 0.010 |
# | *untrained* | 0.748 ± 0.041 | the same | 0.196 ± 0.010 | 0.175 ± 0.006 |
#
# These are the differences seed by seed, as in exercise 6: their mean, its 95 % interval, and on how many of the five seeds the difference is above 0.
#
# | | feature std, target | direction | identity |
# | --- | ---: | ---: | ---: |
# | vjepa - no-ema | -0.122 (-0.530 to +0.286), 2 of 5 | +0.362 (+0.035 to +0.689), 4 of 5 | +0.062 (+0.044 to +0.079), 5 of 5 |
# | vjepa - no-stopgrad | +0.348 (+0.205 to +0.490), 5 of 5 | +0.564 (+0.471 to +0.657), 5 of 5 | +0.144 (+0.097 to +0.191), 5 of 5 |
# | vjepa - neither | +0.351 (+0.208 to +0.493), 5 of 5 | +0.600 (+0.509 to +0.691), 5 of 5 | +0.248 (+0.198 to +0.299), 5 of 5 |
# | vjepa - frozen | -0.397 (-0.566 to -0.228), 0 of 5 | -0.010 (-0.095 to +0.075), 2 of 5 | -0.002 (-0.045 to +0.040), 3 of 5 |
# | vjepa - untrained | -0.397 (-0.566 to -0.228), 0 of 5 | +0.529 (+0.441 to +0.617), 5 of 5 | +0.175 (+0.133 to +0.217), 5 of 5 |
# | no-ema - untrained | -0.274 (-0.595 to +0.046), 0 of 5 | +0.167 (-0.153 to +0.486), 4 of 5 | +0.113 (+0.072 to +0.155), 5 of 5 |
# | no-stopgrad - untrained | -0.744 (-0.785 to -0.704), 0 of 5 | -0.035 (-0.049 to -0.020), 0 of 5 | +0.031 (+0.021 to +0.041), 5 of 5 |
#
# **The rule.** Five seeds are few, so the course asks for one thing more than exercise 6: an arm is *above* or *below* another if the whole interval lies on that side of
# 0 **and** the difference has that sign on every seed. Anything else is *undecided*.
#
# **Make one claim about EMA or about stop-gradient** that your runs and this table support, and say how far it goes: 150 to 250 words. One point for each:
#
# 1. **A claim that could be wrong**: which arms, which number, under which conditions.
# 2. **Your runs**: their numbers, of both encoders where it matters.
# 3. **The table**: numbers with their intervals, at least one of them a difference seed by seed, and what the rule says about it.
# 4. **A control**: compared with `untrained` or `frozen`, what is left of the claim?
# 5. **Limits**: seeds, size, steps, and one thing that wasn't tested here.
# 6. **No more than that**: nothing is concluded from a low loss or from an undecided comparison, and one other explanation is named.

# %% [markdown] grade_id="argument" kind="written" points=6
# **Claim.** In this recipe it is stop-gradient that keeps both encoders alive: with it none of my runs fell below a feature std of 0.1, without
# it all four did, with EMA or not.
#
# **My runs** (tiny, 120 steps, seeds 0 and 1). `vjepa` keeps 0.76 and 0.72 online, 0.87 and 0.83 in the target; `no-ema` 0.75 and 0.72. `no-stopgrad` falls
# to 0.08 and 0.09 in its *target*, while its online encoder looks well (0.67, 0.69). `neither` falls to 0.07 and 0.08.
#
# **The table.** The target of `no-stopgrad` ends at 0.004 ± 0.000, that of `vjepa` at 0.351 ± 0.142. Seed by seed, `vjepa` is above by +0.348 (+0.205 to +0.490), and by +0.564
# (+0.471 to +0.657) on direction, both on all five seeds. Only one switch differs in this pair; `neither` differs in two and alone could not say which.
#
# **Control.** Without stop-gradient, direction is even below `untrained`: -0.035 (-0.049 to -0.020). But staying alive is not learning *because of a moving target*: `vjepa`
# minus `frozen` is -0.010 (-0.095 to +0.075), undecided. I claim nothing about EMA and direction: one seed contradicts the other four.
#
# **Limits.** Two seeds of mine, five in the table, small models, one set of moving digits. After 120 steps my runs are low, not yet below 0.01. Nobody varied
# the learning rate of the target's own weights, which the optimizer also trains in `no-stopgrad`: perhaps only the speed of that push kills it. I do not use the loss:
# the dead runs have the lowest.

# %% [markdown]
# Done? `minivjepa check hw3.ipynb` runs this notebook as your teacher will, and prints one line an exercise. Then hand
# in this file.
