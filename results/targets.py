"""What each target buys, on every kind of clips: the table of README.md and answers.md."""

from typing import Any

from answers import KINDS, TEN, Row, leaks, seeds_run
from page_tables import PROBES

from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import markdown
from minivjepa.experiments.report import metric_cells

TARGETS = ("pixels", "frozen", "vjepa")  # arms, which differ in what they predict


def targets_table(raw: dict[str, Any]) -> str:
    """What each target buys: means with intervals, for every kind of clips that have been run with all arms and seeds."""
    lines = []
    for kind, clips in KINDS.items():
        rows = [Row("", f"plan-{kind}", arm, "vjepa") for arm in TARGETS]
        if min(len(seeds_run(raw, row)) for row in rows) < TEN or leaks(raw[f"plan-{kind}"]):
            continue
        where = "" if kind == "today" else f", {clips}"
        for row in rows:
            runs = [run["final"] for run in raw[row.file]["arms"][row.arm] if run["seed"] in seeds_run(raw, row)]
            lines.append([f"{row.arm}{where}", *metric_cells(runs, PROBES)])
        lines.append([f"*untrained*{where}", *metric_cells(raw[row.file]["untrained"], PROBES)])
    return markdown(["", *(METRICS[metric].title for metric in PROBES)], lines)
