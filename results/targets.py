"""What each target buys, on every kind of clips: the table of README.md."""

from typing import Any

from answers import TEN, Row, leaks, seeds_run
from page_tables import PROBES

from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import markdown
from minivjepa.experiments.report import metric_cells

BACKGROUNDS = {"today": "none", "new": "new in every frame", "still": "still", "drifting": "drifting"}
TARGETS = {
    "pixels": "the hidden pixels",
    "frozen": "features of a random network that never moves",
    "vjepa": "features of a moving average of the encoder: V-JEPA",
}  # arms of the first table, and what each predicts


def targets_table(raw: dict[str, Any]) -> str:
    """What each target buys: means with intervals, for every kind of clips that have been run with all arms and seeds."""
    lines = []
    for kind, background in BACKGROUNDS.items():
        rows = [Row("", f"plan-{kind}", arm, "vjepa") for arm in TARGETS]
        if min(len(seeds_run(raw, row)) for row in rows) < TEN or leaks(raw[f"plan-{kind}"]):
            continue
        for row in rows:
            runs = [run["final"] for run in raw[row.file]["arms"][row.arm] if run["seed"] in seeds_run(raw, row)]
            lines.append([background, TARGETS[row.arm], f"`{row.arm}`", *metric_cells(runs, PROBES)])
        lines.append([background, "*untrained*", "", *metric_cells(raw[row.file]["untrained"], PROBES)])
    return markdown(["background", "what is predicted", "arm", *(METRICS[m].title for m in PROBES)], lines, words=3)
