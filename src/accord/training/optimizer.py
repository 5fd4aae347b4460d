"""AdamW over the model and, where the balancer learns its weights, over the balancer too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from accord.balancer import Balancer
from accord.errors import RunError
from accord.sharing.categorical import CategoricalEmbedding
from accord.sharing.text import TextEmbedding
from accord.training.spec import TrainingSpec

# Log-variances and the like have one scalar per task and few thousand steps to move by about one.
BALANCER_RATE = 10.0
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag, CategoricalEmbedding, TextEmbedding)


@dataclass
class Group:
    """Parameters with one rate and one decay, and AdamW's state for each of them."""

    parameters: list[nn.Parameter]
    rate: float
    decay: float
    means: list[Tensor] = field(init=False)
    squares: list[Tensor] = field(init=False)
    steps: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.means = [torch.zeros_like(p, requires_grad=False) for p in self.parameters]
        self.squares = [torch.zeros_like(p, requires_grad=False) for p in self.parameters]
        self.steps = [torch.zeros((), device=p.device) for p in self.parameters]

    def state(self) -> dict[str, list[Tensor]]:
        """Return the state tensors."""
        return {"means": self.means, "squares": self.squares, "steps": self.steps}


class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), by PyTorch's own fused kernel.

    The same arithmetic as ``torch.optim.AdamW(fused=True)``. That class is not used because the first instance of any
    ``torch.optim`` optimiser imports PyTorch's compiler, which takes as long as importing PyTorch itself: too much
    for a command whose whole training may take seconds.

    Args:
        groups: what to optimise.
    """

    def __init__(self, groups: Iterable[Group]) -> None:
        self.groups = [group for group in groups if group.parameters]

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Move every parameter that has a gradient, at ``factor`` times its group's rate."""
        for group in self.groups:
            chosen = [i for i, p in enumerate(group.parameters) if p.grad is not None]
            if not chosen:
                continue
            adamw(
                [group.parameters[i] for i in chosen],
                [g for i in chosen if (g := group.parameters[i].grad) is not None],
                [group.means[i] for i in chosen],
                [group.squares[i] for i in chosen],
                [],
                [group.steps[i] for i in chosen],
                foreach=False,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=factor * group.rate,
                weight_decay=group.decay,
                eps=1e-8,
                maximize=False,
            )

    def zero_grad(self) -> None:
        """Forget all gradients."""
        for group in self.groups:
            for parameter in group.parameters:
                parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Return the state of all groups."""
        return {"groups": [group.state() for group in self.groups]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state that :meth:`state_dict` returned.

        Raises:
            RunError: it belongs to other parameters.
        """
        for group, saved in zip(self.groups, state["groups"], strict=True):
            for name, tensors in group.state().items():
                shapes = [t.shape for t in saved[name]]
                if shapes != [t.shape for t in tensors]:
                    raise RunError("the checkpoint's optimiser belongs to another model; start the run anew")
                for tensor, value in zip(tensors, saved[name], strict=True):
                    tensor.copy_(value)


def build_optimizer(model: nn.Module, balancer: Balancer, spec: TrainingSpec) -> AdamW:
    """Return AdamW with decay on weight matrices only, and a faster rate for what the balancer learns."""
    free = {p for module in model.modules() if isinstance(module, EMBEDDINGS) for p in module.parameters()}
    free |= {p for name, p in model.named_parameters() if p.ndim < 2 or name.rpartition(".")[2] == "bias"}
    trainable = [p for p in model.parameters() if p.requires_grad]
    rate = spec.learning_rate
    return AdamW(
        [
            Group([p for p in trainable if p not in free], rate, spec.weight_decay),
            Group([p for p in trainable if p in free], rate, 0.0),
            Group([p for p in balancer.parameters() if p.requires_grad], BALANCER_RATE * rate, 0.0),
        ]
    )


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
