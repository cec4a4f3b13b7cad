from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lamella.errors import TraceError
from lamella.frontend.trace import trace


class Wrapped(nn.Module):
    """Puts the module that fails at the path `inner.step`."""

    def __init__(self, step: nn.Module) -> None:
        super().__init__()
        self.inner = nn.ModuleDict({"step": step})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner["step"](x)


class Branch(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        if y.sum() > 0:
            return 2 * y
        return y


class Loop(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(int(x.max())):
            x = super().forward(x)
        return x


class Cut(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = int(x.abs().sum())
        return super().forward(x)[:size]


class Foreign(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.from_numpy(np.tanh(x.detach().numpy())))


class Raises(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise ValueError(f"only {self.in_features} words are known")


class Misfit(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.matmul(super().forward(x), torch.ones(3, 3))


@torch.library.custom_op("lamella_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


class Custom(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ops.lamella_tests.twice(super().forward(x))


def failure(module: nn.Module, inputs: Any = None, free: Any = None) -> str:
    with pytest.raises(TraceError) as caught:
        trace(module, torch.ones(2, 4) if inputs is None else inputs, free)
    return str(caught.value)


def line_of(kind: type, text: str) -> str:
    """Returns file and number of the one line of a class that holds `text`."""
    lines, start = inspect.getsourcelines(kind)
    numbers = [start + at for at, line in enumerate(lines) if text in line]
    assert len(numbers) == 1
    return f"{inspect.getsourcefile(kind)}:{numbers[0]}: {lines[numbers[0] - start].strip()}"


BRANCH = "use torch.cond or torch.where, or move the branch out of forward"


@pytest.mark.parametrize(
    ("kind", "operator", "source", "remedy"),
    [
        (Branch, "`y.sum() > 0`", "if y.sum()", BRANCH),
        (Loop, "`int(x.max())`", "range(int(", BRANCH),
        (Cut, "`int(x.abs().sum())`", "size = int", BRANCH),
        (Foreign, "`x.detach().numpy()`", "np.tanh", "use the torch function of the same name"),
        (Raises, "only 4 words are known", "raise ValueError", "check that module(*example_inp"),
        (Misfit, "aten.matmul.default", "torch.ones(3, 3)", "check that module(*example_inputs)"),
        (Custom, "lamella_tests.twice.default", "ops.lamella", "torch.library.register_fake"),
    ],
)
def test_an_error_names_operator_module_source_line_and_remedy(
    kind: type[nn.Linear], operator: str, source: str, remedy: str
) -> None:
    message = failure(Wrapped(kind(4, 4)))
    assert message.startswith("cannot trace Wrapped at operator")
    assert operator in message
    assert "in module 'inner.step'" in message
    assert line_of(kind, source) in message
    assert remedy in message


def test_control_flow_on_values_has_its_own_sentence() -> None:
    message = failure(Branch(4, 4))
    assert "in the top module" in message
    assert "the control flow depends on the values of a tensor, and a graph has only one" in message


def test_a_wrong_shape_inside_torchs_own_code_names_the_layer() -> None:
    message = failure(nn.Sequential(nn.ReLU(), nn.Linear(4, 4)), torch.ones(2, 5))
    assert "operator aten.linear.default in module '1'" in message


@pytest.mark.parametrize("inputs", [(torch.ones(2, 4), torch.ones(2, 4)), {"y": torch.ones(2, 4)}])
def test_wrong_arguments_are_told_to_be_the_examples_fault(inputs: Any) -> None:
    assert "give example_inputs" in failure(nn.Linear(4, 4), inputs)


def test_an_axis_that_the_model_fixes_cannot_be_declared_free() -> None:
    class Fixed(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) + torch.ones(2, 4)

    message = failure(Fixed(4, 4), None, ({0: torch.export.Dim("batch")},))
    assert "declares free is fixed" in message
    assert "Dim.AUTO" in message


def test_an_output_of_an_unknown_type_is_refused() -> None:
    class Box:
        def __init__(self, inside: torch.Tensor) -> None:
            self.inside = inside

    class Boxed(nn.Linear):
        def forward(self, x: torch.Tensor) -> Any:
            return Box(super().forward(x))

    assert "return tensors, or tuples, lists and dicts" in failure(Boxed(4, 4))


def test_a_module_that_cannot_be_copied_is_refused() -> None:
    module = nn.Linear(4, 4)
    module.source = open(__file__)  # noqa: SIM115
    try:
        assert "cannot copy Linear" in failure(module)
    finally:
        module.source.close()


def test_nothing_is_printed_beside_the_error(capfd: pytest.CaptureFixture[str]) -> None:
    failure(Branch(4, 4))
    failure(nn.Linear(4, 4), torch.ones(2, 5))
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
