# %% [markdown]
# # 08 Train it
#
# ![You are here: training it. The diagram of V-JEPA. In full color: EMA, gradient, loss.](attachment:here-08.png)
#
# **At the end you can explain** every line of the training loop, what is left of a run that is killed, what bfloat16 and a second
# process change, and how much of your machine the loop really uses.
#
# *40 minutes, including about 2 minutes of computing. Any laptop; with a CUDA GPU the same cells train something larger.*
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

# %%
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from minivjepa.course.figures.training_curves import losses_and_spread, schedules
from minivjepa.course.lesson import check, compare, show
from minivjepa.data.digits import DigitClips
from minivjepa.training import minimal
from minivjepa.training.config import PRESETS, Config
from minivjepa.training.devices import pick_device
from minivjepa.training.progress_bar import RunBar
from minivjepa.training.recipe import build_model, sample_masks, schedule
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer

device = pick_device("auto")  # a CUDA GPU if there is one
folder = Path(tempfile.mkdtemp())
print("this machine trains on:", device)

# %% [markdown]
# ## A run is a config
#
# All settings of a run stand in one value that cannot be changed, a `Config`. A misspelt option is an error, not silence:

# %% folded=true
# NBVAL_CHECK_OUTPUT
try:
    Config(learning_rate=1e-3)
    refused = False
except TypeError as error:
    refused = True
    print(error)
assert refused

# %% [markdown]
# Presets are starting points, and `replace` makes another from one: `replace(PRESETS["cpu"], steps=100)`.
#
# ## One screen that trains
#
# Here is all of it, written out for one config, the preset `cpu`. Clips, masks, loss and EMA are those of lessons 01 to 05. The rest is what any
# network is trained with:
#
# - **AdamW** turns gradients into steps. The **learning rate** is their size; **weight decay** also pulls every weight towards zero a
#   little, but not biases and other one-dimensional parameters. The predictor learns twice as fast as the encoder. `fused` updates all
#   parameters in one operation.
# - Two **schedules**: the learning rate climbs and falls, and the momentum of EMA rises to 1. Their picture follows.

# %%
print(inspect.getsource(minimal))

# %%
STEPS = 100
by_hand = minimal.train(STEPS)

# %% [markdown]
# The package's `Trainer` does this for any config, and for long runs: with a log, with checkpoints, in several processes. Read its step, in two parts. `rank` and
# `world` are the number of this process and how many there are (one, so far); `send` copies to the device; `apply_schedule` sets learning rate and weight decay
# and returns the momentum; `autocast` comes below; large gradients may be clipped to a greatest length; and `pending` keeps the loss on the device until
# it is wanted.

# %%
print(inspect.getsource(Trainer.train_step))
print(inspect.getsource(Trainer.update))

# %% [markdown]
# **Predict:** after the same 100 steps, how many numbers in the two models differ?

# %%
my_number_of_different_weights = None

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
packaged, log = train(config, "packaged", torch.device("cpu"))
count = different(by_hand.state_dict(), packaged.state_dict())
total = sum(value.numel() for value in packaged.state_dict().values())
compare("numbers that differ", my_number_of_different_weights, f"{count} of {total}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
moved = different(packaged.state_dict(), build_model(config).state_dict())
check(
    "the loop",
    count == 0 < moved,
    "the loop on one screen and the package's trainer move the weights to exactly the same numbers",
)

# %% [markdown]
# Nothing is left to chance: clips and masks are functions of (seed, step, sample number), so two loops that agree in their
# arithmetic agree in every bit.
#
# ## Three numbers that move
#
# The learning rate warms up and falls along half a cosine, weight decay may grow, and the momentum of EMA rises to 1, so that the
# target encoder comes to rest at the end (momentum 1: it stands still). `cpu` is this course's recipe, `vitl` the published one, whose schedules are stretched
# by a quarter beyond the end of the run and so never finish.

# %%
show(schedules({"cpu": PRESETS["cpu"], "vitl": PRESETS["vitl"]}))

# %% folded=true
# NBVAL_CHECK_OUTPUT
lr, decay, momentum = schedule(PRESETS["vitl"], PRESETS["vitl"].steps - 1)
print(
    "the published run ends at momentum .9996 and weight decay .366:",
    round(momentum, 4) == 0.9996,
    round(decay, 3) == 0.366,
)
assert round(momentum, 4) == 0.9996 and round(decay, 3) == 0.366

# %% [markdown]
# ## Train
#
# Now for real, though short: on a processor a few hundred steps of the recipe `cpu`, on a GPU larger clips and a larger model (preset
# `cuda`). The bar shows the loss and, because lesson 07 said so, the feature std.

# %%
live = replace(PRESETS["cuda"] if device.type == "cuda" else PRESETS["cpu"], steps=300, log_every=50)
start = time.perf_counter()
model, log = train(live, "live", device, bar=True)
print(f"{live.steps} steps in {time.perf_counter() - start:.0f} s on {device}, with starting and logging")
for row in log[1:]:  # the first is from before the first step
    print(f"  step {row['step']:4}  loss {row['loss']:.3f}  feature std {row['feature_std']:.3f}"
          f"  of the target encoder {row['target_feature_std']:.3f}  lr {row['lr']:.5f}")  # fmt: skip

# %% [markdown]
# A full run takes too long for a lesson. Here are five, stored: the preset `cpu-long`, seven thousand steps.
#
# **Predict:** in how many of the five does the loss rise again, by a twentieth of its least value or more?

# %%
my_number_of_rising_losses = None

# %%
stored = json.loads((Path("..") / "results" / "long.json").read_text())
print(stored["command"], "|", stored["date"], "|", stored["device"])
losses = [[row["loss"] for row in run["history"] if row["step"]] for run in stored["arms"]["vjepa"]]
least = [loss.index(min(loss)) for loss in losses]
rising = sum(max(loss[at:]) > 1.05 * loss[at] for loss, at in zip(losses, least))
compare("losses that rise again", my_number_of_rising_losses, f"{rising} of {len(losses)}")
for run, at in zip(stored["arms"]["vjepa"], least):
    early, end = run["history"][1:][at], run["history"][-1]
    ranks = f"{early['target_effective_rank']:.0f} to {end['target_effective_rank']:.0f}"
    print(
        f"  seed {run['seed']}, from step {early['step']} on: effective rank of the target encoder {ranks}, margin {early['margin']:.2f} to {end['margin']:.2f}"
    )
show(losses_and_spread(stored, "vjepa"))

# %% folded=true
# NBVAL_CHECK_OUTPUT
probes = [run["final"]["linear_direction"] for run in stored["arms"]["vjepa"]]
worse = [row["linear_direction"] for row in stored["untrained"]]
rows = [(run["history"][1:][at], run["history"][-1]) for run, at in zip(stored["arms"]["vjepa"], least)]
richer = all(early[name] < end[name] for early, end in rows for name in ("target_effective_rank", "margin"))
print("in most of these runs the loss falls first and rises by a twentieth later:", rising >= 3)
print("meanwhile the effective rank of the target, and the margin, grow in all of them:", richer)
print("and every one of these encoders knows more of motion than any untrained one:", min(probes) > max(worse))
assert rising >= 3 and richer and min(probes) > max(worse)

# %% [markdown]
# (The **margin** is how much closer a prediction is to its own clip's target than to another clip's.) Lesson 06 counted no such rise in the
# shorter recipe, so it can happen and need not. A likely reason where it does: the target encoder comes to say richer things, its effective rank
# grows, and richer things are harder to predict. In any case a rising loss alone is no reason to stop, and the losses of two runs
# with different targets cannot be compared.
#
# ## Kill it
#
# A run is a folder: `config.json`, a line of `metrics.jsonl` per log, and `checkpoint.pt`: weights, optimiser and step, all that is needed to go on.
# It is written beside the old one and then takes its name, so that a file is complete or not there. Start a run of 900 steps as a process
# of its own, kill it without warning as soon as its first checkpoint is there, and go on with `--resume`. Beside it, the same run
# undisturbed.
#
# **Predict:** at which step does it go on (a checkpoint is written every hundred), and how many numbers differ at the end?

# %%
my_step_after_the_kill = None
my_number_after_the_kill = None

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
compare("goes on at step", my_step_after_the_kill, at)
compare("numbers that differ at the end", my_number_after_the_kill, count)

# %% folded=true
# NBVAL_CHECK_OUTPUT
check("resume", count == 0 and 0 < at < 900 and before == after and [end["step"] for end in ends] == [900, 900],
      "a run that was killed goes on from its checkpoint, and ends with the same numbers as one that was not")  # fmt: skip

# %% [markdown]
# It loses the steps since its last checkpoint, and repeats them exactly.
#
# ## Half the bits
#
# bfloat16 keeps 8 of float32's 24 binary digits, which is two or three decimal ones, and all of its range. With `precision="bf16"`, matrix products are computed
# in it, while weights, optimiser, LayerNorm and EMA stay in float32: this is called autocast. On GPUs that have it, it is the
# default here (`precision="auto"`); on a processor it may be faster or slower.

# %%
short = replace(PRESETS["cpu"], steps=60, log_every=60, monitor_clips=64)
seconds, final = {}, {}
for precision in ("fp32", "bf16"):
    start = time.perf_counter()
    _, log = train(replace(short, precision=precision), precision, device)
    seconds[precision], final[precision] = time.perf_counter() - start, log[-1]["loss"]
for name, value in seconds.items():
    print(f"{name}: loss {final[name]:.6f}; {value:.1f} s for 60 steps on {device}, with starting and logging")

# %% folded=true
# NBVAL_CHECK_OUTPUT
close = 0 < abs(final["bf16"] - final["fp32"]) < 0.05 * final["fp32"]
print("after 60 steps both losses agree within a twentieth, and are not the same:", close)
assert close

# %% [markdown]
# ## How busy is the machine?
#
# Count the arithmetic that a step needs (lesson 03), divide by the time it takes, and compare with what the machine reaches on
# nothing but one large matrix product. That is the **share of the matmul rate**.
#
# **Predict** the share for this small model, in per cent.

# %%
my_share_in_per_cent = None

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
compare("share of the matmul rate, in per cent", my_share_in_per_cent, f"{100 * flops / spent / rate:.0f}")
print(
    f"  {1000 * spent:.0f} ms a step, {live.batch / spent:.0f} clips/s, {flops / 1e9:.1f} GFLOP a step; one matrix product: {rate / 1e9:.0f} GFLOP/s"
)

# %% [markdown]
# Where is the rest? The products of so small a model are small themselves, and between them the time goes to drawing clips, softmax, norms, the
# optimiser, and to starting one operation after the other. `minivjepa bench --geometry cpu --account` takes a step apart, operator by operator;
# `docs/speed.md` has what it found, and what each trick in the loop buys.
#
# ## Two processes, one model
#
# `torchrun` starts the same program several times. Each process takes its part of every batch, and their gradients are averaged
# before the step, so all hold the same weights. Since clips are functions of their *global* number, two processes see together
# exactly what one would see alone.

# %%
options = ["--preset", "tiny", "--device", "cpu"]
logs = ["--log-dir", str(folder / "logs"), "--redirects", "3"]  # a folder of output for each process
torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *logs]
finish([*torchrun, *command("together")[1:]])
finish(command("alone"))
processes = len(list((folder / "logs").rglob("stdout.log")))
pairs = list(zip(*(Run(folder / name).history()[1:] for name in ("together", "alone"))))
for two, one in pairs[-3:]:
    print(f"step {one['step']:3}: loss of two processes {two['loss']:.5f}, of one {one['loss']:.5f}")

# %% folded=true
# NBVAL_CHECK_OUTPUT
two, one = (torch.load(folder / name / "checkpoint.pt", weights_only=True)["model"] for name in ("together", "alone"))
same_losses = len(pairs) > 5 and all(abs(a["loss"] - b["loss"]) < 1e-3 for a, b in pairs)
same_weights = all(torch.allclose(two[key], one[key], atol=1e-2) for key in one)
check("two processes", processes == 2 and same_losses and same_weights,
      "two processes train with the same losses, to the same weights, as one, up to rounding")  # fmt: skip

# %% [markdown]
# ## On a GPU
#
# What the preset `cuda` (16 frames of 64 x 64, an encoder three times as wide and twice as deep) does on a GPU, as far as it was recorded:

# %%
recorded = Path("..") / "results" / "cuda.json"
if recorded.exists():
    run = json.loads(recorded.read_text())
    print(run["command"], "|", run["date"], "|", run["device"], "| torch", run["versions"]["torch"])
    for arm, each in run["arms"].items():
        print(
            f"  {arm}: {[round(one['final']['linear_direction'], 2) for one in each]} motion, {[round(one['seconds']) for one in each]} s"
        )
else:
    print("not yet measured")

# %% [markdown]
# ## Break it
#
# Multiply the learning rate by a thousand, then by 1e30. What happens?
#
# <details><summary>What to expect</summary>
#
# The loss stays a number and is just bad. With a factor of 1e30 it stops being one; then the trainer stops with a sentence that says at which
# step, which checkpoint is still good, and what to try. A checkpoint is never written with weights that are not finite.
# </details>

# %%
factor = 1.0  # make it 1000.0, then 1e30
try:
    _, log = train(replace(PRESETS["tiny"], lr=factor * 2.5e-3), f"broken-{time.time()}", torch.device("cpu"))
    print(f"loss {log[1]['loss']:.3f} at first, {log[-1]['loss']:.3f} in the end")
except ValueError as error:
    print(error)

# %% [markdown]
# ## Three questions
#
# <details><summary>1. Why is EMA updated after the optimiser's step, and not before?</summary>
#
# So that the target encoder averages the weights that the step has just made. Before it, the average would always be one step late:
# a small difference, but a different method.
# </details>
#
# <details><summary>2. Why is the log's loss fetched late, and not at every step?</summary>
#
# Asking a GPU for a number makes the program wait until everything before it is computed. Without asking, it can already
# prepare the next step meanwhile.
# </details>
#
# <details><summary>3. You double the number of processes and keep the batch of each. What has changed?</summary>
#
# The global batch has doubled, so it is another run: another learning rate may fit. Here `--batch` is the global one, and the
# processes share it. With masks of a constant size nothing changes but the time; the official masks are cut to the smallest of each
# process (lesson 02), so with them the masks change too.
# </details>
#
# **In the package:** `minivjepa/training/config.py`, `minivjepa/training/recipe.py`, `minivjepa/training/trainer.py`, `minivjepa/training/loop.py`, `minivjepa/training/runs.py`. **In the papers:** V-JEPA (arXiv 2404.08471), appendix on
# pretraining. **Next:** 09, what the features are good for.
