"""What each trick of a training step buys, for results/speed.py: the step with the obvious version in its place."""

import statistics
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from minivjepa import tubelets
from minivjepa.encoder import Encoder
from minivjepa.speed.step_time import Step, find_geometry, prepare, seconds
from minivjepa.training import trainer as training
from minivjepa.vjepa import VJEPA

ROUNDS = 7  # of a step with a trick and one without, in turn


def embed_everything(self: Encoder, clip: Tensor, ids: Tensor | None = None) -> Tensor:
    """The encoder that embeds all tubelets and then keeps those that the mask names."""
    x = self.embed(clip)
    x = x if ids is None else tubelets.gather_tokens(x, ids)
    for block in self.blocks:
        x = block(x)
    return self.norm(x)


def targets_for_every_group(self: VJEPA, clip: Tensor) -> Tensor:
    """The target encoder once for every mask group of the two."""
    assert self.target_encoder is not None
    with torch.no_grad():
        self.target_encoder(clip)
        return self.target_encoder(clip)


def targets_detached_later(self: VJEPA, clip: Tensor) -> Tensor:
    """A target encoder that keeps everything for a backward pass that never comes."""
    assert self.target_encoder is not None
    self.target_encoder.requires_grad_(True)
    h = self.target_encoder(clip).detach()
    self.target_encoder.requires_grad_(False)
    return h


ADAMW = torch.optim.AdamW


def looping_adamw(groups: Any, lr: float, fused: bool) -> torch.optim.AdamW:
    """AdamW one parameter after the other."""
    return ADAMW(groups, lr=lr, foreach=False, fused=False)


# name -> type of the products, and the place of the trick with the obvious version
TRICKS: dict[str, tuple[str, Any, str, Any]] = {
    "embed only the kept tubelets": ("float32", Encoder, "forward", embed_everything),
    "one target pass a clip": ("float32", VJEPA, "targets", targets_for_every_group),
    "targets without a graph": ("float32", VJEPA, "targets", targets_detached_later),
    "AdamW in one kernel": ("float32", training.torch.optim, "AdamW", looping_adamw),
    "attention written out": ("bfloat16", training, "written_out", F.scaled_dot_product_attention),
}


def tricks(device: torch.device) -> list[dict[str, Any]]:
    """Seconds of a step at mini with and without each trick, in turn."""
    found = []
    geometry = find_geometry("mini", None)
    for name, (dtype, owner, attribute, obvious) in tqdm(TRICKS.items(), desc="tricks", unit="trick"):
        ours = prepare(geometry, dtype, device)
        with patch.object(owner, attribute, obvious):
            theirs = prepare(geometry, dtype, device)
        spent = in_turn(ours, theirs, owner, attribute, obvious, device)
        found.append({"trick": name, "ours_s": spent[0], "obvious_s": spent[1]})
    return found


def in_turn(ours: Step, theirs: Step, owner: Any, attribute: str, obvious: Any, device: torch.device) -> list[float]:
    """Medians over rounds; the first round does not count."""
    spent: list[list[float]] = [[], []]
    for _ in range(ROUNDS + 1):
        spent[0].append(seconds(ours, device))
        with patch.object(owner, attribute, obvious):
            spent[1].append(seconds(theirs, device))
    return [statistics.median(times[1:]) for times in spent]
