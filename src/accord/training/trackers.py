"""Optional mirrors of the history in TensorBoard, trackio or MLflow; the run directory always has everything."""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Mapping
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Protocol, final

from accord.errors import ConfigurationError, MissingExtraError, suggest


class Tracker(Protocol):
    """Receives scalars."""

    def log(self, name: str, value: float, step: int) -> None:
        """Record one scalar."""

    def close(self) -> None:
        """Flush and close."""


@final
class TensorBoard:
    """Event files under ``RUN/tensorboard``."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        module = importlib.import_module("torch.utils.tensorboard")
        self._writer = module.SummaryWriter(str(directory / "tensorboard"))
        for key, value in settings.items():
            self._writer.add_text(key, f"```yaml\n{value}\n```")

    def log(self, name: str, value: float, step: int) -> None:
        self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


@final
class Trackio:
    """A run of the project ``accord``, on this machine unless trackio's own environment variables say otherwise."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self._module = importlib.import_module("trackio")
        # What it prints is for people; standard output is for programs.
        with redirect_stdout(sys.stderr):
            self._run = self._module.init(
                project="accord",
                name=directory.resolve().name,
                config=dict(settings),
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )

    def log(self, name: str, value: float, step: int) -> None:
        self._run.log({name: value}, step=step)

    def close(self) -> None:
        with redirect_stdout(sys.stderr):
            self._module.finish()


@final
class MLflow:
    """A run of the experiment ``accord``: in the store that MLflow was told to use, else in ``RUN/mlflow``."""

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        module = importlib.import_module("mlflow")
        folder = (directory / "mlflow").resolve()
        # A client of our own, because MLflow's functions would change what the rest of the program logs to.
        if module.tracking.is_tracking_uri_set():
            self._client, artifacts = module.MlflowClient(), None
        else:
            folder.mkdir(exist_ok=True)
            self._client = module.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")
            artifacts = (folder / "artifacts").as_uri()
        known = self._client.get_experiment_by_name("accord")
        where = known.experiment_id if known else self._client.create_experiment("accord", artifacts)
        self._run = self._client.create_run(where, run_name=directory.resolve().name).info.run_id
        for key, value in settings.items():
            self._client.set_tag(self._run, key, value[:5000])

    def log(self, name: str, value: float, step: int) -> None:
        # MLflow allows no other characters, and class names such as ">50k" have them.
        self._client.log_metric(self._run, re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII), value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run)


# Each with the modules that its extra brings.
TRACKERS: dict[str, tuple[Callable[[Path, Mapping[str, str]], Tracker], tuple[str, ...]]] = {
    "tensorboard": (TensorBoard, ("tensorboard",)),
    "trackio": (Trackio, ("trackio",)),
    "mlflow": (MLflow, ("mlflow", "sqlalchemy", "alembic")),
}


@final
class Guarded:
    """A tracker that cannot cost the run: at its first failure it is dropped, with a warning."""

    def __init__(self, name: str, start: Callable[[], Tracker]) -> None:
        self._name = name
        self._tracker: Tracker | None = None
        try:
            self._tracker = start()
        except Exception as error:  # trackers fail in their own classes
            self._drop(error)

    def log(self, name: str, value: float, step: int) -> None:
        try:
            if self._tracker is not None:
                self._tracker.log(name, value, step)
        except Exception as error:
            self._drop(error)

    def close(self) -> None:
        try:
            if self._tracker is not None:
                self._tracker.close()
        except Exception as error:
            self._drop(error)
        self._tracker = None

    def _drop(self, error: Exception) -> None:
        broken, self._tracker = self._tracker, None
        if broken is not None:
            with suppress(Exception):
                broken.close()
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        warnings.warn(
            f"the tracker {self._name!r} failed and gets no more news ({reason}); history.parquet goes on",
            stacklevel=3,
        )


def check_trackers(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return the different names, before any work is done for a tracker that cannot be had.

    Raises:
        ConfigurationError: unknown name.
        MissingExtraError: its package is not installed.
    """
    chosen = tuple(dict.fromkeys([names] if isinstance(names, str) else names))
    for name in chosen:
        if name not in TRACKERS:
            raise ConfigurationError(f"unknown tracker {name!r}. {suggest(name, TRACKERS)}")
        for module in TRACKERS[name][1]:
            try:
                importlib.import_module(module)
            except ImportError:
                raise MissingExtraError(f"tracking with {name}", name, module) from None
    return chosen


def open_trackers(names: Iterable[str], directory: Path, settings: Mapping[str, str]) -> list[Tracker]:
    """Open trackers by their checked names; one that cannot be opened is left out with a warning."""
    return [Guarded(name, lambda name=name: TRACKERS[name][0](directory, settings)) for name in names]
