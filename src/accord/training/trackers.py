"""Optional mirrors of the history in TensorBoard, trackio or MLflow; the run directory always has everything."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from accord.errors import ConfigurationError, MissingExtraError, suggest


class Tracker(Protocol):
    """Receives scalars."""

    def log(self, name: str, value: float, step: int) -> None:
        """Record one scalar."""

    def close(self) -> None:
        """Flush and close."""


class TensorBoard:
    """Event files under ``RUN/tensorboard``."""

    def __init__(self, directory: Path, _settings: dict[str, Any]) -> None:
        module = _need("tensorboard", "torch.utils.tensorboard")
        self.writer = module.SummaryWriter(str(directory / "tensorboard"))

    def log(self, name: str, value: float, step: int) -> None:
        self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()


class Trackio:
    """A local trackio project named after the run directory."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        self.module = _need("trackio", "trackio")
        self.module.init(project=directory.name, config=settings)

    def log(self, name: str, value: float, step: int) -> None:
        self.module.log({name: value}, step=step)

    def close(self) -> None:
        self.module.finish()


class MLflow:
    """An MLflow run in the tracking store that the environment names (a local folder by default)."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        self.module = _need("mlflow", "mlflow")
        self.module.set_experiment("accord")
        self.module.start_run(run_name=directory.name)
        self.module.log_params({key: str(value)[:250] for key, value in settings.items()})

    def log(self, name: str, value: float, step: int) -> None:
        self.module.log_metric(name, value, step=step)

    def close(self) -> None:
        self.module.end_run()


TRACKERS: dict[str, Callable[[Path, dict[str, Any]], Tracker]] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "mlflow": MLflow,
}


def open_trackers(names: Iterable[str], directory: Path, settings: dict[str, Any]) -> list[Tracker]:
    """Open the named trackers.

    Raises:
        ConfigurationError: unknown name.
        MissingExtraError: the package is not installed.
    """
    opened: list[Tracker] = []
    for name in names:
        if name not in TRACKERS:
            raise ConfigurationError(f"unknown tracker {name!r}. {suggest(name, TRACKERS)}")
        opened.append(TRACKERS[name](directory, settings))
    return opened


def _need(extra: str, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(f"tracking with {extra}", extra, extra) from None
