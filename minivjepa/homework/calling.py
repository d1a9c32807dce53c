"""Calling a student's function: on copies of the inputs, with the package's own answer blocked, the result as plain arrays."""

import contextlib
import copy
import importlib
import inspect
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minivjepa.homework.cases import CHANGED, Arrays, Inputs, as_arrays, encode


class Blocked(Exception):
    """The student's function called one of the package's that would answer the exercise."""


def refuse(*given: Any, **named: Any) -> Any:
    """Stands in for a blocked function.  It imports its error itself: its code runs in other modules."""
    from minivjepa.homework.calling import Blocked

    raise Blocked("this is what you are asked to write: do it without the package's own function")


@contextlib.contextmanager
def blocking(names: Sequence[str]) -> Iterator[None]:
    """While inside, the functions and classes with these full names refuse to run, under any alias."""
    with contextlib.ExitStack() as undo:
        for name in names:
            module, _, attribute = name.rpartition(".")
            found = inspect.unwrap(getattr(importlib.import_module(module), attribute))
            is_class = isinstance(found, type)
            slot, stand_in = ("__init__", refuse) if is_class else ("__code__", refuse.__code__)
            undo.callback(setattr, found, slot, getattr(found, slot))
            setattr(found, slot, stand_in)
        yield


def fresh_state() -> None:
    """Undo what an earlier call may have set, so that one exercise cannot break another."""
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    torch.use_deterministic_algorithms(False)
    for seed in (torch.manual_seed, np.random.seed, random.seed):
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


def call(function: Callable[..., Any], inputs: Inputs) -> Arrays:
    """Call a function on copies of the inputs, and flatten what it returns."""
    given = copy.deepcopy(inputs)
    fresh_state()
    value = function(**given)
    require_gradients_on()
    return {**as_arrays(value), CHANGED: changed(inputs, given)}


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
        raise TypeError(f"expected one number, a tensor of shape [], and got {shape}")
    if loss.requires_grad:
        loss.backward()
    found = as_arrays(loss, "loss")
    for name, value in floating.items():
        found[f"gradient of {name}"] = np.zeros(0) if value.grad is None else value.grad.double().numpy()
    return {**found, CHANGED: touched}


ADAPTERS: dict[str, Callable[[Callable[..., Any], Inputs], Arrays]] = {"call": call, "gradients": gradients}
