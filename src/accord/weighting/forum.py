"""FORUM: validation losses go down together while the training loss stays near its minimum for the weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError
from accord.linalg.guarded_descent import guarded_weights
from accord.method import Method
from accord.weighting.adam import adam
from accord.weighting.look_ahead import Closure, LooksAhead, combined, moved, rows, trainable, values
from accord.weighting.share import check_tasks, share


class FORUM(DirectWeighting, LooksAhead):
    """Descend all validation losses at once, subject to the weighted training loss closing in on its own minimum.

    The lower problem is ``f(a, theta) = sum_i softmax(a)_i L_i`` on training data, and ``q = f(a, theta) - f(a,
    theta_N)`` how far a few steps of descent from here would still take it. With the validation gradients brought to
    unit length, ``g_i``, the direction is ``sum_i l_i g_i + n grad q``, where ``l`` is on the simplex and ``n = max(0,
    phi - sum_i l_i g_i @ grad q / |grad q|^2)``, the longest common descent that also lowers q by ``phi |grad q|^2``.
    ``a`` descends ``n dq/da`` by Adam. All of it is of first order.

    :meth:`update` finds ``l`` (averaged over steps), ``n`` and ``a``. The step that follows is one weighted loss over
    both levels: hand :func:`accord.backward` the 2 T losses of the validation batch, then the training batch, or the T
    losses of one batch, which then stands for both.

    Shapes: losses ``[T]`` or ``[2T]`` -> weights, not negative, summing to 1. Cost: one backward, and T + inner + 1
    backwards and T P numbers per update.

    Args:
        phi: how firmly q is brought down, above 0.
        lr: learning rate of ``a``.
        inner: N, steps of descent towards the minimum of the training loss.

    Source: Ye et al., A First-Order Multi-Gradient Algorithm for Multi-Objective Bi-Level Optimization, 2024 (phi 0.1,
    inner 5 at rate 0.1, averaging by ``k^(-3/4)`` of the k-th update; Adam at 1e-3). The authors' code counts epochs
    there, and its quadratic program asks for twice the multiplier's price that its own ``n`` belongs to; here both are
    of one problem, solved exactly. Its direction has about unit length whatever the losses; here the weights sum to 1.
    Without :meth:`update` this is plain averaging.
    """

    method: ClassVar[Method] = Method(
        title="FORUM",
        paper="A First-Order Multi-Gradient Algorithm for Multi-Objective Bi-Level Optimization",
        year=2024,
        url="https://arxiv.org/abs/2401.09257",
        needs="losses",
        cost="(T + 7) backwards",
        catalogue=(442,),
    )
    logits: Tensor
    moments: Tensor
    updates: Tensor
    multipliers: Tensor
    levels: Tensor

    def __init__(self, phi: float = 0.1, lr: float = 1e-3, inner: int = 5) -> None:
        super().__init__()
        if not 0.0 < phi < math.inf:
            raise ConfigurationError(f"phi must be a finite number above 0; got {phi}")
        if not 0.0 < lr < math.inf:
            raise ConfigurationError(f"lr must be a finite number above 0; got {lr}")
        if inner < 1:
            raise ConfigurationError(f"inner must be at least 1 step; got {inner}")
        self.phi = phi
        self.lr = lr
        self.inner = inner
        self.register_buffer("logits", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("moments", torch.zeros(2, 0, dtype=torch.float64))
        self.register_buffer("updates", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("multipliers", torch.zeros(0, dtype=torch.float64))
        # Weights of the validation and of the training losses.
        self.register_buffer("levels", torch.zeros(2, 0, dtype=torch.float64))

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        tasks = len(self.logits)
        if not tasks:
            return share(torch.ones_like(losses, dtype=torch.float64), losses, active)
        if len(losses) == 2 * tasks:
            return share(self.levels.flatten(), losses, active)
        check_tasks(tasks, losses, "FORUM")
        return share(self.levels.sum(dim=0), losses, active)

    def update(self, parameters: Iterable[Tensor], *, train: Closure, validation: Closure, step: float) -> None:
        leaves = trainable(parameters)
        losses = train()
        now = values(losses)
        if not self.logits.numel():
            self._begin(len(now))
        weights = self._softmax(now)
        lower = combined(losses, weights, leaves)
        left = self._descended(leaves, train, weights, step)
        seen = now.isfinite() & left.isfinite()
        fall = torch.where(seen, now - left, 0.0)
        slope = weights * (fall - weights @ fall)  # of q in the logits, through softmax
        upper = rows(validation(), leaves)
        guard = self._combine(upper, lower, float(slope @ slope), weights)
        mask = seen.to(self.logits.device)
        if bool(mask.any()):
            pull = (guard * slope).to(self.logits)[mask]
            self.logits[mask] -= self.lr * adam(pull, mask, self.moments, self.updates)

    def _begin(self, tasks: int) -> None:
        self.logits, self.updates = (self.logits.new_zeros(tasks) for _ in range(2))
        self.moments = self.moments.new_zeros(2, tasks)
        self.multipliers = self.multipliers.new_full((tasks,), 1.0 / tasks)
        self.levels = self.levels.new_full((2, tasks), 1.0)

    def _softmax(self, losses: Tensor) -> Tensor:
        known = losses.isfinite()
        scores = torch.where(known, self.logits.cpu(), -math.inf)
        return torch.softmax(scores, dim=0) if bool(known.any()) else torch.zeros_like(losses)

    def _descended(self, leaves: Sequence[Tensor], train: Closure, weights: Tensor, step: float) -> Tensor:
        """Return the training losses ``[T]`` after the inner steps; the parameters stay as they are."""
        path = torch.zeros_like(torch.cat([leaf.detach().reshape(-1) for leaf in leaves]))
        for _ in range(self.inner):
            with moved(leaves, path, step):
                path = path + combined(train(), weights, leaves)
        with moved(leaves, path, step), torch.no_grad():
            return values(train())

    def _combine(self, upper: Tensor, lower: Tensor, square: float, weights: Tensor) -> float:
        """Set both levels' weights from their gradients; return the multiplier ``n`` of q.

        Args:
            upper: ``[T, P]`` gradients of the validation losses.
            lower: ``[P]`` gradient of the weighted training loss.
            square: squared length of q's gradient in the logits.
            weights: ``[T]`` of the training loss.
        """
        lengths = upper.norm(dim=1).double().cpu()
        known = (lengths > 0).nonzero().squeeze(1)
        if not len(known):
            return 0.0
        stacked = torch.cat([upper[known] / upper[known].norm(dim=1, keepdim=True), lower[None].to(upper)]).double()
        gramian = (stacked @ stacked.T).cpu().numpy()
        gramian[-1, -1] += square
        rate = float(self.updates.max() + 1) ** -0.75
        shares = self.multipliers.cpu()[known]
        shares += rate * (torch.from_numpy(guarded_weights(gramian, self.phi))[:-1] - shares)
        self.multipliers[known.to(self.multipliers.device)] = shares.to(self.multipliers)  # the others wait
        along = torch.from_numpy(gramian[-1, :-1])
        guard = (
            max(self.phi * float(shares.sum()) - float(shares @ along) / gramian[-1, -1], 0.0)
            if gramian[-1, -1]
            else 0.0
        )
        scaled = torch.where(lengths > 0, self.multipliers.cpu() / lengths, 0.0)
        self.levels = torch.stack([scaled, guard * weights]).to(self.levels)
        return guard

    def extra_repr(self) -> str:
        return f"phi={self.phi}, lr={self.lr}, inner={self.inner}"
