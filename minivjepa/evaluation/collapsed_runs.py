"""Whether a recorded run collapsed, and when it was warned of.

Read in lesson 7.  A run counts as collapsed if the features of its online or its target encoder ended with a standard
deviation below collapse.COLLAPSED.  Histories come from JSON, where NaN is null.
"""

import math
from typing import Any

from minivjepa.collapse import COLLAPSED, early_warning

LogRow = dict[str, Any]  # a line of metrics.jsonl: step, and numbers or null


def or_nan(value: float | None) -> float:
    """A number as it was measured: JSON has null for NaN."""
    return math.nan if value is None else value


def smaller_std(row: LogRow) -> float | None:
    """The feature std of the online or the target encoder, whichever is smaller; None if one of them is unknown."""
    stds = row["feature_std"], row["target_feature_std"]
    return None if None in stds else min(stds)


def collapsed(run: dict[str, Any]) -> bool:
    """Whether a finished run, as results.json has it, ended collapsed in either encoder."""
    target = run["final"]["target"]
    stds = [run["final"]["feature_std"]] + ([target["feature_std"]] if target else [])
    return any(std is not None and std < COLLAPSED for std in stds)


def alarm(history: list[LogRow]) -> int | None:
    """The first logged step at which train and ablate print their early warning, None if they never do."""
    stds = ("feature_std", "target_feature_std")
    rows = ({"step": row["step"], **{name: or_nan(row[name]) for name in stds}} for row in history)
    return next((row["step"] for row in rows if early_warning(row)), None)
