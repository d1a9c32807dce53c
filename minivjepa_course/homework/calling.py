"""Calling a student's function: on copies of the inputs, with the package's own answer blocked, the result as plain arrays."""

import contextlib
import copy
import importlib
import inspect
import linecache
import os
import random
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minivjepa_course.homework.cases import CHANGED, Arrays, Inputs, as_arrays, encode

NOT_WRITTEN = "not written yet"
BLOCKED = "this is what you are asked to write: do it without the package's own function"
NO_FUNCTION = "there is no function {}: keep the name that the exercise gives"
LONGEST = 300  # characters of an error in a message
LINE = 120  # of the line at which it happened


class Blocked(Exception):
    """The student's function called one of the package's that would answer the exercise."""


def refuse(*given: Any, **named: Any) -> Any:
    """Stands in for a blocked function.  It imports its error itself: its code runs in other modules."""
    from minivjepa_course.homework.calling import BLOCKED, Blocked

    raise Blocked(BLOCKED)


@contextlib.contextmanager
def blocking(names: Sequence[str]) -> Iterator[None]:
    """While inside, the functions and classes with these full names refuse to run, under any alias.

    A function that isn't written in Python refuses only under its full name.
    """
    with contextlib.ExitStack() as undo:
        for name in names:
            module, _, attribute = name.rpartition(".")
            home = importlib.import_module(module)
            found = inspect.unwrap(getattr(home, attribute))
            place, slot, stand_in = (found, "__code__", refuse.__code__) if hasattr(found, "__code__") else (home, attribute, refuse)  # fmt: skip
            if isinstance(found, type):
                place, slot, stand_in = found, "__init__", refuse
            undo.callback(setattr, place, slot, getattr(place, slot))
            setattr(place, slot, stand_in)
        yield


def fresh_state() -> None:
    """Undo what an earlier call may have set, so that one exercise cannot break another."""
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)  # the cases are on the CPU
    if torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(False)  # it loads a compiler, as torch.manual_seed does: seconds
    for seed in (torch.default_generator.manual_seed, np.random.seed, random.seed):
        seed(0)


def require_gradients_on() -> None:
    """Raise RuntimeError if a call has switched gradients off and not on again."""
    if not torch.is_grad_enabled():
        raise RuntimeError("gradients are still off when it returns; `with torch.no_grad():` switches them on again")


def changed(before: Inputs, after: Inputs) -> np.ndarray:
    """Names of the inputs that a call has changed in place, also inside lists and dicts, or whose gradients it has used."""
    names = [name for name, value in before.items() if in_full(value) != in_full(after.get(name))]
    return np.array(names, dtype="U40")


def in_full(value: Any) -> str:
    """All of an input as text, with whether gradients are taken of it, and whether it has one."""
    if isinstance(value, Mapping):
        return str({key: in_full(part) for key, part in value.items()})
    if isinstance(value, list | tuple):
        return str([in_full(part) for part in value])
    if isinstance(value, Tensor):
        return f"{encode(value)} {value.requires_grad} {value.is_leaf and value.grad is not None}"
    return repr(encode(value))


def called(function: Callable[..., Any], inputs: Inputs) -> tuple[Any, np.ndarray]:
    """What a function returns for copies of the inputs, and the names of those that it changed."""
    given = copy.deepcopy(inputs)
    fresh_state()
    value = function(**given)
    require_gradients_on()
    return value, changed(inputs, given)


def call(function: Callable[..., Any], inputs: Inputs) -> Arrays:
    """Call a function on copies of the inputs, and flatten what it returns."""
    value, touched = called(function, inputs)
    return {**as_arrays(value), CHANGED: touched}


def tensors(function: Callable[..., Any], inputs: Inputs) -> Arrays:
    """Call a function that has to return a tensor, or several in a list: what comes later joins and compares them.

    Raises TypeError for numbers and numpy arrays, also in lists: call takes them for tensors.
    """
    value, touched = called(function, inputs)
    for part in value if isinstance(value, list | tuple) else [value]:
        if value is not None and not (isinstance(part, Tensor) and (part is value or part.ndim)):
            found = type(part).__name__ if part is value else f"a {type(value).__name__} of {type(part).__name__}"
            raise TypeError(f"expected tensors and got {found}; torch.tensor, torch.cat and torch.stack make them")
    return {**as_arrays(value), CHANGED: touched}


def gradients(function: Callable[..., Any], inputs: Inputs) -> Arrays:
    """Call a function with gradients on: its value (a scalar loss) and the gradient of every floating-point input.

    An input without a gradient gives an empty array, which differs from zeros.
    """
    given = copy.deepcopy(inputs)
    floating = {name: value for name, value in given.items() if isinstance(value, Tensor) and value.is_floating_point()}
    for value in floating.values():
        value.requires_grad_(True)
    before = copy.deepcopy(given)
    fresh_state()
    loss = function(**given)
    require_gradients_on()
    touched = changed(before, given)  # before backward() gives them gradients
    if not isinstance(loss, Tensor) or loss.ndim:
        shape = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        hint = ": leave out .item() and float()" if isinstance(loss, float) else ""
        raise TypeError(f"expected one number, a tensor of shape [], and got {shape}{hint}")
    if loss.requires_grad:
        loss.backward()
    found = as_arrays(loss, "loss")
    for name, value in floating.items():
        found[f"gradient of {name}"] = np.zeros(0) if value.grad is None else value.grad.double().numpy()
    return {**found, CHANGED: touched}


ADAPTERS: dict[str, Callable[[Callable[..., Any], Inputs], Arrays]] = {
    "call": call,
    "tensors": tensors,
    "gradients": gradients,
}


def is_unwritten(error: BaseException) -> bool:
    """Whether the text of an exercise raised this, and not torch, whose errors have words."""
    return isinstance(error, NotImplementedError) and not str(error)


def error_in_words(error: BaseException) -> str:
    """An error on one line, with the line of a notebook at which it happened."""
    if isinstance(error, Blocked):
        return BLOCKED
    if is_unwritten(error):
        return NOT_WRITTEN
    words = " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST]
    # the code of notebooks is in no file
    places = [
        place for place in traceback.walk_tb(error.__traceback__) if not os.path.exists(place[0].f_code.co_filename)
    ]
    lines = [linecache.getline(frame.f_code.co_filename, number).strip() for frame, number in places]
    lines += [(error.text or "").strip()] if isinstance(error, SyntaxError) else []
    at = next((line for line in reversed(lines) if line), "")
    return f"{words}; at the line: {at[:LINE]}" if at else words
