"""A device beside the CPU, on a machine that has no other: tensors there say `meta` and compute on the CPU.

Inside `another_device()`, an operation that mixes the two raises as CUDA does, and .cpu() or float() bring numbers back.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map_only, tree_unflatten

THERE = torch.device("meta")
MOVES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
# CUDA takes indices from the CPU, too
PUTS = (torch.ops.aten.index_put.default, torch.ops.aten.index_put_.default, torch.ops.aten._index_put_impl_.default)
PICKS = {torch.ops.aten.index.Tensor, *PUTS}


class There(Tensor):
    """A tensor of the other device; `here` holds its numbers."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> "There":
        """Of the same shape and strides."""
        kept = {"dtype": here.dtype, "layout": here.layout, "storage_offset": here.storage_offset()}
        tensor: There = Tensor._make_wrapper_subclass(cls, here.shape, here.stride(), device=THERE, **kept)  # type: ignore[attr-defined]
        tensor.here = here
        return tensor

    def tolist(self) -> Any:
        """Not for subclasses, says torch."""
        return self.here.tolist()

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Saved as its numbers, as a loader that maps to the CPU finds them."""
        return self.here.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(
        cls, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Also for backward passes, which leave the mode's thread."""
        return run(op, args, kwargs or {})

    __torch_function__ = torch._C._disabled_torch_function_impl


class OtherDevice(TorchDispatchMode):
    """Sends what is made on the other device there."""

    def __torch_dispatch__(
        self, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return run(op, args, kwargs or {})


def run(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """One operation on the numbers of its tensors.  Raises RuntimeError for tensors of both devices."""
    tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
    away = [value for value in tensors if isinstance(value, There)]
    asked = kwargs.get("device")
    if away and op not in MOVES:
        left = [value for value in tensors if not isinstance(value, There) and value.dim()]
        if left and not (op in PICKS and isinstance(args[0], There)):
            raise RuntimeError(f"{op}: {len(left)} tensors are on the CPU, such as one of shape {tuple(left[0].shape)}")
        if asked is not None and torch.device(asked) != THERE and op is not torch.ops.aten._to_copy.default:
            raise RuntimeError(f"{op} makes a CPU tensor from one of the other device")
    goes = torch.device(asked) == THERE if asked is not None else bool(away)
    if op is torch.ops.aten.copy_.default:
        goes = isinstance(args[0], There)
    plain_args, plain_kwargs = tree_map_only(There, lambda value: value.here, (args, kwargs))
    if asked is not None:
        plain_kwargs["device"] = torch.device("cpu")
    found = op(*plain_args, **plain_kwargs)
    if not goes:
        return found
    same = {id(value.here): value for value in away}  # what an operation in place returns is what it was given
    leaves, form = tree_flatten(found)
    wrapped = [same.get(id(leaf), There(leaf)) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
    return tree_unflatten(wrapped, form)


@contextlib.contextmanager
def another_device() -> Iterator[torch.device]:
    """Inside, the device that is yielded can be computed on."""
    tensor = torch.tensor

    def made(data: Any, device: Any = None, **kwargs: Any) -> Tensor:
        """torch.tensor makes those of `meta` without their numbers, and no mode is asked."""
        return tensor(data, **kwargs).to(device)

    with contextlib.ExitStack() as changed:
        changed.enter_context(OtherDevice())
        changed.enter_context(patch("torch.tensor", made))
        changed.enter_context(patch("torch.autocast", lambda *args, **kwargs: contextlib.nullcontext()))
        changed.enter_context(
            patch("torch.optim.optimizer._get_fused_kernels_supported_devices", lambda: ["cpu", "meta"])
        )
        yield THERE
