"""The same with Hugging Face Accelerate, gradient accumulation included. Needs: pip install accelerate.

python examples/integrations/with_accelerate.py
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from plain_loop import Model, data, errors
from torch.utils.data import DataLoader

import accord

ACCUMULATE = 2


def main() -> None:
    """Train for some epochs and print the losses before and after."""
    set_seed(0)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=ACCUMULATE)
    balancer = accord.aggregation.UPGrad()
    model = Model()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    loader = DataLoader(data(), batch_size=16, shuffle=True)
    model, optimiser, loader = accelerator.prepare(model, optimiser, loader)
    shared = list(accelerator.unwrap_model(model).trunk.parameters())
    print(errors(model))
    for _ in range(10):
        for features, targets in loader:
            with accelerator.accumulate(model):
                losses = {name: loss / ACCUMULATE for name, loss in model(features, targets).items()}
                # In place of accelerator.backward(loss); the scaler is there under mixed_precision="fp16" only.
                accord.backward(losses, shared, balancer, scaler=accelerator.scaler)
                optimiser.step()
                optimiser.zero_grad()
    print(errors(model))


if __name__ == "__main__":
    main()
