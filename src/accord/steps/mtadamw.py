"""AdamW for one task at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from accord.engines._shards import is_sharded
from accord.errors import ConfigurationError, NonFiniteError, suggest
from accord.method import Method


class MTAdamW(Optimizer):
    """AdamW whose moments are those of all tasks, though every step shows it the gradient of one task only.

    Drawing one task per step (unmixed sampling) leaves it the whole batch, but then gradients of very different size
    follow each other. For task ``k``, drawn with probability ``s_k``, the gradient is brought to the length ``w_k`` and
    counts ``1 / s_k`` times in both moments: ``g = w_k grad / |grad|``, ``m = b_1 m + (1 - b_1) / s_k g``,
    ``n = b_2 n + (1 - b_2) / s_k g^2``, so that in expectation they are sums over tasks, however rarely one is drawn.
    Bias correction, weight decay and step are those of AdamW::

        optimiser = MTAdamW(model.parameters(), ratios={"caption": 0.7, "detect": 0.3})
        task = random.choices(list(optimiser.ratios), list(optimiser.ratios.values()))[0]
        optimiser.zero_grad()
        loss_of[task](model).backward()
        optimiser.step(task=task)

    The length is taken over all parameters. A parameter without ``.grad`` counts as one with gradient 0 if it has had
    one before, as the heads of the tasks that are not drawn: the factor ``1 / s_k`` makes up for these steps. A
    gradient of 0 stays 0. Learning rates are AdamW's, whatever the losses' units.

    Several processes with a replica each, DistributedDataParallel's, all draw the same task in a step, from generators
    of one seed: ``.grad`` is then that task's mean over processes, and replicas stay alike. Shards of ``fully_shard``
    are refused.

    Cost: that of AdamW, and the length, O(P).

    Args:
        params: parameters or groups of them.
        ratios: sampling ratio ``s_k`` per task, above 0; brought to sum 1.
        weights: balance coefficients ``w_k`` of the tasks, above 0; 1 where none is given.
        lr: learning rate.
        betas: decays of both moments, each in [0, 1).
        eps: added to the root of the second moment.
        weight_decay: decoupled, 0 or more.

    Source: Li et al., Uni-Perceiver v2: A Generalist Model for Large-Scale Vision and Vision-Language Tasks, 2023. The
    rule is called MT-AdamW in the preprint, and task-balanced gradient normalisation in print. Other defaults are
    AdamW's.
    """

    method: ClassVar[Method] = Method(
        title="MT-AdamW",
        paper="Uni-Perceiver v2: A Generalist Model for Large-Scale Vision and Vision-Language Tasks",
        year=2023,
        url="https://arxiv.org/abs/2211.09808",
        needs="parameters",
        cost="1 backward, of one task",
        catalogue=(257,),
    )

    def __init__(
        self,
        params: Iterable[Any],
        ratios: Mapping[str, float],
        weights: Mapping[str, float] | None = None,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        _check("ratios", ratios)
        _check("weights", weights or {"any": 1.0})
        for name in weights or {}:
            if name not in ratios:
                raise ConfigurationError(f"weights names the task {name!r}, which is unknown. {suggest(name, ratios)}")
        for name, value, low in (("lr", lr, 0.0), ("eps", eps, 0.0), ("weight_decay", weight_decay, 0.0)):
            if not low <= value < math.inf:
                raise ConfigurationError(f"{name} must be a finite number of at least 0; got {value}")
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise ConfigurationError(f"betas must both lie in [0, 1), (0.9, 0.999) for one; got {betas}")
        total = sum(ratios.values())
        self.ratios = {name: ratio / total for name, ratio in ratios.items()}
        self.weights = {name: (weights or {}).get(name, 1.0) for name in ratios}
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})
        if any(is_sharded(parameter) for group in self.param_groups for parameter in group["params"]):
            raise ConfigurationError(
                "params holds sharded parameters (DTensor), and a gradient's length is that of all its shards: use "
                "DistributedDataParallel with MTAdamW, or another optimiser with fully_shard"
            )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None, *, task: str) -> float | None:  # pyright: ignore
        """Take one step along the gradients in ``.grad``, which are those of ``task``.

        Raises:
            ConfigurationError: the task has no sampling ratio.
            NonFiniteError: its gradient is not finite; nothing has changed.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if task not in self.ratios:
            raise ConfigurationError(f"there is no sampling ratio for task {task!r}. {suggest(task, self.ratios)}")
        used = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        length = _length([p.grad for p in used])
        if not math.isfinite(length):
            raise NonFiniteError(f"the gradient of task {task!r} is not finite; skip the step, or look at its loss")
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None or self.state[parameter]:
                    self._move(parameter, group, length, task)
        return loss

    def _move(self, parameter: Tensor, group: dict[str, Any], length: float, task: str) -> None:
        state, (first, second) = self.state[parameter], group["betas"]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = (torch.zeros_like(parameter) for _ in range(2))
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        state["step"] += 1
        mean.mul_(first)
        square.mul_(second)
        if parameter.grad is not None and length > 0:
            # In two steps, for single precision has no reciprocal of the smallest lengths.
            exponent = max(math.frexp(length)[1], -120)
            gradient = torch.ldexp(parameter.grad, torch.tensor(-exponent, device=parameter.device))
            gradient = gradient * (self.weights[task] / math.ldexp(length, -exponent))
            mean.add_(gradient, alpha=(1 - first) / self.ratios[task])
            square.addcmul_(gradient, gradient, value=(1 - second) / self.ratios[task])
        number = int(state["step"])
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        root = (square / (1 - second**number)).sqrt_().add_(group["eps"])
        parameter.addcdiv_(mean, root, value=-group["lr"] / (1 - first**number))


def _length(gradients: list[Tensor]) -> float:
    """Return the length of all gradients together, in double precision, which squares of any of them fit in."""
    lengths = [torch.linalg.vector_norm(gradient, dtype=torch.float64).cpu() for gradient in gradients]
    return float(torch.stack(lengths).norm()) if lengths else 0.0


def _check(name: str, given: Mapping[str, float]) -> None:
    if not given or not all(0.0 < value < math.inf for value in given.values()):
        raise ConfigurationError(f"{name} are one finite number above 0 per task; got {dict(given)}")
