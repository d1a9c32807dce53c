"""Cases: the inputs of a student's function, the right outputs, and the outputs of known mistakes.

Outputs are compared as plain arrays, so they can come from a process that is not trusted.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

Arrays = dict[str, np.ndarray]  # the flattened result of a call: name -> numbers, booleans or text
Inputs = dict[str, Any]  # argument -> number, text, list or tensor
TOLERANCE = 1e-4  # absolute and relative
CHANGED = "inputs that were changed"  # an extra array in every result: the names of arguments changed in place


@dataclass(frozen=True)
class Case:
    """One call.  mistakes: message of a known mistake -> the output of a function with that mistake.  rule: what it tries."""

    inputs: Inputs
    expected: Arrays
    mistakes: dict[str, Arrays] = field(default_factory=dict)
    rule: str = ""


@dataclass(frozen=True)
class ExerciseCases:
    """The cases of one exercise.  adapter: how its function is called; blocked: full names that would answer it."""

    name: str
    adapter: str
    blocked: tuple[str, ...]
    cases: tuple[Case, ...]


def is_number(value: Any) -> bool:
    """Whether a value is a single number, of Python, numpy or torch."""
    return isinstance(value, bool | int | float | np.generic) or (isinstance(value, Tensor) and not value.ndim)


def as_arrays(value: Any, name: str = "result") -> Arrays:
    """A returned value as named arrays: a sequence of numbers becomes one array, other sequences and dicts are flattened.

    Raises TypeError for anything other than numbers, booleans and text.
    """
    if value is None:
        raise TypeError(f"{name} is None, expected numbers: is a `return` missing?")
    if isinstance(value, Tensor) and not value.is_complex():
        return {name: value.detach().to(torch.float64 if value.is_floating_point() else value.dtype).numpy()}
    if isinstance(value, Mapping) and value:
        return {k: v for key in value for k, v in as_arrays(value[key], f"{name}.{key}").items()}
    if isinstance(value, Mapping):
        return {name: np.array("an empty dict")}  # flattened to nothing, it would not be seen
    if isinstance(value, list | tuple) and not all(map(is_number, value)):
        return {k: v for number, part in enumerate(value) for k, v in as_arrays(part, f"{name}.{number}").items()}
    if isinstance(value, list | tuple) and any(isinstance(v, Tensor) for v in value):
        return as_arrays(torch.stack([torch.as_tensor(v) for v in value]), name)
    array = np.asarray(value)
    if array.dtype.kind not in "biufU":
        found = type(value).__name__
        raise TypeError(f"{name} is a {found}, expected numbers, a tensor, text, or a tuple or dict of them")
    return {name: array}


def kind(array: np.ndarray) -> str:
    """What an array holds, in a word or two."""
    return {"b": "booleans", "i": "whole numbers", "u": "whole numbers", "f": "floats", "U": "text"}[array.dtype.kind]


def fits(right: np.ndarray, mine: np.ndarray) -> bool:
    """Whether an array may be compared with the right one: same shape and kind; 1 will do for 1.0, but not 1.0 for 1."""
    kinds = kind(right), kind(mine)
    return right.shape == mine.shape and (kinds[0] == kinds[1] or kinds == ("floats", "whole numbers"))


def equal_values(right: np.ndarray, mine: np.ndarray) -> np.ndarray:
    """Where an array that fits agrees with the right one; floats up to the tolerance."""
    if kind(right) == "floats":
        return np.asarray(np.isclose(right, mine, TOLERANCE, TOLERANCE, equal_nan=True))
    return np.asarray(right == mine)


def alike(right: np.ndarray, mine: np.ndarray) -> bool:
    """Whether an array is the right one, up to the tolerance."""
    return fits(right, mine) and bool(equal_values(right, mine).all())


def same(right: Arrays, mine: Arrays) -> bool:
    """Whether a result is right in all its arrays."""
    return set(right) == set(mine) and all(alike(right[name], mine[name]) for name in right)


def difference(expected: Arrays, got: Arrays, inputs: Inputs) -> str:
    """The first difference between the result for these inputs and the expected one, in one line."""
    if CHANGED in got and got[CHANGED].size:
        return changed_in_words([name for name in got[CHANGED].tolist() if name in inputs], inputs)
    if 0 < count_parts(got) != count_parts(expected) > 0:
        return f"result has {count_parts(got)} parts, expected {count_parts(expected)}"
    if set(expected) != set(got):
        return "; ".join(parts_in_words(expected, got))
    for name, right in expected.items():
        mine = got[name]
        if mine.shape != right.shape:
            return f"{name} has the shape {list(mine.shape)}, expected {list(right.shape)}"
        if not fits(right, mine):
            return f"{name} holds {kind(mine)}, expected {kind(right)}"
        wrong = np.argwhere(~equal_values(right, mine))
        if len(wrong):
            first = tuple(wrong[0])
            place = f" at {[int(i) for i in first]}" if first else ""
            pair = value_in_words(mine[first], right[first])
            return f"{name}{place} is {pair}; {len(wrong)} of {right.size} values differ"
    return "the result is right"


def count_parts(found: Arrays) -> int:
    """How many parts a result has that is a list of more than numbers; 0 for any other."""
    return len({name.split(".")[1] for name in found if re.match(r"result\.\d", name)})


def value_in_words(mine: Any, right: Any) -> str:
    """Two values that differ: floats with as many digits as tell them apart, and what was allowed if they are close."""
    a, b = mine.item(), right.item()
    if not isinstance(a, float):
        return f"{a!r}, expected {b!r}"
    digits = next((n for n in range(4, 17) if round(a, n) != round(b, n)), 17)
    allowed = TOLERANCE * (1 + abs(a))
    close = f", and may differ by {allowed:.2g}" if abs(a - b) < 100 * allowed else ""
    return f"{round(a, digits)}, expected {round(b, digits)}{close}"


def changed_in_words(names: list[str], inputs: Inputs) -> str:
    """That a call changed these inputs, and what to make instead."""
    kinds = sorted({"tensors" if isinstance(inputs[name], Tensor) else type(inputs[name]).__name__ for name in names})
    instead = " and ".join("new tensors" if kind == "tensors" else f"a new {kind}" for kind in kinds)
    return f"the call changed its inputs ({', '.join(names)}): make {instead} instead"


def parts_in_words(expected: Arrays, got: Arrays) -> Iterator[str]:
    """What is there in another form than expected, what is missing, and what was not asked for."""
    missing, extra = sorted(set(expected) - set(got)), sorted(set(got) - set(expected))
    for name in missing:
        inside = {other: other.removeprefix(f"{name}.").split(".") for other in extra if other.startswith(f"{name}.")}
        if inside:
            numbered = all(part[0].isdigit() for part in inside.values())
            are_numbers = not any(got[other].ndim for other in inside)
            inner = "lists" if any(len(part) > 1 for part in inside.values()) else "lists or tensors"
            count = len({part[0] for part in inside.values()})
            found = f"a list of {count} {'values' if are_numbers else inner}" if numbered else "a dict"
            one = f"a tensor of shape {list(expected[name].shape)}" if expected[name].ndim else "one value"
            yield f"{name} is {found}, expected {one}"
        elif not any(name.startswith(f"{other}.") for other in extra):
            yield f"{name} is missing from what was returned"
    for name in extra:
        asked = [other for other in missing if other.startswith(f"{name}.")]
        if asked:
            yield f"{name} is one value, expected {len(asked)} parts: {', '.join(asked)}"
        elif not any(name.startswith(f"{other}.") for other in missing):
            yield f"{name[:60]!r} was not asked for"


def diagnose(cases: Sequence[Case], results: Sequence[Arrays]) -> tuple[str, int] | None:
    """None if all results are right; else the likely bug, and the number of the first wrong case.

    A known mistake is named if it is the only one that explains every result.  If it explains only those up to the first wrong one,
    "perhaps" comes before its name.  Without a known mistake, the message is the first difference.
    """
    pairs = list(zip(cases, results, strict=True))
    first = next((number for number, (case, got) in enumerate(pairs) if not same(case.expected, got)), None)
    if first is None:
        return None
    for count in (len(cases), first + 1):
        explain = [
            message
            for message in cases[first].mistakes
            if all(message in case.mistakes and same(case.mistakes[message], got) for case, got in pairs[:count])
        ]
        if explain:
            is_sure = count == len(cases) and len(explain) == 1
            return ("" if is_sure else "perhaps: ") + explain[0], first
    return difference(cases[first].expected, results[first], cases[first].inputs), first


def encode(value: Any) -> Any:
    """Inputs and results as JSON: arrays and tuples as dicts that say so, dicts as pairs, since keys can only be text."""
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.str, "shape": list(value.shape)}
    if isinstance(value, Tensor):
        return {"tensor": value.tolist(), "dtype": str(value.dtype).removeprefix("torch."), "shape": list(value.shape)}
    if isinstance(value, Mapping):
        return {"dict": [[key, encode(part)] for key, part in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [encode(part) for part in value]}
    return [encode(part) for part in value] if isinstance(value, list) else value


def decode(value: Any) -> Any:
    """The inverse of encode."""
    if isinstance(value, dict) and "array" in value:
        return np.array(value["array"], dtype=value["dtype"]).reshape(value["shape"])
    if isinstance(value, dict) and "tensor" in value:
        return torch.tensor(value["tensor"], dtype=getattr(torch, value["dtype"])).reshape(value["shape"])
    if isinstance(value, dict) and "tuple" in value:
        return tuple(decode(part) for part in value["tuple"])
    if isinstance(value, dict):
        return {key: decode(part) for key, part in value["dict"]}
    return [decode(part) for part in value] if isinstance(value, list) else value


def cases_from_json(name: str, held: dict[str, Any]) -> ExerciseCases:
    """An exercise's cases from JSON that teacher/build.py wrote.  name: of the exercise."""
    cases = tuple(Case(**decode(case)) for case in held["cases"])
    return ExerciseCases(name, held["adapter"], tuple(held["blocked"]), cases)
