"""What the exercises of several assignments share: right answers with a slip in them, and inputs that are drawn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from minivjepa_course.homework.cases import Inputs

Rng = np.random.Generator
Drawn = list[tuple[str, Inputs]]  # (rule, inputs) of the hidden cases


def changed(code: str, *changes: tuple[str, str]) -> str:
    """A right answer with some of its text changed, (old, new) each.  Raises ValueError for a text that is not in it."""
    for old, new in changes:
        if old not in code:
            raise ValueError(f"{old!r} is not in the answer")
        code = code.replace(old, new)
    return code


def until(draw: Callable[[], Any]) -> Any:
    """What is drawn, again and again until it is not None."""
    for _ in range(2000):
        found = draw()
        if found is not None:
            return found
    raise ValueError("nothing that is drawn here keeps its distance from the limits")


def tensor(values: Any, digits: int | None = None) -> torch.Tensor:
    """Numbers as float32, rounded where students see them."""
    array = np.asarray(values)
    return torch.from_numpy((array if digits is None else array.round(digits)).astype(np.float32))
