"""Every number that a finished run is judged by: its name in results.json, its title in tables, and the probe that reads it.

Read in lesson 9.  A new probe is one line of METRICS; the report, `minivjepa probe` and the long tables follow.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

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


def pooled(title: str, reads: str, score: Callable[..., float]) -> Metric:
    """A probe of features pooled over tokens.  score: linear_accuracy or knn_accuracy of classes, or linear_r2."""

    def probe(train: Labelled, test: Labelled, budget: Budget) -> float:
        data = train.pooled, getattr(train, reads), test.pooled, getattr(test, reads)
        return knn_accuracy(*data, budget.neighbours) if score is knn_accuracy else score(*data)

    return Metric(title, reads, probe, least=-math.inf if score is linear_r2 else 0.0)


METRICS = {
    "loss": Metric("loss"),
    "feature_std": Metric("feature std"),
    "position_std": Metric("within-clip std"),
    "effective_rank": Metric("effective rank"),
    "rankme": Metric("RankMe"),
    "margin": Metric("margin", least=-math.inf),
    "linear_direction": pooled("direction, linear", "direction", linear_accuracy),
    "linear_identity": pooled("identity, linear", "identity", linear_accuracy),
    "linear_color": pooled("color R²", "color", linear_r2),
    "linear_position": pooled("position R²", "place", linear_r2),
    "attentive_direction": Metric("direction, attentive", "direction"),
    "attentive_identity": Metric("identity, attentive", "identity"),
    "knn_identity": pooled("identity, kNN", "identity", knn_accuracy),
}
