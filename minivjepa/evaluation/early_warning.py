"""Which logged number warns first: from histories, the step at which each could have told collapse from health.

Read in lesson 7.  A run counts as collapsed if the features of its online or its target encoder ended with a standard
deviation below collapse.COLLAPSED.  A number could have told at a step if, from there to the end, one threshold at each
step has all collapsed runs on one side and all others on the other side.  Histories come from JSON, where NaN is null.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minivjepa.collapse import COLLAPSED, early_warning

LogRow = dict[str, Any]  # a line of metrics.jsonl: step, and numbers or null
Signal = Callable[[LogRow], float | None]


def or_nan(value: float | None) -> float:
    """A number as it was measured: JSON has null for NaN."""
    return math.nan if value is None else value


def smaller_std(row: LogRow) -> float | None:
    """The feature std of the online or the target encoder, whichever is smaller; None if one of them is unknown."""
    stds = row["feature_std"], row["target_feature_std"]
    return None if None in stds else min(stds)


SIGNALS: dict[str, Signal] = {
    "feature std, the smaller of both encoders": smaller_std,
    "feature std, online": lambda row: row["feature_std"],
    "feature std, target": lambda row: row["target_feature_std"],
    "within-clip std, online": lambda row: row["position_std"],
    "within-clip std, target": lambda row: row["target_position_std"],
    "effective rank, online": lambda row: row["effective_rank"],
    "effective rank, target": lambda row: row["target_effective_rank"],
    "RankMe, online": lambda row: row["rankme"],
    "RankMe, target": lambda row: row["target_rankme"],
    "margin": lambda row: row["margin"],
    "loss": lambda row: row["loss"],
}


@dataclass(frozen=True)
class Separation:
    """From when on one signal separates collapsed runs from others.  step: None = never.  below: collapsed runs are lower."""

    step: int | None
    below: bool


def collapsed(run: dict[str, Any]) -> bool:
    """Whether a finished run, as results.json has it, ended collapsed in either encoder."""
    target = run["final"]["target"]
    stds = [run["final"]["feature_std"]] + ([target["feature_std"]] if target else [])
    return any(std is not None and std < COLLAPSED for std in stds)


def first_separation(dead: list[list[LogRow]], alive: list[list[LogRow]], signal: Signal) -> Separation:
    """The logged step from which a signal separates two groups of histories, to the end and on the same side.

    Raises ValueError if a group is empty or the histories were logged at different steps.
    """
    steps = [row["step"] for row in (dead + alive)[0]] if dead and alive else []
    if not steps or any([row["step"] for row in history] != steps for history in dead + alive):
        raise ValueError(
            f"given {len(dead)} collapsed and {len(alive)} other histories; expected at least one of each, all logged "
            "at the same steps"
        )
    first: int | None = None
    side: bool | None = None
    for number in range(len(steps) - 1, 0, -1):  # backwards; row 0 is before training and has no loss
        low, high = ([or_nan(signal(history[number])) for history in group] for group in (dead, alive))
        if any(map(math.isnan, (*low, *high))):  # such as a rank of too few clips
            break
        below, above = max(low) < min(high), min(low) > max(high)
        if not (below or above) or side not in (None, below):
            break
        first, side = steps[number], below
    return Separation(first, bool(side))


def alarm(history: list[LogRow]) -> int | None:
    """The first logged step at which train and ablate print their early warning, None if they never do."""
    stds = ("feature_std", "target_feature_std")
    rows = ({"step": row["step"], **{name: or_nan(row[name]) for name in stds}} for row in history)
    return next((row["step"] for row in rows if early_warning(row)), None)
