"""AdamW over the model and, where the balancer learns its weights, over the balancer too."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from accord.balancer import Balancer
from accord.training.spec import TrainingSpec

# Log-variances and the like have one scalar per task and few thousand steps to move by about one.
BALANCER_RATE = 10.0


def build_optimizer(model: nn.Module, balancer: Balancer, spec: TrainingSpec) -> torch.optim.AdamW:
    """Return AdamW with decay on weight matrices only; every group keeps its peak rate in ``peak``."""
    decayed, plain = _partition(model)
    groups = [
        {"params": decayed, "weight_decay": spec.weight_decay, "peak": spec.learning_rate},
        {"params": plain, "weight_decay": 0.0, "peak": spec.learning_rate},
        {
            "params": [p for p in balancer.parameters() if p.requires_grad],
            "weight_decay": 0.0,
            "peak": BALANCER_RATE * spec.learning_rate,
        },
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=spec.learning_rate, fused=True)


def _partition(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    seen: set[nn.Parameter] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and parameter not in seen:
                seen.add(parameter)
                free = isinstance(module, (nn.Embedding, nn.EmbeddingBag)) or parameter.ndim < 2 or "bias" in name
                (plain if free else decayed).append(parameter)
    return decayed, plain


def clip_gradients(model: nn.Module, max_norm: float) -> bool:
    """Scale the gradient to ``max_norm`` at most (0: leave it) and say whether it is finite.

    A gradient that is not finite would spread to every parameter through the common factor, so it is not applied.
    """
    parameters = [p for p in model.parameters() if p.grad is not None]
    gradients: list[Tensor] = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return False
    norm = torch.nn.utils.get_total_norm(gradients)
    if not torch.isfinite(norm):
        return False
    if max_norm:
        torch.nn.utils.clip_grads_with_norm_(parameters, max_norm, norm)
    return True
