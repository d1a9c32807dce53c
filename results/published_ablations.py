"""What others found when they took the same things away, beside what this package measures.

Read in lesson 7.  Their tasks, sizes and metrics differ, so compare directions, not numbers.  BYOL (arXiv 2006.07733)
and SimSiam (arXiv 2011.10566): accuracy of a linear probe on ImageNet.  DirectPred: Tian, Chen and Ganguli (arXiv
2102.06810), theory and experiments.  "A user": AUC of a JEPA, as told in issue 31 of the LeJEPA repository.  The
V-JEPA papers publish no such ablation.
"""

from typing import Any

from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import markdown
from minivjepa.experiments.report import metric_cells

# (what is changed, what was published, arms of this package)
PUBLISHED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("nothing", "BYOL: 72.5 %; a user: AUC .92", ("vjepa",)),
    ("neither stop-gradient nor EMA", "SimSiam: 0.1 %, chance", ("neither",)),
    ("no stop-gradient", "a user: collapse", ("no-stopgrad",)),
    ("no EMA", "BYOL: 0.3 %; SimSiam: 67.7 %; a user: AUC .65", ("no-ema",)),
    ("no EMA, predictor 10 x as fast as the encoder", "BYOL, DirectPred: a fast predictor can stand in for EMA", ("no-ema-fast-predictor",)),
    ("no EMA, weight decay .4 for .1", "DirectPred: some helps, too much collapses", ("no-ema-more-decay",)),
    ("target frozen at its random start", "BYOL: 18.8 %", ("frozen",)),
    ("momentum .9, .99, .999", "BYOL: 68.4, 72.5, 69.8 %", ("momentum-.9", "momentum-.99", "momentum-.999")),
    ("linear predictor", "DirectPred: enough, with EMA", ("linear-predictor",)),
    ("SIGReg in place of both", "a user, with many symmetric views: AUC .72", ("sigreg",)),
)  # fmt: skip
SHOWN = ("feature_std", "linear_direction", "attentive_identity")


def published_table(arms: dict[str, list[dict[str, Any]]]) -> str:
    """One line per question and arm; `arms` as in results.json.  Numbers of the online encoder, and the target's std."""
    lines = []
    for question, published, names in PUBLISHED:
        for name in names:
            runs = [run["final"] for run in arms[name]]
            targets = [run["target"] for run in runs if run["target"] is not None]
            std, *probes = metric_cells(runs, SHOWN)
            first = (question, published) if name == names[0] else ("", "")
            lines.append([*first, name, std, *metric_cells(targets, SHOWN[:1]), *probes])
    heads = ["taken away or changed", "published", "here", "feature std", "of the target encoder"]
    return markdown([*heads, *(METRICS[metric].title for metric in SHOWN[1:])], lines)
