"""Tables of cosines and sines: the module's own, evaluated for every position of a text."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lamella.errors import LoweringError

Table = npt.NDArray[np.float32]

# Two tables of so many positions are 16 MiB for heads of 128; more must be asked for.
MOST_POSITIONS = 32768


def context_of(config: Any, wanted: int | None) -> int:
    """Returns how many positions a program has.

    Args:
        config: of the decoder.
        wanted: the number that was asked for; None for all that the model has, within
            MOST_POSITIONS.

    Raises:
        LoweringError: the model has fewer. The angles of some depend on the length of the text;
            such a model has the positions before they change.
    """
    scaling = getattr(config, "rope_scaling", None) or {}
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    most = int(config.max_position_embeddings)
    if kind == "longrope":
        inner = getattr(config, "original_max_position_embeddings", None)
        most = int(inner or scaling.get("original_max_position_embeddings", most))
    if wanted is None:
        return min(most, MOST_POSITIONS)
    if not 0 < wanted <= most:
        raise LoweringError(
            f"module model.rotary_emb: a text of {wanted} tokens was asked for, but positions of "
            f"the kind {kind!r} are the same for every text only from 1 to {most} tokens"
        )
    return wanted


def tables(rotary: Any, context: int, width: int) -> tuple[Table, Table]:
    """Returns cosines and sines, (context, width / 2) each, of a rotary embedding.

    Raises:
        LoweringError: it turns only some elements of a head.
    """
    # A copy, because some embeddings change themselves with what they see.
    own = copy.deepcopy(rotary)
    with torch.no_grad():
        cosine, sine = own(torch.zeros(1), torch.arange(context)[None])
    if cosine.shape[-1] != width:
        raise LoweringError(
            f"module model.rotary_emb: it turns {cosine.shape[-1]} of the {width} elements of a "
            "head, and the kernel all of them; use the target onnx"
        )
    half = width // 2
    return (
        np.ascontiguousarray(cosine[0, :, :half].numpy(), np.float32),
        np.ascontiguousarray(sine[0, :, :half].numpy(), np.float32),
    )
