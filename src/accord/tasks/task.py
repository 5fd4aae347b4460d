"""What is asked for: one named target, its kind and its options."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal

from accord.errors import ConfigurationError, suggest
from accord.tasks.encoder import TargetEncoder


def _checked(cls: type[Task]) -> type[Task]:
    # Python names a mistyped keyword but not the one that was meant.
    construct = cls.__init__

    @functools.wraps(construct)
    def init(self: Task, *args: Any, **options: Any) -> None:
        _known(options, "task option", inspect.signature(construct).parameters)
        construct(self, *args, **options)

    cls.__init__ = init
    return cls


@_checked
@dataclass(frozen=True)
class Task:
    """One named target: label columns, kind, loss, metrics, weights and the rows on which it is defined.

    After construction every option is resolved: ``loss``, ``metrics``, ``primary`` and so on hold what will be used.

    Attributes:
        name: unique among the tasks of a model.
        kind: ``binary``, ``multiclass``, ``multilabel``, ``regression``, ``count``, ``ordinal`` or ``quantile``.
        columns: label column(s); the task's name by default. Only ``multilabel`` takes several.
        positive: binary: the value that counts as 1 (all others count as 0); inferred when not given, see
            :class:`~accord.tasks.kinds.binary.Binary`.
        classes: multiclass and ordinal: the classes in order; needed for ordinal labels that are not numbers.
        quantiles: quantile: levels strictly between 0 and 1, ascending; 0.1, 0.5, 0.9 by default.
        loss: name of the loss; each kind's first is its default.
        loss_params: numbers for that loss, e.g. ``{"gamma": 2.0}`` for ``focal``.
        metrics: names of the metrics to report.
        primary: the metric that the verdict and early stopping go by.
        class_weights: ``"balanced"`` (rows of each class together count the same) or class name -> weight. Predicted
            probabilities are corrected for the weights, so they stay calibrated.
        sample_weight: column of row weights, used in the loss and in the metrics.
        given: name of a binary task; this task is defined where that one is positive (conversion given click).
        space: ``"given"``: loss and metrics on those rows only. ``"entire"``: binary only; the product of the
            probabilities is trained on all rows (ESMM, Ma et al., 2018).
        weight: factor on the loss, greater than 0.

    Raises:
        ConfigurationError: an option is unknown, mistyped, out of range, or not of this kind.
    """

    name: str
    kind: str
    _: KW_ONLY
    columns: Sequence[str] = ()
    positive: str | float | bool | None = None
    classes: Sequence[str] | None = None
    quantiles: Sequence[float] | None = None
    loss: str = ""
    loss_params: Mapping[str, float] = field(default_factory=dict, hash=False)
    metrics: Sequence[str] = ()
    primary: str = ""
    class_weights: Literal["balanced"] | Mapping[str, float] | None = field(default=None, hash=False)
    sample_weight: str | None = None
    given: str | None = None
    space: Literal["given", "entire"] = "given"
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ConfigurationError(f"a task's name must be a non-empty text, not {self.name!r}.")
        _one_of(self.kind, TargetEncoder.kinds, f"task {self.name!r}: unknown kind")
        encoder = TargetEncoder.kinds[self.kind]
        self._resolve_columns(encoder)
        self._reject_foreign_options(encoder)
        self._resolve_classes(encoder)
        self._resolve_quantiles()
        self._resolve_loss(encoder)
        self._resolve_metrics(encoder)
        self._check_space()
        if not (_number(self.weight) and 0 < self.weight < math.inf):
            raise ConfigurationError(f"task {self.name!r}: weight is {self.weight!r}, must be a number above 0.")

    def to_dict(self) -> dict[str, Any]:
        """Return the resolved task as JSON-ready values; ``from_dict`` gives an equal task back."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {key: _plain(value) for key, value in values.items() if value is not None and value != {}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Task:
        """Return the task that ``values`` (from a file) describe; unknown keys are an error with a suggestion."""
        _known(values, "task option", [f.name for f in dataclasses.fields(cls)])
        for needed in ("name", "kind"):
            if needed not in values:
                raise ConfigurationError(
                    f"task {dict(values)!r} has no {needed!r}: every task needs a name and a kind."
                )
        return cls(**values)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _resolve_columns(self, encoder: type[TargetEncoder]) -> None:
        columns = _texts(self.columns, f"task {self.name!r}: columns") or (self.name,)
        if len(columns) > 1 and not encoder.several_columns:
            raise ConfigurationError(
                f"task {self.name!r}: kind {self.kind!r} takes one column, not {len(columns)}. "
                'Make a task of each, or use kind "multilabel" for several yes/no columns.'
            )
        self._set("columns", columns)

    def _reject_foreign_options(self, encoder: type[TargetEncoder]) -> None:
        for option in ("positive", "classes", "quantiles", "class_weights"):
            if getattr(self, option) is not None and option not in encoder.options:
                takes = ", ".join(sorted(encoder.options)) or "none of its own"
                raise ConfigurationError(
                    f"task {self.name!r}: kind {self.kind!r} has no option {option!r} (its options: {takes})."
                )

    def _resolve_classes(self, encoder: type[TargetEncoder]) -> None:
        if self.classes is not None:
            classes = _texts(self.classes, f"task {self.name!r}: classes")
            if len(set(classes)) < 2 or len(set(classes)) != len(classes):
                raise ConfigurationError(
                    f"task {self.name!r}: classes {list(classes)} must be two or more different names."
                )
            self._set("classes", classes)
        weights = self.class_weights
        if weights is None or weights == "balanced":
            return
        if not isinstance(weights, Mapping) or not all(_number(w) and 0 < w < math.inf for w in weights.values()):
            raise ConfigurationError(
                f'task {self.name!r}: class_weights {weights!r} must be "balanced" or map class names to '
                "numbers above 0."
            )
        if encoder.several_columns:
            raise ConfigurationError(f'task {self.name!r}: kind {self.kind!r} takes class_weights="balanced" only.')
        self._set("class_weights", {str(key): float(value) for key, value in weights.items()})

    def _resolve_quantiles(self) -> None:
        if self.kind != "quantile":
            return
        given = (0.1, 0.5, 0.9) if self.quantiles is None else self.quantiles
        levels = tuple(given) if isinstance(given, Iterable) else (given,)
        if not levels or not all(_number(q) and 0 < q < 1 for q in levels) or list(levels) != sorted(set(levels)):
            raise ConfigurationError(
                f"task {self.name!r}: quantiles {list(levels)} must be ascending, different, strictly between 0 and 1."
            )
        self._set("quantiles", tuple(float(q) for q in levels))

    def _resolve_loss(self, encoder: type[TargetEncoder]) -> None:
        name = self.loss or next(iter(encoder.losses))
        _one_of(name, encoder.losses, f"task {self.name!r}: kind {self.kind!r} has no loss")
        known = encoder.losses[name].parameters
        _known(self.loss_params, f"parameter of loss {name!r}", known)
        params = {key: self.loss_params.get(key, bounds.default) for key, bounds in known.items()}
        for key, bounds in known.items():
            if not (_number(params[key]) and bounds.low <= params[key] < bounds.high):
                raise ConfigurationError(
                    f"task {self.name!r}: {key} of loss {name!r} is {params[key]!r}, "
                    f"must be at least {bounds.low:g} and below {bounds.high:g}."
                )
        self._set("loss", name)
        self._set("loss_params", {key: float(value) for key, value in params.items()})

    def _resolve_metrics(self, encoder: type[TargetEncoder]) -> None:
        primary = self.primary or encoder.losses[self.loss].primary
        metrics = _texts(self.metrics, f"task {self.name!r}: metrics") or encoder.default_metrics
        for metric in (*metrics, primary):
            _one_of(metric, encoder.metric_names, f"task {self.name!r}: kind {self.kind!r} has no metric")
        self._set("primary", primary)
        self._set("metrics", tuple(dict.fromkeys((primary, *metrics))))

    def _check_space(self) -> None:
        _one_of(self.space, ("given", "entire"), f"task {self.name!r}: unknown space")
        if self.given == self.name:
            raise ConfigurationError(f"task {self.name!r} is given itself: name another binary task.")
        if self.space == "given":
            return
        if self.given is None:
            raise ConfigurationError(f'task {self.name!r}: space="entire" needs given=, the task it depends on.')
        if self.kind != "binary" or self.loss != "bce" or self.class_weights is not None:
            raise ConfigurationError(
                f'task {self.name!r}: space="entire" multiplies probabilities, so it needs kind "binary", '
                'loss "bce" and no class_weights; or use space="given".'
            )


def _known(values: Iterable[str], what: str, known: Iterable[str]) -> None:
    names = [name for name in known if not name.startswith("_") and name != "self"]
    for key in values:
        if key not in names:
            raise ConfigurationError(f"unknown {what} {key!r}. {suggest(key, names) if names else 'It takes none.'}")


def _one_of(name: Any, options: Iterable[str], what: str) -> None:
    options = tuple(options)
    if name not in options:
        raise ConfigurationError(f"{what} {name!r}. {suggest(str(name), options)}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _texts(value: Any, what: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise ConfigurationError(f"{what} is {value!r}, must be a list of names.")
    return tuple(str(item) for item in value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value
