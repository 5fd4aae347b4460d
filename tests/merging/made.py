"""Small checkpoints for tests, and what it takes to compare with an oracle in float64."""

from __future__ import annotations

import numpy as np
import torch

ROUNDING = {torch.bfloat16: 2.0**-8, torch.float16: 2.0**-10, torch.float32: 2.0**-23, torch.float64: 2.0**-40}


def one(*numbers, dtype=torch.float32):
    return {"w": torch.tensor(numbers, dtype=dtype)}


def siblings(seed, models, dtype=torch.float32, shapes=((7, 5), (11,), (), (0, 3)), size=0.1):
    generator = torch.Generator().manual_seed(seed)
    base = {f"t{i}": torch.randn(s, generator=generator).to(dtype) for i, s in enumerate(shapes)}
    moved = [
        {k: (v.float() + size * torch.randn(v.shape, generator=generator)).to(dtype) for k, v in base.items()}
        for _ in range(models)
    ]
    return base, moved


def array(tensor):
    return tensor.double().numpy()


def close(merged, expected, dtype, slack=4.0):
    """Equal up to the rounding of the result's type, and a little of the numbers that cancel out."""
    got = array(merged)
    scale = max(1e-30, float(np.abs(expected).max(initial=0.0)))
    step = ROUNDING[dtype]
    np.testing.assert_allclose(got, expected, rtol=slack * step, atol=slack * step * 1e-2 * scale)
