"""Batches: what a user may pass as one, checked once where it enters and hashed by content."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lamella.errors import CalibrationError

# Sums of digests are taken modulo this, so that they stay 256 bits wide.
DIGEST_SPAN = 1 << 256


@dataclass(frozen=True, slots=True)
class Batch:
    """One call of the module: positional and keyword arguments.

    `mask` is the attention mask as (batch, tokens) booleans, True where a token counts, or None
    where every token counts. `digest` is the SHA-256 of all values, dtypes and shapes.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    mask: Tensor | None
    digest: int


def read(item: Any, module: torch.nn.Module, index: int) -> Batch:
    """Checks one user-given batch and turns it into a call of the module.

    Args:
        item: a tensor, a tuple or list (positional arguments) or a mapping (keyword arguments).
        module: its `forward` tells the names of the inputs.
        index: position among the batches, for messages.

    Raises:
        CalibrationError: the batch is of another type, does not match the arguments of `forward`,
            is empty, or holds NaN or infinity.
    """
    args, kwargs = _arguments(item, index)
    named = _bound(module, args, kwargs, index)
    for name, value in named.items():
        if isinstance(value, Tensor):
            _check_tensor(value, name, index)
    return Batch(args, kwargs, _mask(named.get("attention_mask")), digest((args, kwargs)))


def digest(value: Any) -> int:
    """Returns the SHA-256, as a number, of a nest of tuples, lists, mappings and tensors."""
    hasher = hashlib.sha256()
    _feed(hasher, value)
    return int.from_bytes(hasher.digest(), "little")


def weights_digest(module: torch.nn.Module) -> str:
    """Returns the SHA-256, in hexadecimal, of every parameter and buffer with its name."""
    return f"{digest(module.state_dict(keep_vars=False)):064x}"


def select(tensor: Tensor, mask: Tensor | None) -> Tensor:
    """Returns the rows of a (..., channels) tensor whose token counts, as (rows, channels).

    The mask applies where the leading sizes of the tensor are those of the mask, (batch, tokens)
    or their product; any other tensor has no padding that the mask could name.
    """
    rows = tensor.reshape(-1, tensor.shape[-1])
    if mask is None or not _fits(tensor.shape[:-1], mask):
        return rows
    return rows[mask.reshape(-1)]


def shapes(batch: Batch) -> str:
    """Describes the tensors of a batch for an error message."""
    values = [*enumerate(batch.args), *batch.kwargs.items()]
    parts = [
        f"{name}: {str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
        for name, value in values
        if isinstance(value, Tensor)
    ]
    return ", ".join(parts)


def _arguments(item: Any, index: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(item, Tensor):
        return (item,), {}
    if isinstance(item, (tuple, list)):
        return tuple(item), {}
    if isinstance(item, Mapping):
        return (), dict(item)
    raise CalibrationError(
        f"batch {index} is a {type(item).__name__}; give a tensor, a tuple of positional inputs "
        "or a dict of named inputs"
    )


def _bound(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], index: int
) -> dict[str, Any]:
    """Returns every given value under the name of its argument."""
    signature = inspect.signature(module.forward)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise CalibrationError(
            f"batch {index} does not fit the inputs of {type(module).__name__}: {error}; "
            f"forward takes {signature}"
        ) from error
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        elif kind is inspect.Parameter.VAR_POSITIONAL:
            named.update({f"{name}[{place}]": entry for place, entry in enumerate(value)})
        else:
            named[name] = value
    return named


def _check_tensor(tensor: Tensor, name: str, index: int) -> None:
    if not tensor.numel():
        raise CalibrationError(
            f"input {name!r} of batch {index} is empty: its shape is {list(tensor.shape)}"
        )
    if not tensor.is_floating_point():
        return
    wrong = (~torch.isfinite(tensor)).nonzero()
    if len(wrong):
        place = wrong[0].tolist()
        raise CalibrationError(
            f"input {name!r} of batch {index} holds {tensor[tuple(place)].item()} at {place} "
            f"({len(wrong)} of {tensor.numel()} values are not finite); mend or drop the batch"
        )


def _mask(value: Any) -> Tensor | None:
    if not isinstance(value, Tensor) or value.dim() != 2 or value.is_floating_point():
        return None
    mask = value != 0
    return None if bool(mask.all()) else mask


def _fits(leading: torch.Size, mask: Tensor) -> bool:
    return leading == mask.shape or leading == (mask.numel(),)


def _feed(hasher: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        plain = value.detach().cpu().contiguous()
        hasher.update(f"tensor {plain.dtype} {list(plain.shape)}\n".encode())
        hasher.update(plain.reshape(-1).view(torch.uint8).numpy())
    elif isinstance(value, Mapping):
        hasher.update(f"mapping {len(value)}\n".encode())
        for name in sorted(value, key=str):
            hasher.update(f"{name!r}\n".encode())
            _feed(hasher, value[name])
    elif isinstance(value, (tuple, list)):
        hasher.update(f"sequence {len(value)}\n".encode())
        for entry in value:
            _feed(hasher, entry)
    else:
        hasher.update(f"{value!r}\n".encode())
