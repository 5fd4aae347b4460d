"""Convolutions whose samples belong to different tasks."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor
from torch.autograd.graph import Node
from torch.nn import functional

from accord.engines._costs import cheapest
from accord.engines._layers import Product, scaled_rows
from accord.engines._pages import rows_apart
from accord.engines._samples import Rows

# Places of the output below which, and tasks above which, kernels for many groups are slower than patches.
_PLACES, _TASKS = 64, 4
# Numbers in patches that are formed at a time, so that they stay in the processor's cache.
_CACHED = 2**18


class Convolution(Product):
    """The weight of a convolution of any dimension, stride, dilation and number of groups, transposed ones included.

    Between samples, and between many tasks of equally many small ones, its input is laid out as patches, one row per
    place of the output; otherwise the gradients are the library's own: of one convolution with T times as many groups,
    whose channels are those of all tasks, where tasks have equally many samples, and of one per task where they do not.

    Args:
        node: what autograd recorded.
        gradient: ``[N, out, ...]`` of its output.
        tasks: the tasks of the N samples.
        room: whether T gradients may be kept.
    """

    def __init__(self, node: Node, gradient: Tensor, tasks: Rows, room: bool) -> None:
        weight = node._saved_weight  # pyright: ignore[reportAttributeAccessIssue]
        self.node, self.gradient, self.samples, self.shape = node, gradient, tasks, weight.shape
        self.plain = not node._saved_transposed and node._saved_groups == 1  # pyright: ignore
        places = prod(gradient.shape[2:])
        rows, inner = len(gradient) * places, weight.numel() // gradient.shape[1]
        way = cheapest(rows, inner, gradient.shape[1], len(tasks.sizes), by_samples=self.plain, room=room)
        super().__init__(tasks.finer(places) if way == "samples" else tasks, way)
        small = tasks.alike and places < _PLACES and len(tasks.sizes) > _TASKS
        self.patched = self.plain and (small or (tasks.even == 1 and gradient.device.type != "cpu"))

    def rows(self) -> Tensor:
        if self.patched:
            return self._by_patches()
        inputs, count = self.node._saved_input, len(self.samples.sizes)  # pyright: ignore[reportAttributeAccessIssue]
        if self.samples.alike and inputs.device.type == "cpu":
            channels = [self.samples.abreast(side).flatten(1, 2) for side in (inputs, self.gradient)]
            return self._weight(*channels, times=count).view(count, -1)
        found = rows_apart(count, self.shape.numel(), inputs.dtype, inputs.device).view(-1, *self.shape)
        pieces = zip(found, self.samples.pieces(inputs), self.samples.pieces(self.gradient), strict=True)
        for out, mine, gradient in pieces:
            out.copy_(self._weight(mine, gradient)) if len(mine) else out.zero_()
        return found.flatten(1)

    def arranged(self, rows: Tensor) -> Tensor:
        # By patches the kernel's places come first, then the channels of the input and of the output.
        split = (*self.shape[2:], self.shape[1], self.shape[0])
        return rows.unflatten(1, split).movedim((-1, -2), (1, 2)).flatten(1) if self.patched else rows

    def descend(self, scale: Tensor) -> Tensor:
        by_sample = scale.view(len(self.gradient), -1)[:, 0]
        scaled = scaled_rows(self.gradient, by_sample.view(-1, *(1 for _ in self.gradient.shape[1:])))
        return self._weight(self.node._saved_input, scaled).reshape(-1)  # pyright: ignore

    def sides(self) -> tuple[Tensor, Tensor]:
        patches, gradient = self._patches(self.node._saved_input), self.gradient.movedim(1, -1)  # pyright: ignore
        return patches.flatten(0, 1), gradient.reshape(-1, gradient.shape[-1])

    def _by_patches(self) -> Tensor:
        # [T, N / T, ...], of the gradient [T, places of all its samples, out]
        read, gradient = self.node._saved_input, self.gradient  # pyright: ignore[reportAttributeAccessIssue]
        inputs, gradient = (self.samples.abreast(side).transpose(0, 1) for side in (read, gradient.flatten(2)))
        gradient = gradient.transpose(2, 3).flatten(1, 2)
        count, places, outer = gradient.shape
        inner = self.shape[1:].numel()
        found = rows_apart(count, inner * outer, gradient.dtype, gradient.device).view(count, inner, outer)
        step = max(1, _CACHED // (inner * places))
        for start in range(0, count, step):
            part = slice(start, start + step)
            patches = self._patches(inputs[part].flatten(0, 1)).view(-1, places, inner)
            torch.bmm(patches.mT, gradient[part], out=found[part])
        return found.flatten(1)

    def _patches(self, inputs: Tensor) -> Tensor:
        """Return ``[N, places, kernel x in]``, with the channels of a place of the kernel side by side."""
        node = self.node
        padding, stride, dilation = (node._saved_padding, node._saved_stride, node._saved_dilation)  # pyright: ignore
        pads = [pad for size in reversed(padding) for pad in (size, size)]
        image = functional.pad(inputs.movedim(1, -1), (0, 0, *pads))
        for axis, (size, step, gap) in enumerate(zip(self.shape[2:], stride, dilation, strict=True), start=1):
            image = image.unfold(axis, gap * (size - 1) + 1, step)[..., ::gap]
        # Now [N, places..., in, kernel...].
        channels = 1 + len(padding)
        return image.movedim(channels, -1).flatten(channels).flatten(1, -2)

    def _weight(self, inputs: Tensor, gradient: Tensor, times: int = 1) -> Tensor:
        found = differentiate(self.node, inputs, gradient, [False, True, False], times)[1]
        assert found is not None
        return found


def differentiate(
    node: Node, inputs: Tensor, gradient: Tensor, wanted: list[bool], times: int = 1
) -> tuple[Tensor | None, ...]:
    """Return the gradients of input, weight and bias of the convolution ``node``, those that are ``wanted``.

    Args:
        node: what autograd recorded.
        inputs: what it read.
        gradient: of what it gave.
        wanted: which of the three.
        times: as many such convolutions side by side, each on channels of its own; then of the weights alone.
    """
    weight = node._saved_weight  # pyright: ignore
    return torch.ops.aten.convolution_backward(
        gradient,
        inputs,
        weight if times == 1 else weight.new_empty(times * len(weight), *weight.shape[1:]),
        node._saved_bias_sym_sizes_opt,  # pyright: ignore
        node._saved_stride,  # pyright: ignore
        node._saved_padding,  # pyright: ignore
        node._saved_dilation,  # pyright: ignore
        node._saved_transposed,  # pyright: ignore
        node._saved_output_padding,  # pyright: ignore
        node._saved_groups * times,  # pyright: ignore
        wanted,
    )
