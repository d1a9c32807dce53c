# %% [markdown]
# # 08 Train it
#
# ![You are here: training it. The diagram of V-JEPA. In full color: EMA, gradient, loss.](attachment:here-08.png)
#
# **At the end you can explain** every line of the training loop, why a loss that rises can be a good sign, and what a killed run needs to
# continue as if nothing had happened.
#
# *40 minutes, including about a minute of computing. Any laptop; with a CUDA GPU the same cells train something larger.*
# You need: lesson 05; lesson 03 for what a FLOP is.

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
import inspect
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from minivjepa.data.digits import DigitClips
from minivjepa.training import minimal
from minivjepa.training.config import PRESETS
from minivjepa.training.devices import pick_device
from minivjepa.training.progress_bar import RunBar
from minivjepa.training.recipe import build_model, sample_masks, schedule
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer
from minivjepa_course.homework.checking import attempt, solution
from minivjepa_course.lesson import check, play, show
from minivjepa_course.pictures.training_curves import loss_so_far, losses_and_spread, schedules, went_on
from minivjepa_course.predictions import Predictions

guess = Predictions()
device = pick_device("auto")  # a CUDA GPU if there is one
folder = Path(tempfile.mkdtemp())
stored = json.loads((Path("..") / "results" / "long.json").read_text())
runs = stored["arms"]["vjepa"]

# %% [markdown]
# Seven thousand steps of training, recorded: the preset `cpu-long`. This is its loss, up to the step where it's lowest.

# %%
play(loss_so_far(runs[0]))

# %% [markdown]
# ## Would you stop here?
#
# Many would: elsewhere, a training loss that rises means that something broke. We recorded five such runs, with five seeds.

# %%
losses = [[row["loss"] for row in run["history"] if row["step"]] for run in runs]
least = [loss.index(min(loss)) for loss in losses]
rising = sum(max(loss[at:]) > 1.05 * loss[at] for loss, at in zip(losses, least))
guess("In how many of the five does the loss later rise by a twentieth or more?", rising)

# %%
show(losses_and_spread(runs))

# %% [markdown]
# And what do the runs gain while their loss rises? The **margin** is how much closer a prediction is to its own clip's target than to another
# clip's. The effective rank is that of the target encoder (lesson 06).

# %%
for run, at in zip(runs, least):
    early, end = run["history"][1:][at], run["history"][-1]
    ranks = f"{early['target_effective_rank']:.0f} to {end['target_effective_rank']:.0f}"
    print(f"seed {run['seed']}, from step {early['step']} on: effective rank {ranks}, margin {early['margin']:.2f} to {end['margin']:.2f}")  # fmt: skip

# %% folded=true
# NBVAL_CHECK_OUTPUT
probes = [run["final"]["linear_direction"] for run in runs]
worse = [row["linear_direction"] for row in stored["untrained"]]
rows = [(run["history"][1:][at], run["history"][-1]) for run, at in zip(runs, least)]
richer = all(early[name] < end[name] for early, end in rows for name in ("target_effective_rank", "margin"))
print("in most of these runs the loss falls first and rises by a twentieth later:", rising >= 3)
print("meanwhile the effective rank of the target, and the margin, grow in all of them:", richer)
print("and every one of these encoders knows more of motion than any untrained one:", min(probes) > max(worse))
assert rising >= 3 and richer and min(probes) > max(worse)

# %% [markdown]
# A likely reason: the target moves, and as its features get richer they get harder to predict. So don't stop just because the loss
# rises, and don't compare losses of runs with different targets.
#
# ## One screen that trains
#
# This is all of it, for the preset `cpu`. Clips, masks, loss and EMA are those of lessons 01 to 05. The rest is what any network is trained with.
# **AdamW** turns gradients into steps, whose size is the **learning rate**. **Weight decay** also pulls weights a little toward zero, but not
# biases and other one-dimensional parameters. The predictor learns twice as fast as the encoder: our choice, not V-JEPA's.

# %%
print(inspect.getsource(minimal))

# %%
STEPS = 100
by_hand = minimal.train(STEPS)

# %% [markdown]
# The package's `Trainer` does the same for any config, with a log and checkpoints. Clips and masks are functions of (seed, step, sample
# number); nothing is left to chance.

# %%


def train(config, name, device, bar=False):
    """One run of the package's trainer; returns its model and its log."""
    run = Run(folder / name)
    run.create(config, "digits")
    trainer = Trainer(config, DigitClips(config.grid, "train", config.seed, str(device)), run, device)
    progress = RunBar(name, config.steps, hidden=not bar)
    with progress.bar:
        model = trainer.fit(progress.show)
    return model, run.history()


def different(a, b):
    """How many numbers differ between two models' weights, given as dicts of tensors."""
    return sum(int((a[key] != b[key]).sum()) for key in a)


config = replace(PRESETS["cpu"], steps=STEPS, precision="fp32")
packaged, _ = train(config, "packaged", torch.device("cpu"))
count = different(by_hand.state_dict(), packaged.state_dict())
total = sum(value.numel() for value in packaged.state_dict().values())
guess(f"After the same {STEPS} steps, how many of {total} numbers differ between the two models?", count)

# %% folded=true
# NBVAL_CHECK_OUTPUT
moved = different(packaged.state_dict(), build_model(config).state_dict())
check(
    "the loop",
    count == 0 < moved,
    "the loop on one screen and the package's trainer move the weights to exactly the same numbers",
)

# %% [markdown]
# ## Write it: `learning_rate` (easy, 5 minutes)
#
# The loop above computes it in a few lines; try without looking. Steps count from 0. At each of the first `warmup` steps, step 0
# too, the rate climbs by `peak / warmup`, so at step `warmup - 1` it's `peak`. From there it falls along half a cosine, and at
# the last step, `steps - 1`, it's `last`.
#
# <details><summary>Hint 1</summary>
#
# While it climbs: `peak * (step + 1) / warmup`.
# </details>
#
# <details><summary>Hint 2</summary>
#
# Then let `done` be the share of the remaining steps that are finished after this one; it goes up to 1. Half of 1 + cos(pi times `done`) goes
# down to 0.
# </details>
#
# <details><summary>Hint 3</summary>
#
# In a new cell: `solution("08", "learning_rate")`.
# </details>


# %% exercise="learning_rate"
def learning_rate(step, steps, warmup, peak, last):
    """The learning rate of the 0-based step: up to `peak` in `warmup` steps, then down half a cosine to `last`."""
    ### BEGIN SOLUTION
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step + 1 - warmup) / (steps - warmup)
    return last + (peak - last) * 0.5 * (1 + math.cos(math.pi * done))
    ### END SOLUTION


attempt("08", learning_rate)

# %% [markdown]
# Yours against the package's, at every step of the preset `cpu`. The picture also shows the published recipe, `vitl`: its schedules are a quarter
# longer than the run, so they never finish.

# %%
cpu = PRESETS["cpu"]
mine = [learning_rate(step, cpu.steps, cpu.warmup, cpu.lr, cpu.lr * cpu.final_lr) for step in range(cpu.steps)]
theirs = [schedule(cpu, step)[0] for step in range(cpu.steps)]
print("largest difference:", max(abs(a - b) for a, b in zip(mine, theirs)))
show(schedules({"cpu": cpu, "vitl": PRESETS["vitl"]}))

# %% folded=true
# NBVAL_CHECK_OUTPUT
lr, decay, momentum = schedule(PRESETS["vitl"], PRESETS["vitl"].steps - 1)
ends = round(momentum, 4) == 0.9996 and round(decay, 3) == 0.366
check("the schedule", ends and all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(mine, theirs)),
      "your schedule is the package's, and the published run ends at momentum .9996 and weight decay .366")  # fmt: skip

# %% [markdown]
# ## Write it: `go_on` (medium, 8 minutes)
#
# A run dies at step 60: the battery. What must you have saved, so that it continues as if nothing had happened? Write the loop of a run so small
# that you can see all of it. Its state is a dict: `weights` and `velocity` (both `[n]`), and `step`, how many steps are done. `data` is
# `[steps, n]`, one row a step. From the state's step up to, but not including, `until`:
#
# - the gradient is the weights minus this step's row of data,
# - the velocity becomes 0.9 times itself plus the gradient,
# - the weights lose the velocity times `learning_rate(step, len(data), 10, 0.1, 0.005)`.
#
# Return the new state, a new dict, and leave the old one as it was.
#
# <details><summary>Hint 1</summary>
#
# Loop over a `range` from the state's step to `until`: it leaves its end out.
# </details>
#
# <details><summary>Hint 2</summary>
#
# The new velocity moves the weights, not the old one. `weights = weights - ...` makes a new tensor; `weights -= ...` changes the old one.
# </details>
#
# <details><summary>Hint 3</summary>
#
# In a new cell: `solution("08", "go_on")`.
# </details>


# %% exercise="go_on"
def go_on(run, data, until):
    """A run's state, and data [steps, n] -> the state when `until` steps are done."""
    ### BEGIN SOLUTION
    weights, velocity = run["weights"], run["velocity"]
    for step in range(run["step"], until):
        velocity = 0.9 * velocity + (weights - data[step])
        weights = weights - learning_rate(step, len(data), 10, 0.1, 0.005) * velocity
    return {"weights": weights, "velocity": velocity, "step": until}
    ### END SOLUTION


attempt("08", go_on)

# %% [markdown]
# Now forget one part of the checkpoint. The weights are always there; what else can you do without?

# %%
goal = torch.linspace(0, 30, 200)[:, None]  # moves, as V-JEPA's target does
data = goal + 0.3 * torch.randn(200, 8, generator=torch.Generator().manual_seed(0))
start = {"weights": torch.zeros(8), "velocity": torch.zeros(8), "step": 0}
killed = go_on(start, data, 60)
forgotten = {
    "nothing": {},
    "the velocity": {"velocity": torch.zeros(8)},
    "the step": {"step": 0},
}
curves = {}
for name, change in forgotten.items():
    run, distance = {**killed, **change}, []
    for true_step in range(60, 120):
        run = go_on(run, data, run["step"] + 1)
        distance.append(float((run["weights"] - goal[true_step]).abs().mean()))
    curves[name] = distance
costs = {name: sum(curve) / sum(curves["nothing"]) for name, curve in curves.items()}
guess("Which costs more to forget?", max(costs, key=costs.get), choices=["the velocity", "the step"])

# %%
show(went_on(curves, 60))

# %% folded=true
# NBVAL_CHECK_OUTPUT
whole, resumed = go_on(start, data, 120), go_on(killed, data, 120)
same = all(torch.equal(whole[name], resumed[name]) for name in ("weights", "velocity"))
check("your resume", same and costs["the step"] > costs["the velocity"] > 1,
      "with all three parts the run ends on the same bits; without the step, or the velocity, it doesn't")  # fmt: skip

# %% [markdown]
# Without the velocity it needs a few steps to get going again. Without the step it repeats old data, at a new run's rates.
#
# ## Kill it
#
# Our checkpoint holds the weights of all three networks, AdamW's averages, and the step. A run writes it to a new file, which then takes the
# old one's name, so the file is never half written. Here a run of 900 steps is killed as soon as its first checkpoint is there, and goes on with
# `--resume`. Beside it, the same run undisturbed.

# %%
environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
options = ["--preset", "tiny", "--steps", "900", "--checkpoint-every", "100", "--device", "cpu"]


def command(out, *more):
    """The words of `minivjepa train`, run by this Python."""
    return [sys.executable, "-m", "minivjepa", "train", "--out", str(folder / out), *options, *more]


def finish(words):
    """Run a command to its end; its last words are shown if it fails."""
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1000:]


quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
running = subprocess.Popen(command("killed"), env=environment, **quiet)
while running.poll() is None and not (folder / "killed" / "checkpoint.pt").exists():
    time.sleep(0.01)
running.kill()
running.wait()
at = torch.load(folder / "killed" / "checkpoint.pt", weights_only=True)["step"]
before = [row for row in Run(folder / "killed").history() if row["step"] <= at]  # with the seconds that they took
finish(command("killed", "--resume"))
finish(command("undisturbed"))
ends = [torch.load(folder / name / "checkpoint.pt", weights_only=True) for name in ("killed", "undisturbed")]
count = different(*(end["model"] for end in ends))
after = Run(folder / "killed").history()[: len(before)]
print("it went on from step", at)
guess("How many numbers differ at the end?", count)

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("resume", count == 0 and 0 < at < 900 and before == after and [end["step"] for end in ends] == [900, 900],
      "a run that was killed goes on from its checkpoint, and ends with the same numbers as one that was not")  # fmt: skip

# %% [markdown]
# It loses the steps since its last checkpoint and repeats them exactly.
#
# ## Train
#
# Now watch one: 300 steps of the recipe `cpu`; on a GPU, of the larger preset `cuda`. The bar shows the loss and,
# as in lessons 06 and 07, the feature std.

# %%
live = replace(PRESETS["cuda"] if device.type == "cuda" else PRESETS["cpu"], steps=300, log_every=50)
model, log = train(live, "live", device, bar=True)
for row in log[1:]:  # the first is from before the first step
    print(f"step {row['step']:4}  loss {row['loss']:.3f}  feature std {row['feature_std']:.3f}, of the target encoder {row['target_feature_std']:.3f}")  # fmt: skip

# %% [markdown]
# How much of your machine did that use? Count the arithmetic of a step (lesson 03), divide by the time it takes, and compare with one large
# matrix product, which is the best a machine can do. That's the **share of the matmul rate**.

# %%


def fastest(work, repeats):
    """Seconds of the fastest of a few runs; on a GPU, only when it has really finished."""
    spent = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        spent.append(time.perf_counter() - start)
    return min(spent)


side = 8192 if device.type == "cuda" else 1536
a, b = torch.randn(side, side, device=device), torch.randn(side, side, device=device)
rate = 2 * side**3 / fastest(lambda: a @ b, 5)
live = replace(live, precision="fp32")
run = Run(folder / "timed")
run.create(live, "digits")
trainer = Trainer(live, DigitClips(live.grid, "train", 0, str(device)), run, device)
trainer.train_step()
spent = fastest(trainer.train_step, 10)
[(context, target)] = sample_masks(live, 0, torch.arange(2))
flops = live.batch * sum(trainer.model.step_flops([(context.shape[1], target.shape[1])]).values())
guess("What percentage of the matmul rate does so small a model reach?", round(100 * flops / spent / rate))

# %%
print(f"{1000 * spent:.0f} ms a step, {live.batch / spent:.0f} clips/s; {flops / 1e9:.1f} GFLOP a step; one matrix product: {rate / 1e9:.0f} GFLOP/s")  # fmt: skip

# %% [markdown]
# Small models have small matrices, so much of the time goes to everything else: drawing clips, attention, copies, and starting
# hundreds of small operators.
# `minivjepa bench --geometry cpu --account` takes a step apart; `docs/speed.md` shows what helps.
#
# On chips made for it, **bfloat16** saves time, too: its numbers have 8 significant bits, not 24. Matrix products and the GELU between them use it;
# weights, optimizer, LayerNorm and EMA stay in float32. This is called autocast.

# %%
short = replace(PRESETS["cpu"], steps=60, log_every=60, monitor_clips=64)
final = {
    precision: train(replace(short, precision=precision), precision, device)[1][-1]["loss"]
    for precision in ("fp32", "bf16")
}
off = abs(final["bf16"] - final["fp32"]) / final["fp32"]
guess("After 60 steps, by how many percent do the losses in float32 and bfloat16 differ?", round(100 * off, 2))

# %% folded=true
# NBVAL_CHECK_OUTPUT
print("after 60 steps both losses agree within a twentieth, and are not the same:", 0 < off < 0.05)
assert 0 < off < 0.05

# %% [markdown]
# ## Break it
#
# Multiply the learning rate by a thousand, then by 1e30. What happens?
#
# <details><summary>What to expect</summary>
#
# With 1000, our loss shot up and then ended *lower* than before: don't judge by the loss only. With 1e30, the trainer stops and tells you at which step, which checkpoint is
# still good, and what to try. It never writes a checkpoint with weights that aren't finite.
# </details>

# %%
factor = 1.0  # make it 1000.0, then 1e30
try:
    _, log = train(replace(PRESETS["tiny"], lr=factor * 2.5e-3), f"broken-{time.time()}", torch.device("cpu"))
    print(f"loss {log[1]['loss']:.3f} at first, {log[-1]['loss']:.3f} in the end")
except ValueError as error:
    print(error)

# %%
guess.table()

# %% [markdown]
# ## Three questions
#
# <details><summary>1. Why is the EMA updated after the optimizer's step, and not before?</summary>
#
# So that it averages the weights that the step has just made. Before the step, it would always be one step late: a small difference, but a
# different method.
# </details>
#
# <details><summary>2. Why does a checkpoint not need the state of a random number generator here?</summary>
#
# Clips and masks depend only on the seed, the step and the sample's number. Know the step, and you can draw them again.
# </details>
#
# <details><summary>3. You train in two processes and keep the batch of each. What has changed?</summary>
#
# The global batch has doubled, so it's another run, and another learning rate may fit. In this package `--batch` is the global one, and processes
# share it.
# </details>
#
# **In the package:** `training/minimal.py`, `training/recipe.py`, `training/trainer.py`, `training/runs.py`; several processes: `docs/commands.md`. **In
# the papers:** V-JEPA (arXiv 2404.08471), appendix on pretraining. **Next:** 09, what the features are good for.
