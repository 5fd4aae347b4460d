"""The same in PyTorch Lightning, by manual optimisation. Needs: pip install lightning.

python examples/integrations/with_lightning.py
"""

from __future__ import annotations

import lightning
import torch
from plain_loop import Model, data, errors
from torch.utils.data import DataLoader

import accord


class Balanced(lightning.LightningModule):
    """The model with its balancer, whose state is thereby in Lightning's checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False  # one backward per task is not what Lightning would do
        self.model = Model()
        self.balancer = accord.aggregation.GradVac()

    def training_step(self, batch: list[torch.Tensor]) -> None:
        """Take one step."""
        optimiser = self.optimizers()
        optimiser.zero_grad()
        losses = self.model(*batch)
        # In place of self.manual_backward(loss); the scaler is there under precision="16-mixed" only.
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        step = accord.backward(losses, list(self.model.trunk.parameters()), self.balancer, scaler=scaler)
        optimiser.step()
        self.log_dict({f"loss/{name}": loss for name, loss in losses.items()})
        self.log("cosine", step.cosines()[0, 1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam; parameters of a learned weighting, if any, are among self.parameters()."""
        return torch.optim.Adam(self.parameters(), lr=3e-3)


def main() -> None:
    """Train for some epochs and print the losses before and after."""
    lightning.seed_everything(0, verbose=False)
    module = Balanced()
    print(errors(module.model))
    trainer = lightning.Trainer(
        max_epochs=10,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(data(), batch_size=32, shuffle=True))
    print(errors(module.model))
    print({name: round(float(value), 3) for name, value in trainer.callback_metrics.items()})


if __name__ == "__main__":
    main()
