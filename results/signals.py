"""Which logged number warns first: from histories, the step at which each could have told collapse from health.

A number could have told at a step if, from there to the end, one threshold at each step has all collapsed runs on one side and all others
on the other side.  Histories come from JSON, where NaN is null.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from minivjepa.evaluation.collapsed_runs import LogRow, or_nan, smaller_std

Signal = Callable[[LogRow], float | None]

SIGNALS: dict[str, Signal] = {
    "feature std, the smaller of the two encoders": smaller_std,
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
