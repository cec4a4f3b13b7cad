"""The registry of methods: one row each, and the only place that a new one has to be named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from lamella.compression.prune import magnitude, wanda
from lamella.compression.quantize import nearest, second_order
from lamella.compression.quantize.problem import Problem, Solution
from lamella.compression.quantize.second_order import Sweep
from lamella.compression.transform.batch_norm import fold_batch_norm
from lamella.compression.transform.equalize import equalize
from lamella.errors import PlanError
from lamella.formats import Sparsity
from lamella.frontend.layers import Kind
from lamella.frontend.model import Model
from lamella.grids import Mask
from lamella.planner.spec import Settings

Need = Literal["nothing", "moments", "channels"]
Solve = Callable[[Problem, Settings], Solution]
Choose = Callable[[Problem, Sparsity], Mask]
Rewrite = Callable[[Model], Model]
Run = TypeVar("Run", Solve, Choose, Rewrite)

_CONVOLUTIONS: tuple[Kind, ...] = ("conv1d", "conv2d", "depthwise2d")
_MATRICES: tuple[Kind, ...] = ("linear", *_CONVOLUTIONS)
_ALL: tuple[Kind, ...] = (*_MATRICES, "embedding")


@dataclass(frozen=True, slots=True)
class Method(Generic[Run]):
    """One method: its names, the paper, the statistic it needs, the kinds of layer it fits.

    For a layer of another kind `fallback` takes its place.
    """

    name: str
    aliases: tuple[str, ...]
    paper: str
    needs: Need
    kinds: tuple[Kind, ...]
    run: Run
    fallback: str = ""


def _nearest(problem: Problem, settings: Settings) -> Solution:
    return nearest.solve(problem)


def _second_order(problem: Problem, settings: Settings) -> Solution:
    return second_order.solve(problem, Sweep(settings.act_order, settings.damping))


def _magnitude(problem: Problem, sparsity: Sparsity) -> Mask:
    return magnitude.mask(problem.weight, sparsity)


def _wanda(problem: Problem, sparsity: Sparsity) -> Mask:
    assert problem.moment is not None
    return wanda.mask(problem.weight, sparsity, problem.moment)


SOLVERS: tuple[Method[Solve], ...] = (
    Method("rtn", ("nearest",), "arXiv:1712.05877", "nothing", _ALL, _nearest),
    Method(
        "gptq", ("obq", "sparsegpt"), "arXiv:2210.17323", "moments", _MATRICES, _second_order, "rtn"
    ),
)

PRUNERS: tuple[Method[Choose], ...] = (
    Method("magnitude", ("abs",), "arXiv:1506.02626", "nothing", _ALL, _magnitude),
    Method("wanda", (), "arXiv:2306.11695", "moments", _MATRICES, _wanda, "magnitude"),
)

TRANSFORMS: tuple[Method[Rewrite], ...] = (
    Method("fold_batch_norm", (), "arXiv:1712.05877", "nothing", _MATRICES, fold_batch_norm),
    Method("equalize", ("cle", "dfq"), "arXiv:1906.04721", "nothing", _MATRICES, equalize),
)


def find(table: tuple[Method[Run], ...], name: str) -> Method[Run]:
    """Returns a method by name or alias.

    Raises:
        PlanError: lists the names that exist.
    """
    for method in table:
        if name == method.name or name in method.aliases:
            return method
    names = ", ".join(method.name for method in table)
    raise PlanError(f"unknown method {name!r}; the methods are: {names}")


def fitting(table: tuple[Method[Run], ...], name: str, kind: Kind) -> Method[Run]:
    """Returns a method by name or alias, or the one that takes its place for a kind of layer.

    Raises:
        PlanError: there is no method of that name.
    """
    method = find(table, name)
    return method if kind in method.kinds else fitting(table, method.fallback, kind)
