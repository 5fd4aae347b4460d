"""The specification of a run: everything that decides its result, in one file that can be run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from accord.engines._registry import find_engine
from accord.errors import ConfigurationError, suggest
from accord.registry import check_params, find
from accord.tasks import Task
from accord.training.samplers import check_sampling
from accord.training.strict import decode, encode, read_yaml, to_yaml

VERSION = 1
IN_MEMORY = "<in memory>"


@dataclass(frozen=True)
class SplitSpec:
    """How rows are divided.

    Attributes:
        method: ``auto`` takes the split that the data set brings, else ``stratified`` over all targets.
        column: the column that says the part, group or time, for ``given``, ``grouped`` and ``time``.
        file: a table that has a row per row of the data, in the same order, and says their parts in its ``column``
            (``part`` where none is named): the division of another run.
        validation: fraction of the rows (of the training rows, where the test part is given).
        test: fraction of the rows; ignored where the test part is given.
        seed: of the division; kept apart from the seeds of training, so that all of them see the same test rows.
    """

    method: Literal["auto", "given", "random", "stratified", "grouped", "time"] = "auto"
    column: str | None = None
    file: str | None = None
    validation: float = 0.1
    test: float = 0.2
    seed: int = 0


@dataclass(frozen=True)
class DataSpec:
    """Where the table comes from and how its columns are read.

    Attributes:
        source: a file, folder, glob, database, or the name of a built-in data set.
        query: SQL over ``source``.
        test: a second table that holds the test rows.
        columns: corrections of the inferred kinds, e.g. ``{zip: categorical, note: drop}``.
        text: how free text is read: ``hashed`` n-grams, or by the frozen transformer in this local folder.
        non_finite: infinite numbers among the features: ``refuse`` them, or take them as ``missing`` and say so.
        split: see :class:`SplitSpec`.
    """

    source: str
    query: str | None = None
    test: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    text: str = "hashed"
    non_finite: Literal["refuse", "missing"] = "refuse"
    split: SplitSpec = SplitSpec()


@dataclass(frozen=True)
class ModelSpec:
    """Which weights are shared, and how wide the model is.

    Attributes:
        sharing: name of a method of the ``sharing`` room.
        options: its constructor's arguments.
        stem: options of :class:`accord.sharing.FeatureStem` (embedding sizes, numeric encoding).
        tower: widths of the hidden layers of every head.
    """

    sharing: str = "hard_sharing"
    options: Mapping[str, Any] = field(default_factory=dict)
    stem: Mapping[str, Any] = field(default_factory=dict)
    tower: tuple[int, ...] = ()


@dataclass(frozen=True)
class BalancingSpec:
    """Who gets to move the shared weights.

    Attributes:
        method: name of a method of the ``weighting`` or ``aggregation`` room; ``fixed`` is plain averaging.
        options: its constructor's arguments.
        engine: how gradients of single objectives are computed.
        conflict: where gradients are compared for the history, 40 times a run: in the ``last`` shared layer, or in all
            ``layers`` by themselves too, for which each time costs about a backward per task.
    """

    method: str = "fixed"
    options: Mapping[str, Any] = field(default_factory=dict)
    engine: str = "auto"
    conflict: Literal["last", "layers"] = "last"


@dataclass(frozen=True)
class SamplingSpec:
    """Which tasks the next batch comes from, where they have rows of their own; see :mod:`accord.sampling`.

    Attributes:
        method: name of a method of the ``sampling`` room; ``null`` takes all rows in turn, each for all of its tasks.
        options: its constructor's arguments.
        rows: rows of a batch of each task alone, by task; ``training.batch_size`` for all when ``null``.
    """

    method: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class TrainingSpec:
    """The budget and the optimiser; single-task baselines get exactly the same.

    Attributes:
        epochs: passes over the training rows at most.
        batch_size: rows per step.
        learning_rate: peak rate of AdamW.
        weight_decay: decoupled decay; never applied to biases, norms and embeddings.
        schedule: shape of the rate after the warm-up.
        warmup: fraction of all steps over which the rate rises from 0.
        clip_norm: largest norm of the whole gradient; 0 turns clipping off.
        patience: epochs without a better validation score before a run stops; 0 never stops early.
        precision: ``auto`` is bfloat16 autocast on GPUs that have it, float32 elsewhere.
        device: ``auto`` is the first GPU, else the CPU.
        threads: CPU threads; 0 leaves PyTorch's own choice.
        checkpoint_seconds: longest time between two checkpoints.
    """

    epochs: int = 10
    batch_size: int = 1024
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.02
    clip_norm: float = 1.0
    patience: int = 3
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    threads: int = 0
    checkpoint_seconds: float = 30.0


@dataclass(frozen=True)
class EvaluationSpec:
    """How the verdict is reached.

    Attributes:
        seeds: how many times everything is trained; seeds are ``seed, seed + 1, ...``.
        baselines: train one single-task model per task and seed under the same budget.
        resamples: bootstrap resamples of the test rows.
        confidence: coverage of the intervals.
    """

    seeds: int = 1
    baselines: bool = True
    resamples: int = 1000
    confidence: float = 0.95


@dataclass(frozen=True)
class Spec:
    """A whole run. ``Spec.from_yaml(run / "spec.yaml")`` gives back what was run.

    Attributes:
        data: the table, see :class:`DataSpec`.
        tasks: what to predict: one mapping of the options of :class:`accord.Task` each.
        model: see :class:`ModelSpec`.
        balancing: see :class:`BalancingSpec`.
        sampling: see :class:`SamplingSpec`.
        training: see :class:`TrainingSpec`.
        evaluation: see :class:`EvaluationSpec`.
        seed: of initialisation, row order and dropout; further seeds count up from it.
        accord: version of this format.
    """

    data: DataSpec
    tasks: tuple[Mapping[str, Any], ...]
    model: ModelSpec = ModelSpec()
    balancing: BalancingSpec = BalancingSpec()
    sampling: SamplingSpec = SamplingSpec()
    training: TrainingSpec = TrainingSpec()
    evaluation: EvaluationSpec = EvaluationSpec()
    seed: int = 0
    accord: int = VERSION

    def __post_init__(self) -> None:
        if self.accord != VERSION:
            raise ConfigurationError(f"this specification is of version {self.accord}; this Accord reads {VERSION}")
        names = [task.name for task in self.parsed_tasks()]
        if not names:
            raise ConfigurationError("no tasks: name at least one target column")
        if repeated := {name for name in names if names.count(name) > 1}:
            raise ConfigurationError(f"two tasks are named {min(repeated)!r}; names must differ")
        check_params(find(self.model.sharing, "sharing"), self.model.options)
        check_params(find(self.balancing.method, "weighting", "aggregation"), self.balancing.options)
        find_engine(self.balancing.engine)
        check_sampling(self.sampling.method, self.sampling.options, self.sampling.rows, names)
        self._check_ranges()

    def parsed_tasks(self) -> tuple[Task, ...]:
        """Return the tasks as :class:`accord.Task`; a wrong key names the task it stands in."""
        return tuple(Task.from_dict(dict(task)) for task in self.tasks)

    def seeds(self) -> range:
        """Return the seeds of training."""
        return range(self.seed, self.seed + self.evaluation.seeds)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Spec:
        """Build from plain mappings; see :func:`accord.training.strict.decode` for the errors."""
        return decode(cls, data)

    @classmethod
    def from_yaml(cls, path: str | Path) -> Spec:
        """Read a YAML file; see :func:`accord.training.strict.read_yaml` and :meth:`from_dict` for the errors."""
        return cls.from_dict(read_yaml(path))

    def to_yaml(self) -> str:
        """Return the complete specification, defaults included."""
        return to_yaml(self)

    def override(self, changes: Mapping[str, Any]) -> Spec:
        """Return a copy with dotted options replaced, e.g. ``{"training.learning_rate": 3e-4}``."""
        data = encode(self)
        for dotted, value in changes.items():
            _assign(data, dotted, value)
        return Spec.from_dict(data)

    def with_tasks(self, tasks: tuple[Task, ...]) -> Spec:
        """Return a copy with other tasks."""
        return replace(self, tasks=tuple(task.to_dict() for task in tasks))

    def _check_ranges(self) -> None:
        t, s, e = self.training, self.data.split, self.evaluation
        bounds = {
            "training.epochs": (t.epochs, 1, None),
            "training.batch_size": (t.batch_size, 1, None),
            "training.learning_rate": (t.learning_rate, 0, None),
            "training.weight_decay": (t.weight_decay, 0, None),
            "training.warmup": (t.warmup, 0, 1),
            "training.clip_norm": (t.clip_norm, 0, None),
            "training.patience": (t.patience, 0, None),
            "training.threads": (t.threads, 0, None),
            "data.split.validation": (s.validation, 0, 0.9),
            "data.split.test": (s.test, 0, 0.9),
            "evaluation.seeds": (e.seeds, 1, None),
            "evaluation.resamples": (e.resamples, 1, None),
            "evaluation.confidence": (e.confidence, 0.5, 0.999),
        }
        for name, (value, low, high) in bounds.items():
            if not (value >= low and (high is None or value <= high)):
                limit = f"at least {low}" if high is None else f"between {low} and {high}"
                raise ConfigurationError(f"{name} must be {limit}, not {value!r}")


def _assign(data: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    node = data
    for parent in parents:
        if not isinstance(node.get(parent), dict):
            raise ConfigurationError(f"unknown option {dotted!r}. {suggest(dotted, _leaves(data))}")
        node = node[parent]
    free = parents and parents[-1] in ("options", "columns", "stem")
    if last not in node and not free:
        raise ConfigurationError(f"unknown option {dotted!r}. {suggest(dotted, _leaves(data))}")
    node[last] = value


def _leaves(data: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key, value in data.items():
        found += _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) and value else [f"{prefix}{key}"]
    return found
