"""Random numbers whose place in their stream is part of a module's state."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


class Draws(nn.Module):
    """A seeded stream of generators, one per call, that ``state_dict`` resumes exactly.

    The state is two integers, the seed and the number of calls so far, and not a generator: it copies, moves between
    devices and saves like any buffer, and equal states draw alike on every process.

    Args:
        seed: 0 or more.
    """

    place: Tensor

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.register_buffer("place", torch.tensor([seed, 0], dtype=torch.int64))

    def generator(self) -> np.random.Generator:
        """Return the generator of this call and step on to the next."""
        generator = np.random.default_rng(self.place.tolist())
        self.place[1] += 1
        return generator
