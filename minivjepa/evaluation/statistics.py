"""Intervals, comparisons and the words for them: what may be said of numbers over seeds."""

import math
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from scipy.stats import t as student


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of the 95 % interval of the mean (Student's t); the half-width of a single value is NaN."""
    if len(values) < 2:
        return mean(values), math.nan
    half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return mean(values), half


def apart(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether the interval of a lies wholly above that of b.  Raises ValueError for fewer than 2 values."""
    if min(len(a), len(b)) < 2:
        raise ValueError(f"an interval needs at least 2 runs; given {len(a)} and {len(b)}")
    (above, up), (below, down) = interval(a), interval(b)
    return above - up > below + down


def cell(values: Sequence[float | None]) -> str:
    """A mean with its interval as text, such as "0.669 ± 0.043"; empty if nothing is known."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return ""
    middle, half = interval(known)
    digits = 3 if abs(middle) < 10 else 1
    return f"{middle:.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}")


def markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column to the left, all others to the right."""
    rows = [list(heads), ["---"] + ["---:"] * (len(heads) - 1), *map(list, lines)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def wilson(successes: int, trials: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share of successes (Wilson 1927): stays within 0 .. 1 and is honest near both ends."""
    share, extra = successes / trials, z * z / trials
    middle = (share + extra / 2) / (1 + extra)
    half = z / (1 + extra) * (share * (1 - share) / trials + extra / (4 * trials)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)


def rate_in_words(rate: dict[str, Any]) -> str:
    """A share of successes with its Wilson interval, {"success", "low", "high"}, as text: "96.0 % (92.3 to 98.0)"."""
    if rate["success"] is None:
        return "none tried"
    return f"{100 * rate['success']:.1f} % ({100 * rate['low']:.1f} to {100 * rate['high']:.1f})"
