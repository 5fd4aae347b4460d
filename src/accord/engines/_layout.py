"""Follow the samples of a batch backwards through operations that keep them apart.

The layout A of a tensor of n numbers counts the places before its sample axis: in row-major order, entry i belongs to
sample ``(i // (n / (A N))) % N``. Reshaping keeps it; transposing may change it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod

from torch.autograd.graph import Node

from accord.engines._picks import signed
from accord.errors import ConfigurationError

# Not functions of one entry each, but of one sample each: masks and broadcast operands included.
ELEMENTWISE = frozenset(
    (
        *("Abs", "Add", "Alias", "Clamp", "ClampMin", "ClampMax", "Clone", "Cos", "Div", "Elu", "Erf", "Exp", "Expand"),
        *("Expm1", "Gelu", "Hardswish", "Hardtanh", "LeakyRelu", "Log", "Log1P", "LogSigmoid", "MaskedFill", "Mish"),
        *("BinaryCrossEntropy", "BinaryCrossEntropyWithLogits", "HuberLoss", "KlDiv", "Lerp", "Maximum", "Minimum"),
        "PreluKernel",
        *("MseLoss", "SmoothL1Loss", "SoftMarginLoss", "Tan", "Atan", "Sinh", "Cosh", "Log2", "Log10", "Sgn"),
        *("Mul", "NativeDropout", "Neg", "Pow", "Reciprocal", "Relu", "Rsqrt", "Rsub", "Sigmoid", "Silu", "Sin"),
        *("Softplus", "Sqrt", "Sub", "Tanh", "Threshold", "ToCopy", "Where"),
    )
)
_RESHAPING = frozenset(("View", "UnsafeView", "ReshapeAlias", "Unsqueeze", "Squeeze"))
# What takes any losses, with group= and in groups of parameters too.
INSTEAD = 'use engine="auto" or engine="loop"'
_SPATIAL = frozenset(
    (
        *("AvgPool3D", "MaxPool3DWithIndices", "ReflectionPad1D", "ReflectionPad2D", "ReplicationPad2D"),
        *("Convolution", "AvgPool2D", "AdaptiveAvgPool2D", "MkldnnAdaptiveAvgPool2D", "MaxPool2DWithIndices"),
        *("ConstantPadNd", "NativeGroupNorm", "UpsampleNearest2D", "UpsampleBilinear2D"),
    )
)
_ATTENTION = frozenset(
    f"ScaledDotProduct{way}Attention" + on for way, on in (("Flash", "ForCpu"), ("Flash", ""), ("Efficient", ""))
)
_BATCH_NORMS = frozenset(("NativeBatchNorm", "CudnnBatchNorm"))  # with frozen statistics only
_NORMS = frozenset(("NativeLayerNorm", "FusedRmsNorm"))
_SOFTMAX = frozenset(("Softmax", "SafeSoftmax", "LogSoftmax"))


def kind(node: Node) -> str:
    """Return the name of the operation that ``node`` differentiates: ``AddmmBackward0`` -> ``Addmm``."""
    return re.sub(r"Backward\d*$", "", node.name().lstrip("_"))


def trace(node: Node, layout: int, samples: int) -> list[int | None]:
    """Return the layout of each input of ``node`` given that of its output; ``None`` for parameters.

    Raises:
        ConfigurationError: the operation mixes samples, or is not known not to.
    """
    shape = tuple(node._input_metadata[0].shape)
    edges = node.next_functions
    below = [None if child is None else tuple(child._input_metadata[port].shape) for child, port in edges]
    found = sample_axis(shape, layout, samples)
    inputs = [layout] if kind(node) in _RESHAPING else None if found is None else _apart(node, *found, shape, below)
    if inputs is None:
        raise ConfigurationError(
            closed(node)
            or f"{node.name()} mixes the samples of a batch or is not known to keep them apart, so one backward cannot "
            f"tell the tasks apart below it: {INSTEAD}"
        )
    return [layout if entry == _SAME else entry for entry in inputs]


def closed(node: Node) -> str | None:
    """Return what to say of a node that stands for a whole compiled module, ``None`` of any other."""
    if "CompiledFunction" not in node.name():
        return None
    return (
        "the model, or its shared part, is compiled, and no sample can be followed through torch.compile, which "
        f'engine="grouped" has to: compile the heads alone, or {INSTEAD}'
    )


def sample_axis(shape: Sequence[int], layout: int, samples: int) -> tuple[int, int] | None:
    """Return the axis that runs over the samples and how many places precede them within it; ``None`` if none does."""
    before = 1
    for axis, size in enumerate(shape):
        if before * size >= layout * samples:
            whole = layout % before == 0 and before * size % (layout * samples) == 0
            return (axis, layout // before) if whole else None
        before *= size
    return None


_SAME = -1  # an input in the layout of the output


def _apart(
    node: Node, axis: int, lead: int, shape: tuple[int, ...], below: list[tuple[int, ...] | None]
) -> list[int | None] | None:
    """Return the layouts of the inputs of an operation that keeps samples apart, ``None`` for others."""
    name = kind(node)
    rest: list[int | None] = [None] * (len(below) - 1)
    if name in ELEMENTWISE:
        return [_SAME if _holds(part, shape, axis) else None for part in below]
    if axis == 0 and (name in _SPATIAL or name == "Mm" or (name in _BATCH_NORMS and not node._saved_training)):  # pyright: ignore
        return [_SAME, *rest]
    if axis == 0 and name == "NllLoss" and len(shape) == 1:
        return [_SAME]
    if axis == 0 and name in ("Addmm", "Bmm"):
        return [None, _SAME, None] if name == "Addmm" else [_SAME, _SAME]
    if name in _ATTENTION and axis < 2:
        return [_SAME, _SAME, _SAME, *rest[2:]]
    if name in _SOFTMAX and _axis(node._saved_dim, shape) != axis:  # pyright: ignore
        return [_SAME]
    if name in _NORMS and len(shape) - len(node._saved_normalized_shape) > axis:  # pyright: ignore
        return [_SAME, *rest]
    if name == "Embedding" and axis < len(shape) - 1:
        return [None]
    if name == "EmbeddingBag" and axis == 0:
        return [None, *rest]
    if name in ("Cat", "Stack"):
        return _joined(node, axis, lead, below)
    source = _source(node, name, axis, shape, below[0] or ())
    return None if source is None else [prod((below[0] or ())[:source]) * lead]


def _joined(node: Node, axis: int, lead: int, below: list[tuple[int, ...] | None]) -> list[int | None] | None:
    """Return the layouts of tensors that were put side by side along another axis than the samples'."""
    ndim = next(len(part) for part in below if part is not None) + (kind(node) == "Stack")
    along = _axis(node._saved_dim, range(ndim))  # pyright: ignore
    if along == axis:
        return None
    source = axis - 1 if kind(node) == "Stack" and along < axis else axis
    return [None if part is None else prod(part[:source]) * lead for part in below]


def _axis(saved: int, shape: Sequence[int]) -> int:
    return signed(saved) % len(shape)


def _holds(part: tuple[int, ...] | None, shape: tuple[int, ...], axis: int) -> bool:
    """Whether an operand has an entry per sample; one that is broadcast over them is a parameter."""
    return part is not None and len(part) == len(shape) and part[: axis + 1] == shape[: axis + 1]


def _source(node: Node, name: str, axis: int, shape: tuple[int, ...], below: tuple[int, ...]) -> int | None:
    """Return where the sample axis is in the input of an operation that reorders, drops or cuts other axes."""
    if name == "T":
        return 1 - axis if len(shape) == 2 else axis
    if name == "Transpose":
        first, second = _axis(node._saved_dim0, shape), _axis(node._saved_dim1, shape)  # pyright: ignore
        return {first: second, second: first}.get(axis, axis)
    if name == "Permute":
        return _axis(node._saved_dims[axis], shape)  # pyright: ignore
    if name == "Select":
        return axis + (_axis(node._saved_dim, below) <= axis)  # pyright: ignore
    if name == "Slice":
        return axis if _axis(node._saved_dim, below) != axis else None  # pyright: ignore
    if name in ("Split", "SplitWithSizes", "Unbind"):
        return axis if _axis(node._saved_dim, below) > axis else None  # pyright: ignore
    if name in ("Mean", "Sum") and getattr(node, "_saved_dim", None):
        dropped = {_axis(dim, below) for dim in node._saved_dim}  # pyright: ignore
        kept = [i for i in range(len(below)) if node._saved_keepdim or i not in dropped]  # pyright: ignore
        return None if kept[axis] in dropped else kept[axis]
    return None
