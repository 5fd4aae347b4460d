"""torch-rechub, as in its Census-Income example (8 experts of 16, towers of 8, embeddings of 4).

Its loader builds one dict per row and collates them; workers make that slower on two cores (14,000-17,000 rows/s with
one or two, 24,000 without), so there are none. The trainer's per-epoch method is called directly, which leaves its
validation pass out of the measured time.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import torch

from contenders.contract import EMBEDDING, EXPERT_WIDTH, EXPERTS, LEARNING_RATE, TOWER_WIDTH, Contender, Laps, Settings
from contenders.encoded import encode

KINDS = ["classification", "classification"]


class TorchRechub(Contender):
    """See the module."""

    name = "torch-rechub"
    distribution = "torch-rechub"

    def prepare(self, table: Path) -> None:
        self.data = encode(table)

    def train(self, settings: Settings, laps: Laps) -> None:
        from torch_rechub.basic.features import DenseFeature, SparseFeature
        from torch_rechub.models.multi_task import MMOE
        from torch_rechub.trainers import MTLTrainer
        from torch_rechub.utils.data import DataGenerator

        torch.manual_seed(settings.seed)
        data = self.data
        sparse = [SparseFeature(name, size, embed_dim=EMBEDDING) for name, size in data.categories.items()]
        dense = [DenseFeature(name) for name in data.train if name not in data.categories]
        towers = [{"dims": [TOWER_WIDTH]} for _ in KINDS]
        model = MMOE(sparse + dense, KINDS, EXPERTS, {"dims": [EXPERT_WIDTH]}, towers)
        self.trainer = MTLTrainer(model, KINDS, optimizer_params={"lr": LEARNING_RATE, "weight_decay": 1e-5})
        none = {"x_val": {}, "y_val": (), "x_test": {}, "y_test": ()}
        generator = DataGenerator(data.train, data.labels)
        loader, _, _ = generator.generate_dataloader(**none, batch_size=settings.batch)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            for _ in range(settings.epochs):
                laps.begin()
                self.trainer.train_one_epoch(loader)
                laps.end()

    def predict(self) -> np.ndarray:
        from torch.utils.data import DataLoader
        from torch_rechub.utils.data import PredictDataset

        with contextlib.redirect_stderr(io.StringIO()):
            return np.array(self.trainer.predict(self.trainer.model, DataLoader(PredictDataset(self.data.test), 8192)))
