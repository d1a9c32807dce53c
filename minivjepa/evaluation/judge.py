"""Judging a finished run: every number of metrics.py, of its online and of its target encoder.

Read in lesson 9.  Clips, splits and budgets are protocol.py's, the same for every run; only the masks of the held-out
loss and margin are the run's own.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from minivjepa.collapse import token_metrics
from minivjepa.data import KnownClips, known_clips
from minivjepa.data.protocol import DATA_SEED, SPLITS, Budget
from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.probes import Labelled, attentive_accuracy, standardise
from minivjepa.objective import latent_distance
from minivjepa.training.config import Config
from minivjepa.training.loop import CLIPS_AT_ONCE
from minivjepa.training.recipe import sample_masks
from minivjepa.training.trainer import prediction_margin
from minivjepa.tubelets import Grid, gather_tokens
from minivjepa.vjepa import VJEPA

Encode = Callable[[Tensor], Tensor]  # clips [B, C, T, H, W] -> tokens [B, N, D]
Alter = Callable[[Tensor, Tensor], Tensor]  # (clips, sample indices [B]) -> clips of the same shape
Metrics = dict[str, Any]
COPIES = 2  # of all evaluation clips' tokens: as they were encoded, and standardized for the attentive probes
LARGEST = 16 * 2**30  # bytes of tokens that probing may hold in memory


def evaluation_clips(config: Config, split: str, device: torch.device) -> KnownClips:
    """The clips of one split: the same for every run with this grid and these rules of clips."""
    return known_clips(config.grid, split, DATA_SEED + SPLITS.index(split), device, config.clips)


@torch.no_grad()
def encode_split(
    encode: Encode, config: Config, split: str, budget: Budget, device: torch.device, alter: Alter | None = None
) -> Labelled:
    """Encode the (altered) evaluation clips of a split, a chunk at a time, and keep what is in them."""
    source = evaluation_clips(config, split, device)
    tokens, factors = [], []
    for index in torch.arange(budget.clips(split)).split(CLIPS_AT_ONCE):
        clip, found = source.batch(0, index)
        tokens.append(encode(alter(clip, index) if alter else clip).float().cpu())
        factors.append(found)
    known = {name: torch.cat([getattr(f, name) for f in factors]).cpu() for name in ("identity", "direction", "color")}
    turn = 1 if config.clips.shows == "photographs" else 2  # only a digit's frame has joined ends
    angle = torch.cat([f.position for f in factors]).cpu() * (turn * math.pi)
    return Labelled(torch.cat(tokens), **known, place=torch.cat([angle.sin(), angle.cos()], dim=1))


def probe_encoder(
    encode: Encode, config: Config, budget: Budget, device: torch.device, alter: Alter | None = None
) -> Metrics:
    """All collapse metrics and probes of one frozen encoder on held-out clips; accuracies are fractions.

    config: its clips, and the seed of the attentive probes.  spectrum: singular values of the centered pooled test features, descending.
    """
    train, validation, test = (encode_split(encode, config, split, budget, device, alter) for split in SPLITS)
    metrics: Metrics = token_metrics(test.tokens)
    metrics |= {name: metric.probe(train, test, budget) for name, metric in METRICS.items() if metric.probe}
    centred = test.pooled - test.pooled.mean(dim=0)
    metrics["spectrum"] = (torch.linalg.svdvals(centred.double()) / len(centred) ** 0.5).tolist()
    train, validation, test = (part.to(device) for part in standardise([train, validation, test]))
    for task, (held_out, seen) in attentive_accuracy(train, validation, test, budget, config.seed).items():
        metrics[f"attentive_{task}"], metrics[f"attentive_{task}_train"] = held_out, seen
    return metrics


@torch.no_grad()
def prediction_metrics(model: VJEPA, config: Config, budget: Budget, device: torch.device) -> dict[str, float]:
    """Loss and margin on held-out clips."""
    source, losses, margins = evaluation_clips(config, "test", device), [], []
    for index in torch.arange(budget.test_clips, device=device).split(CLIPS_AT_ONCE):
        clip, masks = source.batch(0, index)[0], sample_masks(config, 0, index)
        h, predictions = model.normalised(model.targets(clip)), model.predict(clip, masks)
        targets = [gather_tokens(h, ids) for _, ids in masks]
        losses.append(float(latent_distance(predictions, targets, config.loss)))
        margins.append(prediction_margin(h, predictions, masks))
    return {"loss": sum(losses) / len(losses), "margin": sum(margins) / len(margins)}


def judge_online(model: VJEPA, config: Config, budget: Budget, device: torch.device) -> Metrics:
    """Metrics of the online encoder: all there are before the first step, when both encoders are the same."""
    shared = prediction_metrics(model, config, budget, device)
    return {**shared, **probe_encoder(model.encoder, config, budget, device)}


def judge(
    model: VJEPA, config: Config, budget: Budget, device: torch.device, part_done: Callable[[], object] = lambda: None
) -> Metrics:
    """Metrics of the online encoder; under "target" those of the target encoder, or None if it has none.  part_done: called after each encoder."""
    online, target = judge_online(model, config, budget, device), None
    part_done()
    if model.target_encoder is not None:  # loss and margin are the same
        target = {**online, **probe_encoder(model.target_encoder, config, budget, device)}
        part_done()
    return {**online, "target": target}


def token_bytes(grid: Grid, dim: int, budget: Budget) -> int:
    """Bytes of the float32 tokens that probe_encoder holds at its peak."""
    return COPIES * 4 * sum(budget.clips(split) for split in SPLITS) * grid.tokens * dim


def check_memory(config: Config, budget: Budget, pixels: bool) -> None:
    """Raise ValueError if probing would hold more tokens than a machine should be asked to hold.  pixels: raw ones are probed too."""
    width = max(config.dim, config.grid.values) if pixels else config.dim
    needed = token_bytes(config.grid, width, budget)
    if needed > LARGEST:
        raise ValueError(
            f"probing holds {COPIES} copies of {sum(budget.clips(split) for split in SPLITS)} clips x {config.grid.tokens} tokens x {width} features in memory, "
            f"{needed / 2**30:.0f} GiB; expected at most {LARGEST / 2**30:.0f} GiB: choose a smaller --grid or --dim"
        )
