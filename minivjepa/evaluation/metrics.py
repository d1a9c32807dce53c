"""Every number that a finished run is judged by: its name in results.json, its title in tables, and the probe that reads it.

Read in lesson 9.  A new probe is one line of METRICS; the report, `minivjepa probe` and the long tables follow.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from minivjepa.data.protocol import Budget
from minivjepa.evaluation.probes import Labelled, knn_accuracy, linear_accuracy, linear_r2

Probe = Callable[[Labelled, Labelled, Budget], float]  # (training clips, test clips, budget) -> held-out score


@dataclass(frozen=True)
class Metric:
    """title: heading in tables.  reads: the field of Labelled that a probe reads; "" if the number is not a probe's.

    probe: None for numbers that are computed together: loss and margin (judge.prediction_metrics), std and rank
    (collapse.token_metrics), attentive probes (probes.attentive_accuracy).  least: the smallest possible value.
    """

    title: str
    reads: str = ""
    probe: Probe | None = None
    least: float = 0.0

    @property
    def most(self) -> float:
        """The largest possible value."""
        return 1.0 if self.reads else math.inf


def linear(title: str, reads: str, score: Callable[[Tensor, Tensor, Tensor, Tensor], float]) -> Metric:
    """A linear probe of features pooled over tokens.  score: linear_accuracy of classes, linear_r2 of numbers."""

    def probe(train: Labelled, test: Labelled, budget: Budget) -> float:
        return score(train.pooled, getattr(train, reads), test.pooled, getattr(test, reads))

    return Metric(title, reads, probe, least=0.0 if score is linear_accuracy else -math.inf)


def knn(title: str, reads: str) -> Metric:
    """A vote of the nearest training clips, by features pooled over tokens."""

    def probe(train: Labelled, test: Labelled, budget: Budget) -> float:
        return knn_accuracy(train.pooled, getattr(train, reads), test.pooled, getattr(test, reads), budget.neighbours)

    return Metric(title, reads, probe)


METRICS = {
    "loss": Metric("loss"),
    "feature_std": Metric("feature std"),
    "position_std": Metric("within-clip std"),
    "effective_rank": Metric("effective rank"),
    "rankme": Metric("RankMe"),
    "margin": Metric("margin", least=-math.inf),
    "linear_direction": linear("direction, linear", "direction", linear_accuracy),
    "linear_identity": linear("identity, linear", "identity", linear_accuracy),
    "linear_color": linear("color R²", "color", linear_r2),
    "linear_position": linear("position R²", "place", linear_r2),
    "attentive_direction": Metric("direction, attentive", "direction"),
    "attentive_identity": Metric("identity, attentive", "identity"),
    "knn_identity": knn("identity, kNN", "identity"),
}
