"""What every test of a kind needs."""

import json

import numpy as np
import torch

from accord.tasks import Labels, TargetEncoder, Task


def fit(task: Task, numbers=None, *, weights=None, names=None):
    """Return the encoder and target of numbers, or of a list of texts (None = missing)."""
    labels = make(numbers, weights=weights, names=names)
    encoder = TargetEncoder.fit(task, labels)
    assert TargetEncoder.from_state(json.loads(json.dumps(encoder.state()))) == encoder
    return encoder, encoder.encode(labels)


def make(numbers=None, *, weights=None, names=None) -> Labels:
    weights = None if weights is None else np.array(weights, float)
    if names is None:
        return Labels(numbers=np.array(numbers, float), weights=weights)
    known = tuple(sorted({name for name in names if name is not None}))
    codes = np.array([-1 if name is None else known.index(name) for name in names], np.int32)
    return Labels(codes=codes, categories=known, weights=weights)


def start(encoder: TargetEncoder, rows: int = 1) -> np.ndarray:
    """Return the predictions for the outputs a head starts from."""
    return encoder.predict(encoder.bias().repeat(rows, 1)).numpy()


def extreme(width: int) -> torch.Tensor:
    """Return outputs as large as a diverging head gives them, in every combination of sign with their neighbours."""
    sizes = torch.tensor([0.0, 1e-20, 30.0, 1e4, -1e4, 1e12, -1e12])
    return torch.stack([torch.roll(sizes, k) for k in range(len(sizes))]).repeat(1, width)[:, :width]


def assert_gradient(encoder: TargetEncoder, values: torch.Tensor) -> None:
    """Check the loss's gradient against finite differences at random outputs."""
    outputs = torch.randn(len(values), encoder.width, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    outputs.requires_grad_()
    values = values.double() if values.is_floating_point() else values
    assert torch.autograd.gradcheck(lambda o: encoder.row_loss(o, values), (outputs,))
