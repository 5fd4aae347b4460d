"""What models have to do with each other and with their merge, whatever made it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from accord.errors import ConfigurationError, DataError
from accord.merging.align import align
from accord.merging.contributions import Contribution, contributions, together
from accord.merging.entry import Rules
from accord.merging.linear import Linear
from accord.merging.merge_files import Source
from accord.merging.open_checkpoint import open_checkpoint
from accord.merging.task_arithmetic import TaskArithmetic

# Directions that carry less than this share of the strongest do not tell coefficients apart.
ALIKE = 1e-10


@dataclass(frozen=True, eq=False)
class Analysis:
    """Models and their merge, compared.

    Attributes:
        tensors: each tensor by itself: lengths, cosines and conflicts of the changes, and what the merge made of them.
        whole: all tensors together.
    """

    tensors: dict[str, Contribution]
    whole: Contribution


def analyse(
    base: Source | nn.Module | None,
    models: Mapping[str, Source | nn.Module],
    merged: Source | nn.Module,
    *,
    rules: Rules | None = None,
    threads: int | None = None,
) -> Analysis:
    """Compare models with each other and with their merge, block by block.

    Args:
        base: path, tensors or module of what the models were fine-tuned from; ``None`` measures changes from their
            mean.
        models: paths, tensors or modules by the names they are to have.
        merged: the merge, by any method or tool.
        rules: what to do about tensors that do not match.
        threads: at most; one per core when left out.

    Raises:
        ConfigurationError: there is no model.
        DataError: the checkpoints do not fit each other, or the merge lacks a tensor or has it in another shape.
    """
    if not models:
        raise ConfigurationError("there is no model to analyse; give a mapping from names to models")
    origin = None if base is None else _opened(base)
    method = Linear() if origin is None else TaskArithmetic()
    entries = align(method, origin, [_opened(model) for model in models.values()], rules or Rules())
    result = _opened(merged)
    for entry in entries:
        if entry.name not in result or tuple(result[entry.name].shape) != entry.shape:
            found = list(result[entry.name].shape) if entry.name in result else "missing"
            raise DataError(f"{entry.name} is {list(entry.shape)} in the models and {found} in the merge")
    names = {entry.name: tuple(models) for entry in entries}
    tensors = contributions(entries, names, result, threads=threads or os.cpu_count() or 1)
    if not tensors:
        raise DataError("these checkpoints have no tensor that can be merged")
    return Analysis(tensors, together(list(tensors.values())))


def nearest_sum(contribution: Contribution) -> tuple[npt.NDArray[np.float64], float]:
    """Return the weighted sum of the changes that comes nearest to the merged one.

    Returns:
        Its coefficients ``[n]``, the smallest where several are as good, and the share of the merged change's square
        that it explains, between 0 and 1; NaN for a merge that changed nothing.
    """
    coefficients = np.linalg.pinv(contribution.gramian, rcond=ALIKE, hermitian=True) @ contribution.onto
    explained = float(coefficients @ contribution.onto)
    share = explained / contribution.merged if contribution.merged else float("nan")
    return coefficients, min(max(share, 0.0), 1.0) if contribution.merged else share


def _opened(source: Source | nn.Module) -> Mapping[str, Tensor]:
    if isinstance(source, nn.Module):
        return source.state_dict()
    return open_checkpoint(source) if isinstance(source, str | Path) else source
