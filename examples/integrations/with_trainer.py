"""The same in the Trainer of Hugging Face Transformers. Needs: pip install transformers accelerate.

python examples/integrations/with_trainer.py
"""

from __future__ import annotations

import tempfile
from typing import Any

import torch
import transformers
from plain_loop import Model, data, errors
from torch import nn

import accord


class Balanced(nn.Module):
    """The model with its balancer: a Trainer saves, loads and optimises what it finds in the model."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.balancer = accord.weighting.Uncertainty(tasks=2)

    def forward(self, features: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the losses by task."""
        return self.model(features, targets)


class BalancedTrainer(transformers.Trainer):
    """A Trainer whose step balances the losses that the model returns."""

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *_: Any) -> torch.Tensor:
        """Take one step and return the mean loss, which is logged."""
        model.train()
        with self.compute_loss_context_manager():
            losses = model(**self._prepare_inputs(inputs))
        inner = self.accelerator.unwrap_model(model)
        # In place of self.accelerator.backward(loss); the scaler is there under fp16=True only.
        accord.backward(losses, list(inner.model.trunk.parameters()), inner.balancer, scaler=self.accelerator.scaler)
        # Divided as the Trainer's own method does, which adds up what it logs over micro-batches.
        return torch.stack(list(losses.values())).mean().detach() / self.current_gradient_accumulation_steps


def main() -> None:
    """Train for some epochs and print the losses before and after."""
    transformers.set_seed(0)
    model = Balanced()
    examples = [{"features": features, "targets": targets} for features, targets in data()]
    print(errors(model))
    with tempfile.TemporaryDirectory() as folder:
        options = transformers.TrainingArguments(
            output_dir=folder,
            num_train_epochs=10,
            per_device_train_batch_size=32,
            learning_rate=3e-3,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        )
        BalancedTrainer(model, options, train_dataset=examples).train()
    print(errors(model))
    print("log variances:", [round(value, 2) for value in next(model.balancer.parameters()).tolist()])


if __name__ == "__main__":
    main()
