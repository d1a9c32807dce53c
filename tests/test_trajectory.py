"""Twenty steps of training equal a slow reference, written from the paper's equation with plain loops."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from minivjepa.data.digits import DigitClips
from minivjepa.training.config import Config
from minivjepa.training.recipe import sample_masks
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer
from minivjepa.tubelets import Grid, sincos_positions

RELEASED = Config(
    grid=Grid(4, 32, 40, 2, 8), masks=("official-short", "official-long"), init="official", dim=12, depth=2, heads=3,
    predictor_dim=8, predictor_depth=2, predictor_heads=2, steps=20, batch=3, lr=3e-3, predictor_lr=1.0, warmup=5, start_lr=0.32,
    final_lr=0.0016, weight_decay=0.04, final_weight_decay=0.4, clip_grad=0.05, momentum=0.9, stretch=1.25, seed=3,
)  # fmt: skip
OURS = Config(
    grid=Grid(4, 32, 40, 2, 8), dim=12, depth=2, heads=3, predictor_dim=8, predictor_depth=1, steps=20, batch=3, warmup=5, loss="l2",
)  # fmt: skip


class Reference:
    """V-JEPA with one dictionary of weights per network, one clip and one head at a time, and AdamW by hand."""

    def __init__(self, config: Config, encoder: dict[str, Tensor], predictor: dict[str, Tensor]):
        self.config = config
        self.encoder = {key: value.clone().requires_grad_() for key, value in encoder.items()}
        self.predictor = {key: value.clone().requires_grad_() for key, value in predictor.items()}
        self.target = {key: value.clone() for key, value in encoder.items()}
        self.moments = {id(p): (torch.zeros_like(p), torch.zeros_like(p)) for p in self.parameters()}

    def parameters(self) -> Iterator[Tensor]:
        yield from self.encoder.values()
        yield from self.predictor.values()

    @staticmethod
    def norm(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
        return normal(x, 1e-6) * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    @staticmethod
    def linear(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def blocks(self, x: Tensor, weights: dict[str, Tensor], depth: int, heads: int) -> Tensor:
        """x [n, D] of one clip."""
        for number in range(depth):
            name = f"blocks.{number}"
            y = self.linear(self.norm(x, weights, f"{name}.norm1"), weights, f"{name}.attention.qkv")
            dim, d = x.shape[1], x.shape[1] // heads
            mixed = []
            for head in range(heads):
                q, k, v = (y[:, part * dim + head * d : part * dim + (head + 1) * d] for part in range(3))
                share = (q @ k.T / math.sqrt(d)).exp()
                mixed.append(share / share.sum(dim=1, keepdim=True) @ v)
            x = x + self.linear(torch.cat(mixed, dim=1), weights, f"{name}.attention.proj")
            z = self.linear(self.norm(x, weights, f"{name}.norm2"), weights, f"{name}.mlp.fc1")
            x = x + self.linear(z * 0.5 * (1 + torch.erf(z / math.sqrt(2))), weights, f"{name}.mlp.fc2")
        return x

    def encode(self, clip: Tensor, ids: list[int], weights: dict[str, Tensor]) -> Tensor:
        """clip [C, T, H, W] -> [K, D]: cut out every tubelet that is named, and no other."""
        grid, (_, h, w) = self.config.grid, self.config.grid.shape
        table = sincos_positions(grid, self.config.dim).double()
        tokens = []
        for i in ids:
            t, y, x = i // (h * w), i // w % h, i % w
            cut = clip[:, 2 * t : 2 * t + 2, 8 * y : 8 * y + 8, 8 * x : 8 * x + 8].reshape(-1)
            tokens.append(weights["embed.project.weight"] @ cut + weights["embed.project.bias"] + table[i])
        x = self.blocks(torch.stack(tokens), weights, self.config.depth, self.config.heads)
        return self.norm(x, weights, "norm")

    def predict(self, z: Tensor, context: list[int], target: list[int], group: int) -> Tensor:
        weights, table = self.predictor, sincos_positions(self.config.grid, self.config.predictor_dim).double()
        seen = self.linear(z, weights, "enter") + torch.stack([table[i] for i in context])
        asked = torch.stack([weights["mask_tokens"][group] + table[i] for i in target])
        x = self.blocks(torch.cat([seen, asked]), weights, self.config.predictor_depth, self.config.predictor_heads)
        return self.linear(self.norm(x[len(context) :], weights, "norm"), weights, "leave")

    def loss(self, clips: Tensor, step: int) -> Tensor:
        """The mean over groups, clips, hidden tubelets and features of |P(E(x)) - LN(E_ema(y))|."""
        everything = list(range(self.config.grid.tokens))
        groups = []
        for group, (context, target) in enumerate(sample_masks(self.config, step, torch.arange(len(clips)))):
            distances = []
            for clip, seen, hidden in zip(clips, context.tolist(), target.tolist()):
                with torch.no_grad():
                    wanted = normal(self.encode(clip, everything, self.target), 1e-5)[hidden]
                off = self.predict(self.encode(clip, seen, self.encoder), seen, hidden, group) - wanted
                distances.append((off**2 if self.config.loss == "l2" else off.abs()).mean())
            groups.append(sum(distances) / len(distances))
        return torch.as_tensor(sum(groups) / len(groups))

    def rates(self, step: int) -> tuple[float, float, float]:
        """(learning rate, weight decay, momentum): warm-up then cosine; cosine; linear; all stretched."""
        c = self.config
        horizon, done = c.steps * c.stretch, step + 1
        if done <= c.warmup:
            lr = c.lr * c.start_lr + (c.lr - c.lr * c.start_lr) * done / c.warmup
        else:
            share = (done - c.warmup) / (horizon - c.warmup)
            lr = c.lr * c.final_lr + (c.lr - c.lr * c.final_lr) * (1 + math.cos(math.pi * share)) / 2
        swing = (1 + math.cos(math.pi * done / horizon)) / 2
        decay = c.final_weight_decay + (c.weight_decay - c.final_weight_decay) * swing
        return lr, decay, c.momentum + (c.final_momentum - c.momentum) * step / horizon

    def step(self, clips: Tensor, step: int) -> float:
        loss = self.loss(clips, step)
        lr, decay, momentum = self.rates(step)
        parts = (self.encoder, 1.0), (self.predictor, self.config.predictor_lr)
        for network, scale in parts:
            gradients = torch.autograd.grad(loss, list(network.values()), retain_graph=True)
            length = math.sqrt(sum(float((g**2).sum()) for g in gradients))
            clips_now = self.config.clip_grad > 0 and step >= self.config.warmup
            shrink = min(1.0, self.config.clip_grad / (length + 1e-6)) if clips_now else 1.0
            for p, g in zip(network.values(), gradients):
                first, second = self.moments[id(p)]
                with torch.no_grad():
                    g = g * shrink
                    first += 0.1 * (g - first)
                    second += 0.001 * (g**2 - second)
                    p -= lr * scale * (decay if p.ndim > 1 else 0.0) * p
                    bias = 1 - 0.9 ** (step + 1), 1 - 0.999 ** (step + 1)
                    p -= lr * scale * (first / bias[0]) / ((second / bias[1]).sqrt() + 1e-8)
        with torch.no_grad():
            for key, value in self.encoder.items():
                self.target[key] = momentum * self.target[key] + (1 - momentum) * value
        return loss.item()


def normal(x: Tensor, eps: float) -> Tensor:
    """Each row less its mean, over its standard deviation."""
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / ((centred**2).mean(dim=-1, keepdim=True) + eps).sqrt()


class Double:
    """Moving digits in float64."""

    def __init__(self, config: Config):
        self.clips = DigitClips(config.grid, seed=config.seed)

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, object]:
        clip, labels = self.clips.batch(step, index)
        return clip.double(), labels


@pytest.mark.parametrize("config", [RELEASED, OURS], ids=["as released", "as in the course"])
def test_twenty_steps_equal_the_slow_reference(config: Config, tmp_path: Path) -> None:
    """Catches: a schedule one step off, decay on biases, a wrong mean over groups, gradients that leak into targets."""
    run = Run(tmp_path / "run")
    run.create(config, "digits")
    source = Double(config)
    trainer = Trainer(config, source, run, torch.device("cpu"))
    trainer.model.double()
    assert trainer.model.target_encoder is not None
    slow = Reference(config, dict(trainer.model.encoder.state_dict()), dict(trainer.model.predictor.state_dict()))
    for step in range(config.steps):
        clips, _ = source.batch(step, torch.arange(config.batch))
        wanted = slow.step(clips, step)
        trainer.train_step()
        assert abs(trainer.pending[-1].item() - wanted) <= 1e-9 * wanted, step
    for key, value in trainer.model.target_encoder.state_dict().items():
        torch.testing.assert_close(value, slow.target[key], rtol=1e-7, atol=1e-9)
