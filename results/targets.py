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
        file, where = f"plan-{kind}", "" if kind == "today" else f", {clips}"
        if any(len(seeds_run(raw, Row("", file, arm, arm))) < TEN for arm in TARGETS) or leaks(raw[file]):
            continue
        found = {arm: [run["final"] for run in raw[file]["arms"][arm]] for arm in TARGETS}
        found["*untrained*"] = raw[file]["untrained"]
        found["*with labels*"] = [raw[file]["controls"]["supervised"]]  # one run
        lines += [[f"{name}{where}", *metric_cells(runs, PROBES)] for name, runs in found.items()]
    return markdown(["", *(METRICS[metric].title for metric in PROBES)], lines)
