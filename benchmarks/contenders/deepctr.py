"""DeepCTR-Torch: its MMOE with the same sizes, ``compile`` and ``fit`` as in its multi-task example.

``verbose=0`` leaves out the progress bar and the training metrics, its fastest setting. Importing it starts a thread
that asks the network for a newer version; that request is refused here so that timings do not depend on a network.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import contextlib
import io
import threading
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from contenders.contract import EMBEDDING, EXPERT_WIDTH, EXPERTS, TOWER_WIDTH, Contender, Laps, Settings
from contenders.encoded import encode


def _import() -> tuple[Any, Any, Any, Any]:
    before = set(threading.enumerate())
    with mock.patch("requests.get", side_effect=OSError("no network")), contextlib.redirect_stdout(io.StringIO()):
        from deepctr_torch.callbacks import Callback
        from deepctr_torch.inputs import DenseFeat, SparseFeat
        from deepctr_torch.models import MMOE

        for thread in set(threading.enumerate()) - before:
            thread.join()
    return Callback, DenseFeat, SparseFeat, MMOE


def _watch(base: type, laps: Laps) -> Any:
    class Watch(base):
        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
            laps.begin()

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
            laps.end()

    return Watch()


class DeepCTRTorch(Contender):
    """See the module."""

    name = "DeepCTR-Torch"
    distribution = "deepctr-torch"

    def prepare(self, table: Path) -> None:
        self.data = encode(table)
        # One float32 matrix is what it makes of its input; giving float32 spares it a float64 copy.
        self.columns = {name: array.astype(np.float32) for name, array in self.data.train.items()}

    def train(self, settings: Settings, laps: Laps) -> None:
        base, dense, sparse, mmoe = _import()
        data = self.data
        columns = [sparse(name, size, embedding_dim=EMBEDDING) for name, size in data.categories.items()]
        columns += [dense(name, 1) for name in data.train if name not in data.categories]
        self.model = mmoe(
            columns,
            num_experts=EXPERTS,
            expert_dnn_hidden_units=(EXPERT_WIDTH,),
            gate_dnn_hidden_units=(),
            tower_dnn_hidden_units=(TOWER_WIDTH,),
            task_types=["binary", "binary"],
            task_names=["income", "never_married"],
            seed=settings.seed,
        )
        self.model.compile("adam", loss=["binary_crossentropy", "binary_crossentropy"])
        with contextlib.redirect_stdout(io.StringIO()):
            self.model.fit(
                dict(self.columns),
                data.labels,
                batch_size=settings.batch,
                epochs=settings.epochs,
                verbose=0,
                callbacks=[_watch(base, laps)],
            )

    def predict(self) -> np.ndarray:
        return self.model.predict({name: array.astype(np.float32) for name, array in self.data.test.items()}, 8192)
