"""Every number that a finished run is judged by, and the controls that stand beside it.

Read in lesson 9.  Clips, splits and budgets are protocol.py's, the same for every run; only the masks of the held-out
loss and margin are the run's own.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minivjepa import randomness
from minivjepa.collapse import token_metrics
from minivjepa.data.digits import DigitClips
from minivjepa.data.protocol import DATA_SEED, SPLITS, Budget
from minivjepa.evaluation.probes import (
    TASKS,
    Labelled,
    attentive_accuracy,
    knn_accuracy,
    linear_accuracy,
    linear_r2,
    standardise,
)
from minivjepa.objective import latent_distance
from minivjepa.training.config import Config
from minivjepa.training.monitor import CHUNK, prediction_margin
from minivjepa.training.recipe import build_model, sample_masks, schedule
from minivjepa.training.runs import RunStopped
from minivjepa.tubelets import Grid, gather_tokens, patchify
from minivjepa.vjepa import VJEPA

Encode = Callable[[Tensor], Tensor]  # clips [B, C, T, H, W] -> tokens [B, N, D]
Alter = Callable[[Tensor, Tensor], Tensor]  # (clips, sample indices [B]) -> clips of the same shape
Metrics = dict[str, Any]
METRICS = (
    "loss", "feature_std", "position_std", "effective_rank", "rankme", "margin", "linear_direction", "linear_identity",
    "linear_color", "linear_position", "attentive_direction", "attentive_identity", "knn_identity",
)  # fmt: skip


def evaluation_clips(grid: Grid, split: str, device: torch.device) -> DigitClips:
    """The clips of one split that every encoder is judged on."""
    return DigitClips(grid, split, DATA_SEED + SPLITS.index(split), str(device))


@torch.no_grad()
def encode_split(
    encode: Encode, grid: Grid, split: str, budget: Budget, device: torch.device, alter: Alter | None = None
) -> Labelled:
    """Encode the (altered) evaluation clips of a split, a chunk at a time, and keep what is in them."""
    source = evaluation_clips(grid, split, device)
    tokens, factors = [], []
    for index in torch.arange(budget.clips(split)).split(CHUNK):
        clip, found = source.batch(0, index)
        tokens.append(encode(alter(clip, index) if alter else clip).float().cpu())
        factors.append(found)
    angle = torch.cat([f.position for f in factors]).cpu() * (2 * math.pi)
    return Labelled(
        tokens=torch.cat(tokens),
        identity=torch.cat([f.identity for f in factors]).cpu(),
        direction=torch.cat([f.direction for f in factors]).cpu(),
        colour=torch.cat([f.colour for f in factors]).cpu(),
        place=torch.cat([angle.sin(), angle.cos()], dim=1),
    )


def probe_encoder(
    encode: Encode, grid: Grid, budget: Budget, device: torch.device, seed: int, alter: Alter | None = None
) -> Metrics:
    """All collapse metrics and probes of one frozen encoder on held-out clips; accuracies are fractions.

    seed: of the attentive probes' weights and batches.  spectrum: singular values of the centred pooled test features, descending.
    """
    train, validation, test = (encode_split(encode, grid, split, budget, device, alter) for split in SPLITS)
    x, y = train.pooled, test.pooled
    metrics: Metrics = {
        **token_metrics(test.tokens),
        "linear_direction": linear_accuracy(x, train.direction, y, test.direction),
        "linear_identity": linear_accuracy(x, train.identity, y, test.identity),
        "linear_color": linear_r2(x, train.colour, y, test.colour),
        "linear_position": linear_r2(x, train.place, y, test.place),
        "knn_identity": knn_accuracy(x, train.identity, y, test.identity, budget.neighbours),
        "spectrum": (torch.linalg.svdvals((y - y.mean(dim=0)).double()) / len(y) ** 0.5).tolist(),
    }
    train, validation, test = (part.to(device) for part in standardise([train, validation, test]))
    for task, (held_out, seen) in attentive_accuracy(train, validation, test, budget, seed).items():
        metrics[f"attentive_{task}"], metrics[f"attentive_{task}_train"] = held_out, seen
    return metrics


@torch.no_grad()
def prediction_metrics(model: VJEPA, config: Config, budget: Budget, device: torch.device) -> dict[str, float]:
    """Loss and margin on held-out clips."""
    source, losses, margins = evaluation_clips(config.grid, "test", device), [], []
    for index in torch.arange(budget.test_clips, device=device).split(CHUNK):
        clip, masks = source.batch(0, index)[0], sample_masks(config, 0, index)
        wanted = model.normalised(model.targets(clip))
        targets = [gather_tokens(wanted, ids) for _, ids in masks]
        losses.append(float(latent_distance(model.predict(clip, masks), targets, config.loss)))
        margins.append(prediction_margin(model, clip, masks))
    return {"loss": sum(losses) / len(losses), "margin": sum(margins) / len(margins)}


def judge_untrained(model: VJEPA, config: Config, budget: Budget, device: torch.device) -> Metrics:
    """Metrics of a model before its first step, when both encoders are the same."""
    return {
        **prediction_metrics(model, config, budget, device),
        **probe_encoder(model.encoder, config.grid, budget, device, config.seed),
    }


def judge(
    model: VJEPA, config: Config, budget: Budget, device: torch.device, part_done: Callable[[], None] = lambda: None
) -> Metrics:
    """Metrics of the online encoder; under "target" those of the target encoder, or None if it has none."""
    shared = prediction_metrics(model, config, budget, device)
    part_done()
    result = {**shared, **probe_encoder(model.encoder, config.grid, budget, device, config.seed), "target": None}
    part_done()
    if model.target_encoder is not None:
        result["target"] = {**shared, **probe_encoder(model.target_encoder, config.grid, budget, device, config.seed)}
        part_done()
    return result


def first_frame(clip: Tensor, index: Tensor) -> Tensor:
    """The first frame in place of every frame.  [B, C, T, H, W] -> the same shape."""
    return clip[:, :, :1].expand_as(clip)


def shuffled_frames(clip: Tensor, index: Tensor) -> Tensor:
    """The frames of each clip in an order of its own, a function of its sample index.  Shapes stay."""
    key = randomness.keys("shuffle", DATA_SEED, 0, index.to(clip.device))
    order = randomness.uniform(key, clip.shape[2]).argsort(dim=1)  # [B, T]
    return clip.gather(2, order[:, None, :, None, None].expand_as(clip))


LARGEST = 16 * 2**30  # bytes of tokens that probing may hold in memory


def check_memory(config: Config, budget: Budget) -> None:
    """Raise ValueError if the tokens of all evaluation clips are more than a machine should be asked to hold."""
    clips = sum(budget.clips(split) for split in SPLITS)
    needed = 4 * clips * config.grid.tokens * config.dim
    if needed > LARGEST:
        raise ValueError(
            f"probing keeps {clips} clips x {config.grid.tokens} tokens x {config.dim} features in memory, "
            f"{needed / 2**30:.0f} GiB; expected at most {LARGEST / 2**30:.0f} GiB: choose a smaller --grid or --dim"
        )


def train_supervised(config: Config, device: torch.device, progress: Callable[[int], None]) -> Encode:
    """An encoder of the same size, trained with labels for as many steps: the ceiling.

    Pooled tokens, one linear head for direction and one for identity, sum of the cross-entropies.  Raises
    RunStopped if the loss is not a number at the end.
    """
    encoder = build_model(config).encoder.to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        heads = nn.ModuleDict({task: nn.Linear(config.dim, classes) for task, classes in TASKS.items()}).to(device)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *heads.parameters()], lr=config.lr, fused=True)
    source, index = DigitClips(config.grid, "train", config.seed, str(device)), torch.arange(config.batch)
    for step in range(config.steps):
        lr, decay, _ = schedule(config, step)
        optimiser.param_groups[0].update(lr=lr, weight_decay=decay)
        clip, factors = source.batch(step, index)
        pooled = encoder(clip).mean(dim=1)
        losses = [F.cross_entropy(heads[task](pooled), getattr(factors, task)) for task in TASKS]
        optimiser.zero_grad()
        torch.stack(losses).sum().backward()
        optimiser.step()
        progress(step + 1)
    if not torch.stack(losses).isfinite().all():
        raise RunStopped(
            f"the supervised loss is not finite after {config.steps} steps. Try a lower --lr, in a new folder"
        )
    return encoder


def pixel_direction(grid: Grid, budget: Budget, device: torch.device, alter: Alter | None = None) -> float:
    """Held-out accuracy of a linear probe for direction on whole frames of 8 x 8 averaged pixels, not pooled over tokens.

    Where a digit stands is linear in these, so this is the reader that a start tied to the direction cannot fool.
    """

    def shrink(clip: Tensor) -> Tensor:
        return F.adaptive_avg_pool3d(clip.mean(dim=1, keepdim=True), (grid.frames, 8, 8)).flatten(2)  # [B, 1, T*64]

    train, test = (encode_split(shrink, grid, split, budget, device, alter) for split in ("train", "test"))
    return linear_accuracy(train.pooled, train.direction, test.pooled, test.direction)


CONTROLS = ("first_frame", "shuffled_frames", "raw_pixels", "supervised")


def control(
    name: str, config: Config, budget: Budget, device: torch.device, progress: Callable[[int], None]
) -> Metrics:
    """Probe metrics of one row of CONTROLS.

    raw_pixels: the tubelets themselves.  first_frame, shuffled_frames: the untrained encoder of this seed on
    altered clips.  In the first frame no probe may find the direction, else the data leaks.  Shuffled frames still
    show the line of motion but not which way along it, so an attentive probe may reach 1/2 and a linear one
    finds nothing.  Both also get pixels_direction, the score of a reader that needs no encoder.  supervised: an encoder of the same size trained with labels.  `progress` hears of its steps.
    """
    grid = config.grid
    if name == "raw_pixels":
        return probe_encoder(lambda clip: patchify(clip, grid), grid, budget, device, config.seed)
    if name == "supervised":
        return probe_encoder(train_supervised(config, device, progress), grid, budget, device, config.seed)
    alter = {"first_frame": first_frame, "shuffled_frames": shuffled_frames}[name]
    found = probe_encoder(build_model(config).encoder.to(device), grid, budget, device, config.seed, alter)
    return {**found, "pixels_direction": pixel_direction(grid, budget, device, alter)}


def wilson(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share of successes (Wilson 1927): stays within 0 .. 1 and is honest near both ends."""
    share, extra = successes / trials, z * z / trials
    middle = (share + extra / 2) / (1 + extra)
    half = z / (1 + extra) * (share * (1 - share) / trials + extra / (4 * trials)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def rate_in_words(rate: Metrics) -> str:
    """A share of successes with its Wilson interval, {"success", "low", "high"}, as text: "96.0 % (92.3 to 98.0)"."""
    if rate["success"] is None:
        return "none tried"
    return f"{100 * rate['success']:.1f} % ({100 * rate['low']:.1f} to {100 * rate['high']:.1f})"
