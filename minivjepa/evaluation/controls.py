"""The controls: clips without motion, raw pixels, and an encoder trained with labels.  Read in lesson 9."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minivjepa import randomness
from minivjepa.data import known_clips
from minivjepa.data.protocol import DATA_SEED, Budget
from minivjepa.evaluation.judge import Alter, Encode, Metrics, encode_split, probe_encoder
from minivjepa.evaluation.probes import CLASSES, linear_accuracy
from minivjepa.training.config import Config
from minivjepa.training.devices import autocast
from minivjepa.training.recipe import apply_schedule, build_model, weight_groups
from minivjepa.training.runs import RunStopped
from minivjepa.tubelets import patchify


def first_frame(clip: Tensor, index: Tensor) -> Tensor:
    """Every frame replaced by the first.  [B, C, T, H, W] -> the same shape."""
    return clip[:, :, :1].expand_as(clip)


def shuffled_frames(clip: Tensor, index: Tensor) -> Tensor:
    """The frames of each clip in a random order that depends on its sample index only.  [B, C, T, H, W] -> the same shape."""
    key = randomness.keys("shuffle", DATA_SEED, 0, index.to(clip.device))
    order = randomness.uniform(key, clip.shape[2]).argsort(dim=1)  # [B, T]
    return clip.gather(2, order[:, None, :, None, None].expand_as(clip))


def train_supervised(config: Config, device: torch.device, progress: Callable[[int], None]) -> Encode:
    """A yardstick: an encoder of the same size, trained with labels for as many steps by the same optimizer.

    Pooled tokens, one linear head for direction and one for identity, sum of the cross-entropies.  `progress` is
    called after every step.  Raises RunStopped if the loss is not finite at the end.
    """
    encoder = build_model(config).encoder.to(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        heads = nn.ModuleDict({task: nn.Linear(config.dim, classes) for task, classes in CLASSES.items()}).to(device)
    optimiser = torch.optim.AdamW(weight_groups(nn.ModuleList([encoder, heads])), fused=device.type != "mps")
    source, index = known_clips(config.grid, "train", config.seed, device, config.clips), torch.arange(config.batch)
    for step in range(config.steps):
        apply_schedule(optimiser, config, step)
        clip, factors = source.batch(step, index)
        with autocast(config.precision, device):
            pooled = encoder(clip).mean(dim=1)
            losses = [F.cross_entropy(heads[task](pooled), getattr(factors, task)) for task in CLASSES]
        optimiser.zero_grad()
        torch.stack(losses).sum().backward()
        if config.clip_grad and step >= config.warmup:
            nn.utils.clip_grad_norm_(encoder.parameters(), config.clip_grad)
        optimiser.step()
        progress(step + 1)
    if not torch.stack(losses).isfinite().all():
        raise RunStopped(f"the supervised loss is not finite at step {config.steps}; try a lower --lr in a new folder")
    return encoder


def pixel_direction(config: Config, budget: Budget, device: torch.device, alter: Alter) -> float:
    """Held-out accuracy of a linear probe for direction on all frames, each shrunk to 8 x 8 pixels; no encoder is needed.

    A digit's position is linear in these pixels, so the probe finds a start position that gives the direction away.
    """

    def shrink(clip: Tensor) -> Tensor:
        small = F.adaptive_avg_pool3d(clip.mean(dim=1, keepdim=True), (config.grid.frames, 8, 8))
        return small.flatten(2)  # [B, 1, T*64]

    train, test = (encode_split(shrink, config, split, budget, device, alter) for split in ("train", "test"))
    return linear_accuracy(train.pooled, train.direction, test.pooled, test.direction)


CONTROLS = ("first_frame", "shuffled_frames", "raw_pixels", "supervised")


def judge_control(
    name: str, config: Config, budget: Budget, device: torch.device, progress: Callable[[int], None]
) -> Metrics:
    """Metrics of one of CONTROLS; `progress` is called after every training step of the supervised one.

    raw_pixels: the tubelets themselves.  supervised: train_supervised.  first_frame, shuffled_frames: the untrained
    encoder of this seed on altered clips, and pixels_direction.  If a probe finds the direction in the first frame, the
    data leaks it.  Shuffled frames show the line of motion but not which way along it: the attentive probe may reach
    1/2, a linear one stays at chance.
    """
    if name == "raw_pixels":
        return probe_encoder(lambda clip: patchify(clip, config.grid), config, budget, device)
    if name == "supervised":
        return probe_encoder(train_supervised(config, device, progress), config, budget, device)
    alter = {"first_frame": first_frame, "shuffled_frames": shuffled_frames}[name]
    found = probe_encoder(build_model(config).encoder.to(device), config, budget, device, alter)
    return {**found, "pixels_direction": pixel_direction(config, budget, device, alter)}
