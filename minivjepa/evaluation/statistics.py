"""Intervals, comparisons, and how they are written down: as text and in Markdown tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, stdev
from typing import Any

from scipy.stats import binomtest
from scipy.stats import t as student

EQUAL = 0.02  # accuracies whose difference lies within this of 0 count as equal


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of the 95 % interval of the mean (Student's t); the half-width of a single value is NaN."""
    if len(values) < 2:
        return mean(values), math.nan
    half = float(student.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return mean(values), half


@dataclass(frozen=True)
class Difference:
    """a - b on every seed that both have, and the mean with its 95 % interval (paired t)."""

    each: dict[int, float]
    mean: float
    low: float
    high: float

    @property
    def answer(self) -> str:
        """As results/plan.md says: "above", "below", "equal" (within EQUAL of 0) or "undecided"."""
        values = self.each.values()
        enough = len(values) - len(values) // 10
        if self.low > 0 and sum(value > 0 for value in values) >= enough:
            return "above"
        if self.high < 0 and sum(value < 0 for value in values) >= enough:
            return "below"
        return "equal" if max(abs(self.low), abs(self.high)) <= EQUAL else "undecided"

    def __str__(self) -> str:
        if two_groups([*self.each.values()], 0.2):
            return ", ".join(f"{value:+.2f}" for value in sorted(self.each.values()))
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> Difference:
    """Compare two arms seed by seed.  a, b: seed -> value.

    Arms of one seed share clips and first weights, and what these do to both cancels.  Raises ValueError for
    fewer than 2 shared seeds.
    """
    seeds = sorted(a.keys() & b.keys())
    if len(seeds) < 2:
        raise ValueError(f"a paired interval needs at least 2 shared seeds; given {sorted(a)} and {sorted(b)}")
    each = {seed: a[seed] - b[seed] for seed in seeds}
    middle, half = interval([*each.values()])
    return Difference(each, middle, middle - half, middle + half)


def mcnemar(a: Sequence[bool], b: Sequence[bool]) -> float:
    """Exact p-value of McNemar's test (1947): two planners on the same pairs, of which only those count where they differ."""
    only_a = sum(one and not other for one, other in zip(a, b, strict=True))
    only_b = sum(other and not one for one, other in zip(a, b, strict=True))
    return float(binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % interval of a share of successes (Wilson 1927): stays within 0 .. 1 and is honest near both ends."""
    found = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)


def two_groups(values: Sequence[float], least: float = 0.05) -> bool:
    """Whether values fall into two groups, which no mean describes: the gap between them is wider than either group, and than `least`."""
    ordered = sorted(values)
    gap, place = max((high - low, place) for place, (low, high) in enumerate(pairwise(ordered)))
    return gap > max(ordered[place] - ordered[0], ordered[-1] - ordered[place + 1], least)


def cell(values: Sequence[float | None], least: float = -math.inf, most: float = math.inf) -> str:
    """A mean with its interval as text, such as "0.669 ± 0.043"; empty if no value is known.

    All values in order, such as "0.20, 0.21, 0.83", if they fall into two groups, half of the largest value or more from each other, or if the
    interval would pass what is possible, least to most.
    """
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known:
        return ""
    middle, half = interval(known)
    digits = 3 if abs(middle) < 10 else 1
    if len(known) == 1:
        return f"{middle:.{digits}f}"
    if two_groups(known, max(0.05, max(map(abs, known)) / 2)) or not least <= middle - half <= middle + half <= most:
        return ", ".join(f"{value:.{digits - 1}f}" for value in sorted(known))
    return f"{middle:.{digits}f} ± {half:.{digits}f}"


def rate_in_words(rate: dict[str, Any]) -> str:
    """A share of successes with its Wilson interval, {"success", "low", "high"}, as text: "96.0 % (92.3 to 98.0)"."""
    if rate["success"] is None:
        return "none tried"
    return f"{100 * rate['success']:.1f} % ({100 * rate['low']:.1f} to {100 * rate['high']:.1f})"


def markdown(heads: Sequence[str], lines: Sequence[Sequence[str]], words: int = 1) -> str:
    """A Markdown table: the first `words` columns to the left, all others, which hold numbers, to the right."""
    rule = ["---"] * words + ["---:"] * (len(heads) - words)
    return "\n".join("| " + " | ".join(row) + " |" for row in (heads, rule, *lines))


def folded(title: str, text: str) -> str:
    """Markdown of which a page shows only the title until it's opened."""
    return f"<details>\n<summary>{title}</summary>\n\n{text}\n\n</details>"
