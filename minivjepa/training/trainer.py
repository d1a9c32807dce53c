"""Training a V-JEPA: Trainer.train_step is one step; loop.py has what goes around it.  Read in lesson 8."""

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from minivjepa.collapse import margin, token_metrics
from minivjepa.masking import MaskPair, OfficialBlocks, parse_mask
from minivjepa.objective import SIGReg
from minivjepa.training.config import Config
from minivjepa.training.devices import autocast, send
from minivjepa.training.loop import CLIPS_AT_ONCE, MONITOR_STEP, ClipSource, Loop
from minivjepa.training.recipe import apply_schedule, build_model, parameter_groups, sample_masks, schedule
from minivjepa.training.runs import Run, load_weights, trained
from minivjepa.transformer import Attention, Block
from minivjepa.tubelets import gather_tokens
from minivjepa.vjepa import VJEPA


@dataclass(frozen=True)
class Tuning:
    """How a run computes: faster or in less memory, with the same numbers up to rounding."""

    compile: bool = False
    """Let torch.compile fuse operations: it takes seconds to minutes once, then steps on a GPU are faster; masks need a constant size."""
    recompute: bool = False
    """Store less for the backward pass and compute it again: one more forward pass, less memory."""

    def check(self, config: Config) -> None:
        """Raise ValueError for --compile with an arm or mask that changes from step to step."""
        if self.compile and isinstance(config.prevention.regulariser, SIGReg):
            raise ValueError("--compile cannot fuse SIGReg, which draws new directions at every step; leave it out")
        if self.compile and any(isinstance(parse_mask(text), OfficialBlocks) for text in config.masks):
            masks = ", ".join(config.masks)
            raise ValueError(f"--compile needs masks of constant size; those of {masks} change; use --masks short long")

    def apply(self, model: nn.Module) -> nn.Module:
        """Set up the model like this, and return it."""
        for block in model.modules() if self.recompute else ():
            if isinstance(block, Block):  # store only what is between blocks, and run each block again for its gradient
                block.forward = partial(checkpoint, block.forward, use_reentrant=False)  # type: ignore[method-assign]
        return torch.compile(model, dynamic=False) if self.compile else model  # type: ignore[return-value]


PLAIN = Tuning()


def written_out(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt d) v, head by head, for training in bfloat16 on a CPU: q, k, v and result [B, head, n, d].

    Torch's fused attention has a slow backward pass there (docs/speed.md), but this keeps the scores [B, head, n, n]
    in memory.  Without a gradient, or with a mask, torch's own is used.
    """
    if attn_mask is not None or not q.requires_grad:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
    share = (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(dim=-1)  # [B, head, n, n]
    return share @ v


def prediction_margin(h: Tensor, predictions: list[Tensor], masks: list[MaskPair]) -> float:
    """collapse.margin of predictions [B, M, D] for at least 2 clips with targets h [B, N, D], mean over mask groups."""
    # h.roll(1, 0) holds, for every clip, the targets of the clip before it in the batch
    pairs = zip(predictions, masks, strict=True)
    values = [margin(z, gather_tokens(h, ids), gather_tokens(h.roll(1, 0), ids)) for z, (_, ids) in pairs]
    return sum(values) / len(values)


def find_teacher(config: Config, out: Path) -> dict[str, Tensor]:
    """The trained encoder whose features a run in the folder `out` predicts.  Raises ValueError if it is missing or not finished."""
    folder = out.parent / f"{config.teacher}-{config.seed}"
    if not folder.exists():
        raise ValueError(f"the teacher {folder} is missing; first train --arm {config.teacher} --seed {config.seed}")
    teacher, theirs, _, step = trained(folder)
    if step < theirs.steps:
        raise ValueError(f"the teacher {folder} is not trained to its end; train it further with --resume")
    return teacher.encoder.state_dict()


class Trainer(Loop[VJEPA]):
    """The training of one V-JEPA.  tuning: how it computes.  model: trained instead of the config's, if given."""

    advice = "a lower --lr, or --clip-grad 1"

    def __init__(
        self,
        config: Config,
        source: ClipSource,
        run: Run,
        device: torch.device,
        tuning: Tuning = PLAIN,
        model: VJEPA | None = None,
    ):
        tuning.check(config)
        super().__init__(config, model or build_model(config), source, run, device)
        if config.teacher and not run.checkpoint_file.exists():
            assert self.model.target_encoder is not None  # Config has checked it
            load_weights(self.model.target_encoder, find_teacher(config, run.out), config.teacher)
        if device.type == "cpu" and config.precision == "bf16":
            for part in self.model.modules():
                if isinstance(part, Attention):
                    part.attend = written_out
        self.parallel = tuning.apply(DistributedDataParallel(self.model) if self.world > 1 else self.model)

    def groups(self) -> list[dict[str, Any]]:
        """The trained parameters, as AdamW's groups, with the predictor's own learning rate."""
        return parameter_groups(self.model, self.config)

    def train_step(self) -> None:
        """Draw this step's clips and masks, and train on them."""
        clips = self.config.batch // self.world  # of this process
        index = torch.arange(self.rank * clips, (self.rank + 1) * clips)  # global sample indices
        clip, _ = self.source.batch(self.step, send(index, self.device))
        masks = sample_masks(self.config, self.step, index)  # on the CPU, so that their sizes are known without waiting
        self.update(clip, [(send(context, self.device), send(target, self.device)) for context, target in masks])

    def update(self, clip: Tensor, masks: list[MaskPair]) -> None:
        """One optimizer step and one EMA update, without waiting for the device."""
        momentum = apply_schedule(self.optimiser, self.config, self.step)
        with autocast(self.config.precision, self.device):
            loss = self.parallel(clip, masks, self.config.seed, self.step)
        self.optimiser.zero_grad()
        loss.backward()
        if self.config.clip_grad and self.step >= self.config.warmup:
            for part in (self.model.encoder, self.model.predictor):
                nn.utils.clip_grad_norm_(part.parameters(), self.config.clip_grad)
        self.optimiser.step()
        self.model.update_target(momentum)
        self.pending.append(loss.detach())
        self.step += 1

    @cached_property
    def clips(self) -> list[Tensor]:
        """The clips [B, C, T, H, W] of the metrics, always the same, in parts that are encoded together."""
        index = torch.arange(self.config.monitor_clips, device=self.device)
        return [self.source.batch(MONITOR_STEP, part)[0] for part in index.split(CLIPS_AT_ONCE)]

    @torch.no_grad()
    def measure(self, losses: list[float]) -> dict[str, Any]:
        """Metrics of the online encoder, of the target encoder as target_*, the margin, and this step's rates."""
        model, config, clips = self.model, self.config, self.clips
        encoders = [encoder for encoder in (model.encoder, model.target_encoder) if encoder is not None]
        found = [token_metrics(torch.cat([encoder(clip).float().cpu() for clip in clips])) for encoder in encoders]
        target = {f"target_{name}": value for name, value in found[-1].items()}  # [-1]: the target, or the only one
        masks = sample_masks(config, MONITOR_STEP, torch.arange(len(clips[0]), device=self.device))  # of the margin
        h = model.normalised(model.targets(clips[0]))
        lr, _, momentum = schedule(config, max(0, self.step - 1))
        rates = {"lr": lr, "momentum": momentum if model.target_encoder is not None else None}
        return {**found[0], **target, "margin": prediction_margin(h, model.predict(clips[0], masks), masks), **rates}
