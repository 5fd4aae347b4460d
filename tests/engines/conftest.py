"""Every test of this room draws the same numbers each time it runs, whatever ran before it."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Seed PyTorch's generator for one test, and put it back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
