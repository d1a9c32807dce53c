# %% [markdown]
# # 08 Train it
#
# **At the end you can explain** every line of the training loop, what it leaves on disk and why a killed run loses nothing, what
# bfloat16 and a second process change, and how much of your machine the loop really uses.
#
# *40 minutes, about 2 of them for the computer. Any laptop; with a CUDA GPU the same cells train something larger.*
# You need: lesson 05; lesson 03 for what a FLOP is.

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

from minivjepa.config import PRESETS, Config
from minivjepa.data.digits import DigitClips
from minivjepa.devices import pick_device
from minivjepa.figures.training import losses_and_spread, schedules
from minivjepa.lesson import check, compare, show
from minivjepa.progress import RunBar
from minivjepa.recipe import build_model, parameter_groups, sample_masks, schedule
from minivjepa.runs import Run
from minivjepa.training import Trainer

device = pick_device("auto")  # a CUDA GPU if there is one
folder = Path(tempfile.mkdtemp())
print("this machine trains on:", device)

# %% [markdown]
# ## A run is a config
#
# Everything that decides the weights of a run stands in one frozen value. A misspelt option is an error, not silence:

# %%
# NBVAL_CHECK_OUTPUT
try:
    Config(learning_rate=1e-3)
    refused = False
except TypeError as error:
    refused = True
    print(error)
assert refused

# %% [markdown]
# Presets are starting points, and `replace` makes another from one. Here is the smallest, and its loop written out. You know
# every line from lessons 01 to 05; only the first three lines of the loop are new, and their picture follows.

# %%
config = replace(PRESETS["tiny"], precision="fp32")


def train_by_hand(config, steps):
    """V-JEPA's loop: clips, masks, loss, backward, step, EMA."""
    model = build_model(config)
    source = DigitClips(config.grid, "train", config.seed)
    optimiser = torch.optim.AdamW(parameter_groups(model, config), lr=config.lr, fused=True)
    index = torch.arange(config.batch)
    for step in range(steps):
        lr, decay, momentum = schedule(config, step)
        for group in optimiser.param_groups:
            group["lr"], group["weight_decay"] = lr * group["scale"], decay if group["decays"] else 0.0
        clips, _ = source.batch(step, index)
        masks = sample_masks(config, step, index)
        loss, _ = model(clips, masks)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.update_target(momentum)
    return model


by_hand = train_by_hand(config, config.steps)

# %% [markdown]
# (`parameter_groups` gives biases and other one-dimensional parameters no weight decay, and the predictor twice the learning rate.)
#
# The package's `Trainer` is that loop, plus what a long run needs: a log, checkpoints, several processes. Read its step:

# %%
print(inspect.getsource(Trainer.train_step))

# %% [markdown]
# **Predict:** after the same 60 steps, in how many parameters do the two models differ, of all their weights? (A number; 0 means not at
# all.)

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
    """How many weights differ between two state dicts, in any bit."""
    return sum(int((a[key] != b[key]).sum()) for key in a)


packaged, log = train(config, "tiny", torch.device("cpu"))
count = different(by_hand.state_dict(), packaged.state_dict())
compare(
    "weights that differ", my_number_of_different_weights, f"{count} of {sum(p.numel() for p in packaged.parameters())}"
)

# %%
# NBVAL_CHECK_OUTPUT
check("the loop", count == 0, "the loop of this page and the package's trainer end with the same bits in every weight")

# %% [markdown]
# Nothing random is left to chance: clips and masks are functions of (seed, step, sample number), so two loops that agree in their
# arithmetic agree in every bit.
#
# ## Three numbers that move
#
# The learning rate warms up and falls along half a cosine, weight decay may grow, and the momentum of EMA rises to 1, so that the
# target encoder comes to rest at the end. `cpu` is this course's recipe, `vitl` the published one, whose schedules are stretched
# by a quarter beyond the end of the run and so never finish.

# %%
show(schedules({"cpu": PRESETS["cpu"], "vitl": PRESETS["vitl"]}))

# %%
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
print(f"{live.steps} steps in {time.perf_counter() - start:.0f} s on {device}")
for row in log:
    print(f"  step {row['step']:4}  loss {row['loss'] if row['step'] else float('nan'):.3f}  feature std {row['feature_std']:.3f}"
          f"  of the target encoder {row['target_feature_std']:.3f}  lr {row['lr']:.5f}")  # fmt: skip

# %% [markdown]
# A full run takes longer than you should wait. Here are five, stored: the preset `cpu-long`, seven thousand steps.
#
# **Predict:** in how many of the five does the loss rise again, by a twentieth of its least value or more?

# %%
my_number_of_rising_losses = None

# %%
stored = json.loads((Path("..") / "results" / "long.json").read_text())
print(stored["command"], "|", stored["date"], "|", stored["device"])
losses = [[row["loss"] for row in run["history"] if row["step"]] for run in stored["arms"]["vjepa"]]
rising = sum(loss[-1] > 1.05 * min(loss) or max(loss[loss.index(min(loss)) :]) > 1.05 * min(loss) for loss in losses)
compare("losses that rise again", my_number_of_rising_losses, f"{rising} of {len(losses)}")
show(losses_and_spread(stored, "vjepa"))

# %%
# NBVAL_CHECK_OUTPUT
probes = [run["final"]["linear_direction"] for run in stored["arms"]["vjepa"]]
worse = [row["linear_direction"] for row in stored["untrained"]]
print("a healthy loss falls first and then rises in most runs:", rising >= 3)
print("and yet every one of these encoders knows more of motion than any untrained one:", min(probes) > max(worse))
assert rising >= 3 and min(probes) > max(worse)

# %% [markdown]
# The target moves. As it learns, it says richer things, and richer things are harder to predict: the exam becomes harder while
# the student learns. So never stop a V-JEPA because its loss rises, and never choose between two by their losses.
#
# ## Kill it
#
# A run is a folder: `config.json`, a line of `metrics.jsonl` per log, and `checkpoint.pt`, which is written beside the old one and
# then takes its name, so that a file is complete or not there. Start a run as a process of its own, kill it without warning as
# soon as its first checkpoint is there, and go on with `--resume`. Beside it, the same run undisturbed.
#
# **Predict:** how many weights differ at the end?

# %%
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
finish(command("killed", "--resume"))
finish(command("undisturbed"))
ends = [torch.load(folder / name / "checkpoint.pt", weights_only=True) for name in ("killed", "undisturbed")]
count = different(*(end["model"] for end in ends))
compare("weights that differ", my_number_after_the_kill, count)
print(f"  killed with a checkpoint of step {at}; both ended at steps {[end['step'] for end in ends]}")

# %%
# NBVAL_CHECK_OUTPUT
check("resume", count == 0 and at < 900 and [end["step"] for end in ends] == [900, 900],
      "a run that was killed and resumed ends with the same bits as one that was not")  # fmt: skip

# %% [markdown]
# ## Half the bits
#
# bfloat16 keeps eight of float32's 24 digits (binary ones) and all of its range. With `precision="bf16"`, matrix products are computed
# in it, while weights, optimiser, LayerNorm and EMA stay in float32: this is called autocast. On GPUs that have it, it is the
# default here (`precision="auto"`); on a processor it may be faster or slower.

# %%
short = replace(PRESETS["cpu"], steps=60, log_every=60, monitor_clips=64)
seconds, final = {}, {}
for precision in ("fp32", "bf16"):
    start = time.perf_counter()
    _, log = train(replace(short, precision=precision), precision, device)
    seconds[precision], final[precision] = time.perf_counter() - start, log[-1]["loss"]
print({name: f"{60 / value:.0f} steps/s, loss {final[name]:.3f}" for name, value in seconds.items()}, "on", device)

# %%
# NBVAL_CHECK_OUTPUT
close = abs(final["bf16"] - final["fp32"]) < 0.05 * final["fp32"]
print("after 60 steps both losses agree within a twentieth:", close)
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
# A model this small spends much of its time between the products: starting operations, moving numbers, softmax, the optimiser,
# and drawing the clips. Larger models come closer to 100.
#
# ## Two processes, one model
#
# `torchrun` starts the same program several times. Each process takes its part of every batch, and their gradients are averaged
# before the step, so all hold the same weights. Since clips are functions of their *global* number, two processes see together
# exactly what one would see alone.

# %%
together = [
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node=2",
    *command("together")[1:],
]
finish([*together, "--steps", "60"])
finish(command("alone", "--steps", "60"))
pairs = list(zip(*(Run(folder / name).history()[1:] for name in ("together", "alone"))))
for two, one in pairs[-3:]:
    print(f"step {one['step']:3}: loss of two processes {two['loss']:.5f}, of one {one['loss']:.5f}")

# %%
# NBVAL_CHECK_OUTPUT
same = all(abs(two["loss"] - one["loss"]) < 1e-3 for two, one in pairs)
check("two processes", same and len(pairs) > 5, "two processes train with the same losses as one, up to rounding")

# %% [markdown]
# ## On a GPU
#
# Recorded runs of the preset `cuda` would be shown here:

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
# Multiply the learning rate by a thousand. What happens, and what do you lose?
#
# <details><summary>What to expect</summary>
#
# The loss may stay a number and just be bad. If it stops being one, the trainer stops with a sentence that says at which step, which
# checkpoint is still good, and what to try. A checkpoint is never written with weights that are not finite.
# </details>

# %%
try:
    _, log = train(
        replace(PRESETS["tiny"], lr=2.5e-3 * 1), f"broken-{time.time()}", torch.device("cpu")
    )  # make the 1 a 1000, or a 1e30
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
# processes share it, so that nothing changes but the time.
# </details>
#
# **In the package:** `minivjepa/config.py`, `minivjepa/recipe.py`, `minivjepa/training.py`, `minivjepa/runs.py`. **In the papers:** V-JEPA (arXiv 2404.08471), appendix on
# pretraining. **Next:** 09, what the features are good for.
