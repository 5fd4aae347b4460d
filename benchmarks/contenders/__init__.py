"""The libraries that are compared, one file each, behind one contract. Each is imported only when it is asked for."""

from __future__ import annotations

from importlib import import_module

from contenders.contract import Contender

_WHERE = {
    "accord": ("own", "Accord"),
    "torch-rechub": ("rechub", "TorchRechub"),
    "DeepCTR-Torch": ("deepctr", "DeepCTRTorch"),
    "plain PyTorch": ("plain", "Plain"),
}
NAMES = tuple(_WHERE)


def make(name: str) -> Contender:
    """Return the contender called ``name``, one of :data:`NAMES`."""
    module, attribute = _WHERE[name]
    return getattr(import_module(f"contenders.{module}"), attribute)()
