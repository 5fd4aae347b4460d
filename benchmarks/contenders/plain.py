"""No library: the same network in plain PyTorch, written for speed. What a library's loop can be measured against.

What makes it fast on a CPU: whole batches are gathered from matrices in memory; all columns share one embedding table,
whose gradient is one sparse-times-dense product; all experts and gates are one matrix product; the activations are kept
feature-major, so that softmax and mixing run over contiguous rows; one fused optimiser step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import census
import numpy as np
import torch
from scipy.sparse import csc_array
from torch import Tensor, nn

from contenders.contract import EMBEDDING, EXPERT_WIDTH, EXPERTS, LEARNING_RATE, TOWER_WIDTH, Contender, Laps, Settings

TASKS = 2


class Lookup(torch.autograd.Function):
    """Rows ``codes [B, C]`` of a table ``[V, E]`` as ``[B, C * E]``."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, codes: Tensor) -> Tensor:
        ctx.codes, ctx.size = codes, table.shape
        return table.index_select(0, codes.flatten()).view(len(codes), -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        rows, width = ctx.size
        codes = ctx.codes.flatten().numpy()
        ones, starts = np.ones(len(codes), np.float32), np.arange(len(codes) + 1, dtype=np.int32)
        one_hot = csc_array((ones, codes, starts), shape=(rows, len(codes)))
        return torch.from_numpy(one_hot @ gradients[0].reshape(len(codes), width).numpy()), None


def _uniform(*shape: int, fan_in: int) -> nn.Parameter:
    return nn.Parameter((torch.rand(*shape) * 2 - 1) / fan_in**0.5)


class MMoE(nn.Module):
    """Logits ``[2, B]`` from codes ``[B, C]`` and numbers ``[B, n]``."""

    def __init__(self, values: int, columns: int, numbers: int) -> None:
        super().__init__()
        width = columns * EMBEDDING + numbers
        self.table = nn.Parameter(torch.randn(values, EMBEDDING) * 0.05)
        self.split = [EXPERTS * EXPERT_WIDTH, TASKS * EXPERTS]
        self.weight = _uniform(sum(self.split), width, fan_in=width)
        self.bias = _uniform(sum(self.split), 1, fan_in=width)
        self.tower = _uniform(TASKS, TOWER_WIDTH, EXPERT_WIDTH, fan_in=EXPERT_WIDTH)
        self.tower_bias = nn.Parameter(torch.zeros(TASKS, TOWER_WIDTH, 1))
        self.head = _uniform(TASKS, 1, TOWER_WIDTH, fan_in=TOWER_WIDTH)
        self.head_bias = nn.Parameter(torch.zeros(TASKS, 1, 1))

    def forward(self, codes: Tensor, numbers: Tensor) -> Tensor:
        rows = len(codes)
        inputs = torch.cat([Lookup.apply(self.table, codes), numbers], dim=1)  # type: ignore[arg-type]
        experts, gates = torch.addmm(self.bias, self.weight, inputs.t()).split(self.split)
        experts = experts.relu().view(1, EXPERTS, EXPERT_WIDTH, rows)
        gates = gates.view(TASKS, EXPERTS, 1, rows).softmax(dim=1)
        mixed = (gates * experts).sum(dim=1)
        hidden = torch.baddbmm(self.tower_bias, self.tower, mixed).relu()
        return torch.baddbmm(self.head_bias, self.head, hidden).view(TASKS, rows)


class Plain(Contender):
    """See the module."""

    name = "plain PyTorch"
    distribution = "torch"

    def prepare(self, table: Path) -> None:
        import pandas as pd

        frame = pd.read_parquet(table)
        part = frame.pop(census.PART).to_numpy()
        parts = [frame.loc[part == name, :] for name in ("train", "test")]
        self.labels = torch.from_numpy(census.labels(parts[0]))
        numbers = [torch.from_numpy(rows[list(census.NUMERIC)].to_numpy(np.float32)) for rows in parts]
        std, mean = torch.std_mean(numbers[0], dim=0)
        self.numbers = [(rows - mean) / std for rows in numbers]
        self.columns = [name for name in frame if name not in {*census.TARGETS, *census.NUMERIC}]
        codes, offset = [], 0
        for name in self.columns:
            values = pd.Index(parts[0][name].dropna().to_numpy()).unique()
            found = [values.get_indexer(rows[name].to_numpy()) for rows in parts]  # -1 where missing or unseen
            codes.append([part + offset + 1 for part in found])
            offset += len(values) + 1
        self.codes = [torch.from_numpy(np.stack(part, axis=1).astype(np.int32)) for part in zip(*codes, strict=True)]
        self.values = offset

    def train(self, settings: Settings, laps: Laps) -> None:
        torch.manual_seed(settings.seed)
        model = self.model = MMoE(self.values, len(self.columns), len(census.NUMERIC))
        optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=1e-5, fused=True)
        for _ in range(settings.epochs):
            laps.begin()
            for rows in torch.randperm(len(self.labels)).split(settings.batch):
                logits = model(self.codes[0].index_select(0, rows), self.numbers[0].index_select(0, rows))
                nn.functional.binary_cross_entropy_with_logits(logits, self.labels.index_select(0, rows).t()).backward()
                optimizer.step()
                optimizer.zero_grad()
            laps.end()

    @torch.no_grad()
    def predict(self) -> np.ndarray:
        return self.model(self.codes[1], self.numbers[1]).sigmoid().t().numpy()
