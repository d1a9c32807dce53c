"""What a frozen encoder's features are good for: linear, nearest-neighbor and attentive probes.

Built in lessons 6 and 9.  Linear probes read features pooled over tokens; the attentive probe may choose its
tokens (V-JEPA section 4.3).  Always read a probe beside its untrained row: an attentive probe finds motion
even in an encoder that never learned.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from minivjepa.data.protocol import DIRECTIONS, IDENTITIES, Budget

ALPHAS = tuple(10.0**k for k in range(-2, 5))
CLASSES = {"direction": DIRECTIONS, "identity": IDENTITIES}  # what attentive probes read, and how many classes it has


@dataclass(frozen=True)
class Labelled:
    """Features of B clips and what is in them.

    tokens: float32 [B, N, D].  identity, direction: int64 [B].  color: [B, 3].
    place: [B, 4], sine and cosine of the start position: a full turn for digits, whose frame has joined ends, half a turn for photographs.
    """

    tokens: Tensor
    identity: Tensor
    direction: Tensor
    color: Tensor
    place: Tensor

    def to(self, device: torch.device) -> "Labelled":
        """The same on another device."""
        return Labelled(**{name: value.to(device) for name, value in vars(self).items()})

    @property
    def pooled(self) -> Tensor:
        """[B, D]: the mean over tokens."""
        return self.tokens.mean(dim=1)


def linear_accuracy(train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor) -> float:
    """Held-out accuracy (fraction) of a ridge classifier on standardized pooled features, alpha cross-validated."""
    probe = make_pipeline(StandardScaler(), RidgeClassifierCV(alphas=ALPHAS))
    return float(probe.fit(train.numpy(), labels.numpy()).score(test.numpy(), test_labels.numpy()))


def linear_r2(train: Tensor, values: Tensor, test: Tensor, test_values: Tensor) -> float:
    """Held-out R^2 of ridge regression on standardized pooled features, mean over outputs; below 0 is worse than the mean."""
    probe = make_pipeline(StandardScaler(), RidgeCV(alphas=ALPHAS))
    return float(probe.fit(train.numpy(), values.numpy()).score(test.numpy(), test_values.numpy()))


def knn_accuracy(train: Tensor, labels: Tensor, test: Tensor, test_labels: Tensor, neighbours: int) -> float:
    """Held-out accuracy (fraction) of the nearest training clips' vote, on standardized pooled features."""
    probe = make_pipeline(StandardScaler(), KNeighborsClassifier(neighbours))
    return float(probe.fit(train.numpy(), labels.numpy()).score(test.numpy(), test_labels.numpy()))


class Trial(NamedTuple):
    """One way to train an attentive probe."""

    task: str
    rate: float  # peak learning rate
    decay: float  # weight decay


class AttentiveProbe(nn.Module):
    """One learnable query for one task: attend to the tokens, pool them per head, classify.

    With a single query, softmax(q W_k x) W_v x needs no keys or values: each head's query and key matrix
    merge into one vector, and the value matrix into the classifier.
    """

    def __init__(self, dim: int, classes: int, heads: int):
        super().__init__()
        self.query = nn.Parameter(torch.zeros(dim, heads))
        self.classify = nn.Linear(dim * heads, classes)
        nn.init.normal_(self.query, std=dim**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Standardized tokens [B, N, D] -> class scores [B, classes]."""
        return self.classify(attentive_pool(x, self.query).flatten(1))


def attentive_pool(x: Tensor, query: Tensor) -> Tensor:
    """Tokens [B, N, D], queries [D, H] -> [B, H, D]: per query, the average token under its softmax over the N."""
    return (query.T @ x.transpose(1, 2)).softmax(dim=-1) @ x


def train_attentive(
    train: Labelled, validation: Labelled, trials: Sequence[Trial], budget: Budget, seed: int
) -> dict[str, AttentiveProbe]:
    """Task -> its attentive probe (AdamW, cosine to 0, fixed epochs), from trials that are all trained on the same batches.

    After budget.attentive_trial_epochs, only the trial of each task that then does best on validation clips goes on.
    Trials share nothing but the work of fetching tokens: one sum of losses gives each the gradient of its own.
    """
    dim, heads, device = train.tokens.shape[-1], budget.attentive_heads, train.tokens.device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        orders = [torch.randperm(len(train.tokens)) for _ in range(budget.attentive_epochs)]
        probes = {trial: AttentiveProbe(dim, CLASSES[trial.task], heads).to(device) for trial in trials}
    groups = [{"params": p.parameters(), "weight_decay": trial.decay, "trial": trial} for trial, p in probes.items()]
    optimiser = torch.optim.AdamW(groups, fused=device.type != "mps")
    batches = [ids for order in orders for ids in order.split(budget.attentive_batch)]
    for number, ids in enumerate(batches):
        if number == budget.attentive_trial_epochs * len(batches) // len(orders):
            probes = {trial: probes[trial] for trial in best_trials(probes, validation)}
            optimiser.param_groups = [group for group in optimiser.param_groups if group["trial"] in probes]
        share = 0.5 * (1 + math.cos(math.pi * number / len(batches)))
        queries = torch.cat([probe.query for probe in probes.values()], dim=1)
        pooled = attentive_pool(train.tokens[ids], queries).split(heads, dim=1)  # of [B, H, D] for each probe
        losses = [
            F.cross_entropy(probe.classify(part.flatten(1)), getattr(train, trial.task)[ids])
            for (trial, probe), part in zip(probes.items(), pooled)
        ]
        for group in optimiser.param_groups:
            group["lr"] = group["trial"].rate * share
        optimiser.zero_grad()
        torch.stack(losses).sum().backward()
        optimiser.step()
    return {trial.task: probes[trial].eval() for trial in best_trials(probes, validation)}


def best_trials(probes: Mapping[Trial, AttentiveProbe], validation: Labelled) -> list[Trial]:
    """For each task, the trial whose probe now does best on validation clips."""
    scores = {trial: accuracy(probe, validation, trial.task) for trial, probe in probes.items()}
    return [max((trial for trial in scores if trial.task == task), key=scores.__getitem__) for task in CLASSES]


def standardise(parts: list[Labelled]) -> list[Labelled]:
    """Copies with every feature scaled to mean 0 and std 1 over the first part's clips and tokens."""
    mean = parts[0].tokens.mean(dim=(0, 1))
    std = parts[0].tokens.std(dim=(0, 1)).clamp_min(1e-12)
    return [Labelled(**{**vars(part), "tokens": (part.tokens - mean).div_(std)}) for part in parts]


@torch.no_grad()
def accuracy(probe: Callable[[Tensor], Tensor], part: Labelled, task: str) -> float:
    """Share of clips whose highest score is the right class."""
    scores = torch.cat([probe(tokens) for tokens in part.tokens.split(512)])
    return float((scores.argmax(dim=1) == getattr(part, task)).float().mean())


def attentive_accuracy(
    train: Labelled, validation: Labelled, test: Labelled, budget: Budget, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Task -> (held-out accuracy, training accuracy) of the probe that does best on validation clips.

    All learning rates and weight decays of the budget are tried.  The three parts must be standardized together.
    """
    trials = [Trial(*one) for one in itertools.product(CLASSES, budget.attentive_rates, budget.attentive_decays)]
    probes = train_attentive(train, validation, trials, budget, seed)
    return {task: (accuracy(probe, test, task), accuracy(probe, train, task)) for task, probe in probes.items()}
