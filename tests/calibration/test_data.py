"""Mirrors calibration/data.py."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lamella.calibration import data
from lamella.errors import CalibrationError


class Pair(nn.Module):
    def forward(self, left: Tensor, right: Tensor | None = None, **rest: Tensor) -> Tensor:
        return left


ONE = torch.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize("item", [ONE, (ONE,), [ONE]])
def test_a_tensor_and_a_sequence_are_positional(item: object) -> None:
    batch = data.read(item, Pair(), 0)
    assert batch.args[0] is ONE
    assert batch.kwargs == {}


def test_a_mapping_is_named() -> None:
    batch = data.read({"right": ONE, "left": ONE, "more": ONE}, Pair(), 0)
    assert batch.args == ()
    assert list(batch.kwargs) == ["right", "left", "more"]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("text", "batch 3 is a str"),
        ((ONE, ONE, ONE), "batch 3 does not fit the inputs of Pair: too many"),
        ({"right": ONE}, "missing a required argument: 'left'"),
        ((ONE, torch.zeros(0, 3)), r"input 'right' of batch 3 is empty: its shape is \[0, 3\]"),
        ({"left": torch.tensor([[1.0, torch.nan]])}, r"'left' of batch 3 holds nan at \[0, 1\]"),
        ({"left": ONE, "more": torch.tensor([-torch.inf])}, "'more' of batch 3 holds -inf"),
    ],
)
def test_a_batch_that_cannot_be_used_is_named(item: object, words: str) -> None:
    with pytest.raises(CalibrationError, match=words):
        data.read(item, Pair(), 3)


def test_the_digest_depends_on_values_types_shapes_and_names() -> None:
    values = [
        (ONE,),
        (ONE + 1,),
        (ONE.double(),),
        (ONE.reshape(3, 2),),
        {"left": ONE},
        {"right": ONE},
        (ONE, None),
        ((ONE,),),
    ]
    assert len({data.digest(value) for value in values}) == len(values)


def test_equal_content_has_equal_digests_however_it_lies_in_memory() -> None:
    strided = ONE.t().contiguous().t()
    assert data.digest(strided) == data.digest(ONE)
    assert data.digest({"a": 1, "b": ONE}) == data.digest({"b": ONE.clone(), "a": 1})


def test_half_precision_and_single_values_have_digests() -> None:
    assert data.digest(torch.tensor(1.0, dtype=torch.bfloat16)) != data.digest(torch.tensor(1.0))


def test_padding_is_left_out_where_shapes_match() -> None:
    mask = torch.tensor([[True, False, True], [True, True, False]])
    values = torch.arange(12.0).reshape(2, 3, 2)
    kept = values[mask]
    assert data.select(values, mask).equal(kept)
    assert data.select(values.reshape(6, 2), mask).equal(kept)
    assert data.select(values[:, 0], mask).equal(values[:, 0])
    assert data.select(values, None).equal(values.reshape(6, 2))


def test_a_mask_is_read_from_the_argument_of_that_name() -> None:
    mask = torch.tensor([[1, 1, 0]])
    found = data.read({"left": ONE, "attention_mask": mask}, Pair(), 0).mask
    assert found is not None
    assert found.equal(mask.bool())
    assert data.read({"left": ONE, "attention_mask": mask | 1}, Pair(), 0).mask is None
