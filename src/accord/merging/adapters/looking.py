"""What each adapter brought to a merge of adapters: their changes multiplied out and compared, block by block."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from accord.errors import DataError
from accord.merging.adapters.dense import ProductTensor, entries_of, threads_of
from accord.merging.adapters.merge_adapters import modules_of
from accord.merging.adapters.open_adapter import Adapter
from accord.merging.adapters.products import shape_of
from accord.merging.contributions import Contribution, contributions
from accord.merging.lazy import as_tensor
from accord.merging.progress import Progress
from accord.merging.task_arithmetic import TaskArithmetic

# Whatever merged them: changes are measured from none at all, and worked out in float32.
METHOD = TaskArithmetic()
PRECISION = torch.bfloat16


def brought(
    adapters: Sequence[Adapter], merged: Adapter, names: tuple[str, ...], *, progress: Progress | None = None
) -> dict[str, Contribution]:
    """Return what each adapter brought to the weight of each module that any of them changes.

    The merged change is the one that is stored, at its rank and in its type. There is no base to measure by, so that
    ``base`` is 0 and ``moved`` not a number. Cost: ``2 r`` operations per number and adapter of rank ``r``, in float32;
    blocks are added up in float64.

    Args:
        adapters: the inputs.
        merged: the result.
        names: of the inputs, in the same order, all different.
        progress: told of every module.

    Raises:
        DataError: the result lacks a module, or has it in another shape.
    """
    modules = modules_of(adapters)
    products = {f"{m}.weight": as_tensor(_product(merged, m, shape_of(parts))) for m, parts in modules.items()}
    entries = entries_of(METHOD, modules, PRECISION)
    told = {entry.name: names for entry in entries}
    return contributions(entries, told, products, threads=threads_of(METHOD), progress=progress)


def _product(merged: Adapter, module: str, shape: tuple[int, int]) -> ProductTensor:
    factors = merged.modules.get(module)
    if factors is None:
        raise DataError(f"{merged.label} does not change {module}, which its inputs do: merge again")
    if (found := shape_of([factors])) != shape:
        raise DataError(
            f"{merged.label} changes {module} by {list(found)}, and its inputs by {list(shape)}: merge again"
        )
    return ProductTensor(shape, factors, PRECISION)
