"""Learn something new along a step that keeps what is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch.func import functional_call

from accord.errors import ConfigurationError, suggest
from accord.method import Method

Order = Literal["exact", "expansion", "first"]
Loss = Callable[[Callable[..., Any]], Tensor]


class RetainWhileAcquiring:
    """Minimise what is to be retained not only here but also one step of acquisition further on.

    With the loss ``A`` of what is acquired (a new batch) and ``R`` of what is retained (a batch from memory), the
    objective is ``A(theta) + R(theta) + R(theta - rate grad A(theta))``. To first order the last term is
    ``R - rate <grad A, grad R>``: it brings the two gradients into one direction. The result is the tensor
    ``[A, R + R(ahead)]``, whose sum is the objective and whose parts any balancer may weigh::

        rule = RetainWhileAcquiring(rate=0.1)
        losses = rule(student, lambda net: loss(net(new)), lambda net: loss(net(memory)))
        losses.sum().backward()  # or accord.backward(losses, shared=student.parameters(), balancer=...)

    Cost: ``"exact"`` and ``"expansion"`` differentiate twice, some four plain steps; ``"first"`` some three.

    Args:
        rate: length of the step ahead, above 0, in units of the gradient; the optimiser's learning rate is a start.
        order: ``"exact"``, the objective above, second derivatives included; ``"expansion"``, its first-order expansion
            in ``rate``, which evaluates no stepped model (for modules that cannot be called with other weights);
            ``"first"``, the value of ``"exact"`` with the gradient of ``R(ahead)`` taken where it is, as in
            first-order MAML, which neglects the alignment and needs no second derivatives.

    Source: Patel, Mopuri and Qiu, Learning to Retain while Acquiring: Combating Distribution-Shift in Adversarial
    Data-Free Knowledge Distillation, 2023, where acquisition is meta-train and retention meta-test. The authors' code
    takes one loss of both batches joined in place of ``A + R``, which is their mean. The default rate is ours, and so
    is ``"first"``; the paper uses the expansion for its analysis alone.
    """

    method: ClassVar[Method] = Method(
        title="Retain while acquiring",
        paper="Learning to Retain while Acquiring: Combating Distribution-Shift in Adversarial Data-Free Knowledge "
        "Distillation",
        year=2023,
        url="https://arxiv.org/abs/2302.14290",
        needs="parameters",
        cost="about 4 plain steps; 3 to first order",
        catalogue=(779,),
    )

    def __init__(self, rate: float = 0.1, order: Order = "exact") -> None:
        if not 0.0 < rate < math.inf:
            raise ConfigurationError(f"rate must be a finite number above 0, 0.1 for one; got {rate}")
        if order not in get_args(Order):
            raise ConfigurationError(
                f"RetainWhileAcquiring has no order {order!r}. {suggest(str(order), get_args(Order))}"
            )
        self.rate = rate
        self.order = order

    def __call__(self, model: nn.Module, acquire: Loss, retain: Loss | None) -> Tensor:
        """Return the losses ``[2]``, acquisition first.

        Args:
            model: whose trainable parameters the step ahead changes.
            acquire: scalar loss of what it is called with, in place of the model, on new data.
            retain: the same on remembered data; ``None`` as long as there are none, which leaves the second loss 0.
        """
        parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        acquired = acquire(model)
        if retain is None:
            return torch.stack([acquired, acquired.new_zeros(())])
        twice = self.order != "first"
        slopes = _slopes(acquired, parameters, twice)
        retained = retain(model)
        if self.order == "expansion":
            other = _slopes(retained, parameters, twice)
            common = [(slopes[name] * other[name]).sum() for name in slopes if name in other]
            ahead = retained - self.rate * sum(common, start=retained.new_zeros(()))
        else:
            moved = {name: parameters[name] - self.rate * slope for name, slope in slopes.items()}
            ahead = retain(lambda *args, **kwargs: functional_call(model, moved, args, kwargs))
        return torch.stack([acquired, retained + ahead])

    def __repr__(self) -> str:
        return f"RetainWhileAcquiring(rate={self.rate}, order={self.order!r})"


def _slopes(loss: Tensor, parameters: Mapping[str, Tensor], twice: bool) -> dict[str, Tensor]:
    found = torch.autograd.grad(
        loss, list(parameters.values()), retain_graph=True, create_graph=twice, allow_unused=True
    )
    return {name: slope for name, slope in zip(parameters, found, strict=True) if slope is not None}
