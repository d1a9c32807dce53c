"""Cases: what a student's function is called with, what is right, and what known mistakes would give.

Outputs are compared as plain arrays, so that they can come from another process that is not trusted.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

Arrays = dict[str, np.ndarray]  # what a call gave, flattened: name -> numbers, booleans or text
Inputs = dict[str, Any]  # argument -> number, text, list or tensor
TOLERANCE = 1e-4  # absolute and relative
DIGITS = 7  # of expected values that are stored
CHANGED = "inputs that were changed"  # the name of an extra array in every result: names of arguments


@dataclass(frozen=True)
class Case:
    """One call.  mistakes: message of a known mistake -> what a function with that mistake would give here."""

    inputs: Inputs
    expected: Arrays
    mistakes: dict[str, Arrays] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What a check needs to know of one exercise.  adapter: how its function is called; blocked: names that would answer it."""

    name: str
    adapter: str
    blocked: tuple[str, ...]
    cases: tuple[Case, ...]


def as_arrays(value: Any, name: str = "result") -> Arrays:
    """A returned value as named arrays: a sequence of numbers is one array, other sequences and dicts are taken apart.

    Raises TypeError for anything that is neither numbers, booleans nor text.
    """
    if isinstance(value, Tensor) and not value.is_complex():
        return {name: value.detach().to(torch.float64 if value.is_floating_point() else value.dtype).numpy()}
    if isinstance(value, Mapping):
        return {k: v for key in value for k, v in as_arrays(value[key], f"{name}.{key}").items()}
    if isinstance(value, list | tuple) and value and all(isinstance(v, Tensor) and not v.ndim for v in value):
        return as_arrays(torch.stack(list(value)), name)
    if isinstance(value, list | tuple) and not all(isinstance(v, bool | int | float | np.generic) for v in value):
        return {k: v for number, part in enumerate(value) for k, v in as_arrays(part, f"{name}.{number}").items()}
    array = np.asarray(value)
    if array.dtype.kind not in "biufU":
        kind = type(value).__name__
        raise TypeError(f"{name} is a {kind}, expected numbers, a tensor, text, or a tuple or dict of them")
    return {name: array}


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Same kind (whole numbers, floats, booleans or text), same shape, same values up to the tolerance."""
    if kind(a) != kind(b) or a.shape != b.shape:
        return False
    if kind(a) != "floats":
        return bool((a == b).all())
    return bool(np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))


def same(a: Arrays, b: Arrays) -> bool:
    """Whether two results agree in all their arrays."""
    return set(a) == set(b) and all(alike(a[name], b[name]) for name in a)


def kind(array: np.ndarray) -> str:
    """What an array holds, in a word."""
    return {"b": "booleans", "i": "whole numbers", "u": "whole numbers", "f": "floats", "U": "text"}[array.dtype.kind]


def difference(expected: Arrays, got: Arrays) -> str:
    """In one line, the first way in which a result is not what was expected."""
    if CHANGED in got and got[CHANGED].size:
        return f"the call changed its inputs ({', '.join(got[CHANGED].tolist())}): make new tensors instead"
    if set(expected) != set(got):
        missing, extra = (
            ", ".join(sorted(one - other)) for one, other in ((set(expected), set(got)), (set(got), set(expected)))
        )
        return "; ".join(
            [f"{missing} is missing in what is returned"] * bool(missing)
            + [f"{extra} is returned and was not asked for"] * bool(extra)
        )
    for name, right in expected.items():
        mine = got[name]
        if mine.shape != right.shape:
            return f"{name} has the shape {list(mine.shape)}, expected {list(right.shape)}"
        if kind(mine) != kind(right):
            return f"{name} holds {kind(mine)}, expected {kind(right)}"
        if not alike(mine, right):
            where = np.argwhere(
                ~np.isclose(mine, right, TOLERANCE, TOLERANCE, True) if kind(mine) == "floats" else mine != right
            )
            first = tuple(where[0]) if right.ndim else ()
            place = f" at {[int(i) for i in first]}" if right.ndim else ""
            return (
                f"{name}{place} is {mine[first]}, expected {right[first]}; {len(where)} of {right.size} values differ"
            )
    return "the result is right"


def diagnose(cases: Sequence[Case], results: Sequence[Arrays]) -> tuple[str, int] | None:
    """None if all results are right; else the likely bug, and the number of the first wrong case.

    A known mistake is named if it explains every result; one that explains all up to the first wrong one is named with a
    "perhaps"; otherwise the first difference is.
    """
    wrong = [
        number for number, (case, got) in enumerate(zip(cases, results, strict=True)) if not same(case.expected, got)
    ]
    if not wrong:
        return None
    first = wrong[0]
    for count, how in ((len(cases), ""), (first + 1, "perhaps: ")):
        for message in cases[first].mistakes:
            if all(
                message in case.mistakes and same(case.mistakes[message], got)
                for case, got in zip(cases[:count], results)
            ):
                return how + message, first
    return difference(cases[first].expected, results[first]), first


def encode(value: Any) -> Any:
    """An input as JSON: tensors as nested lists with their type."""
    if isinstance(value, Tensor):
        return {"tensor": value.tolist(), "dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
    if isinstance(value, Mapping):
        return {"dict": {key: encode(part) for key, part in value.items()}}
    return [encode(part) for part in value] if isinstance(value, list | tuple) else value


def decode(value: Any) -> Any:
    """The inverse of encode; tuples come back as lists."""
    if isinstance(value, dict) and "tensor" in value:
        return torch.tensor(value["tensor"], dtype=getattr(torch, value["dtype"])).reshape(value["shape"])
    if isinstance(value, dict):
        return {key: decode(part) for key, part in value["dict"].items()}
    return [decode(part) for part in value] if isinstance(value, list) else value


def encode_arrays(arrays: Arrays) -> dict[str, Any]:
    """A result as JSON."""
    return {
        name: {"values": array.tolist(), "dtype": array.dtype.str, "shape": list(array.shape)}
        for name, array in arrays.items()
    }


def decode_arrays(held: dict[str, Any]) -> Arrays:
    """The inverse of encode_arrays."""
    return {name: np.array(part["values"], dtype=part["dtype"]).reshape(part["shape"]) for name, part in held.items()}


def task_to_json(task: Task) -> dict[str, Any]:
    """A task as plain JSON values."""
    cases = [
        {
            "inputs": {name: encode(value) for name, value in case.inputs.items()},
            "expected": encode_arrays(case.expected),
            "mistakes": {message: encode_arrays(arrays) for message, arrays in case.mistakes.items()},
        }
        for case in task.cases
    ]
    return {"adapter": task.adapter, "blocked": list(task.blocked), "cases": cases}


def task_from_json(name: str, held: dict[str, Any]) -> Task:
    """The inverse of task_to_json."""
    cases = tuple(
        Case(
            {key: decode(value) for key, value in case["inputs"].items()},
            decode_arrays(case["expected"]),
            {message: decode_arrays(arrays) for message, arrays in case["mistakes"].items()},
        )
        for case in held["cases"]
    )
    return Task(name, held["adapter"], tuple(held["blocked"]), cases)


Adapter = Callable[[Callable[..., Any], Inputs], Arrays]
