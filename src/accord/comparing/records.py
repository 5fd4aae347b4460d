"""One finished run, one small file: written whole or not at all, checked when it is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from accord.errors import ConfigurationError, RunError
from accord.training.files import read_json, read_tensors, write_json, write_tensors
from accord.training.strict import decode

Stage = Literal["tune", "test"]


@dataclass(frozen=True)
class Job:
    """One run to make.

    Attributes:
        entrant: key of the entrant.
        stage: ``tune`` is judged on the validation rows, ``test`` on the test rows.
        number: of the trial or of the fresh seed, from 0.
        trial: which trial's setting is trained.
    """

    entrant: str
    stage: Stage
    number: int
    trial: int

    @property
    def path(self) -> str:
        """Where its record is, in the folder of records."""
        return f"{self.entrant}/{self.stage}-{self.number}.json"


@dataclass(frozen=True)
class Record:
    """What came out of one run.

    Attributes:
        job: which run.
        asked: digest of everything that decides the result; another one belongs to another question.
        seed: of training.
        rate: the learning rate.
        options: of sharing and balancing, beside the defaults.
        metrics: ``{task: {metric: value}}`` on validation or test rows, null where undefined.
        epochs: of training until the best one.
        seconds: of training, validation included.
        parameters: of the model.
        peak_memory_mb: see :mod:`accord.comparing.memory`.
        skipped: steps that a task was left out of, by task.
        predictions: SHA-256 of the file with the test predictions, empty where there is none.
        failure: why there are no metrics, else empty.
    """

    job: Job
    asked: str
    seed: int
    rate: float
    options: Mapping[str, Any]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = 0
    seconds: float = 0.0
    parameters: int = 0
    peak_memory_mb: float = 0.0
    skipped: Mapping[str, Any] = field(default_factory=dict)
    predictions: str = ""
    failure: str = ""

    def metric(self, task: str, name: str) -> float:
        """Return one metric, NaN where it is undefined."""
        value = self.metrics.get(task, {}).get(name)
        return float("nan") if value is None else float(value)


@dataclass
class Ledger:
    """The records under ``directory``; ``notes`` says which of them could not be used, and why."""

    directory: Path
    notes: list[str] = field(default_factory=list)

    def find(self, job: Job, asked: str) -> Record | None:
        """Return the record of ``job``; ``None`` where it was not made, failed, or cannot be used."""
        path = self.directory / job.path
        if not path.exists():
            return None
        try:
            record = self._read(path)
        except RunError as error:
            self.notes.append(f"{error}. That run is made again.")
            return None
        if record.asked != asked or record.job != job:
            self.notes.append(f"{path} answers another question than the one asked now. That run is made again.")
            return None
        return None if record.failure else record

    def has(self, job: Job) -> bool:
        """Return whether there is a record; on a network, one that another machine wrote may take a while to show."""
        return (self.directory / job.path).exists()

    def read(self, job: Job) -> Record:
        """Return a record that was written just now.

        Raises:
            RunError: it is not there or damaged.
        """
        return self._read(self.directory / job.path)

    def write(self, record: Record, predictions: list[np.ndarray] | None = None) -> None:
        """Write a record, and the predictions it vouches for before it."""
        path = self.directory / record.job.path
        if predictions is not None:
            tensors = {str(i): torch.from_numpy(np.ascontiguousarray(p)) for i, p in enumerate(predictions)}
            write_tensors(path.with_suffix(".safetensors"), tensors)
            record = Record(**{**vars(record), "predictions": _digest(path.with_suffix(".safetensors").read_bytes())})
        body = asdict(record)
        write_json(path, {"record": body, "sha256": _seal(body)})

    def predictions(self, record: Record) -> list[np.ndarray]:
        """Return the test predictions of a record, one array per task."""
        tensors, _ = read_tensors((self.directory / record.job.path).with_suffix(".safetensors"))
        return [tensors[str(i)].numpy() for i in range(len(tensors))]

    def _read(self, path: Path) -> Record:
        found = read_json(path)
        if not isinstance(found, dict) or not isinstance(found.get("record"), dict):
            raise RunError(f"{path} is not a record of a comparison")
        if found.get("sha256") != _seal(found["record"]):
            raise RunError(f"{path} is damaged: its content does not match its checksum")
        try:
            record = decode(Record, found["record"])
        except ConfigurationError as error:
            raise RunError(f"{path} is not a record of this version of Accord: {error}") from error
        if record.predictions:
            beside = path.with_suffix(".safetensors")
            if not beside.is_file() or _digest(beside.read_bytes()) != record.predictions:
                raise RunError(f"{beside} is missing or damaged: it does not match the checksum in {path.name}")
        return record


def _seal(body: Mapping[str, Any]) -> str:
    # Through JSON and back, so that NaN, which becomes null, and tuples have one form before and after writing.
    text = json.dumps(_plain(body), sort_keys=True, ensure_ascii=False, allow_nan=False)
    return _digest(text.encode())


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
