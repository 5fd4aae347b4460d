"""Give layers of a task vector back to the base before anything is merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from accord.errors import ConfigurationError, suggest
from accord.merging.engine import Engine
from accord.merging.entry import Entry
from accord.merging.gramians import Array, GramianSurvey
from accord.merging.layer_scores import Score, check_finite, in_order, lowest, scores_of
from accord.merging.layers import unit
from accord.merging.merging_method import MergingMethod, Weights, described, per_model
from accord.merging.progress import Progress, Tally, bytes_read
from accord.merging.task_arithmetic import TaskArithmetic
from accord.merging.ties import check_density
from accord.method import Method

if TYPE_CHECKING:
    from torch import Tensor

    from accord.merging.entry import Rules

SCORES = ("relative", "distinct")
GROUPS = ("block", "module")
RANKING = "ranking layers"


# Of each model, the layers that it changed and keeps, by number and name; empty where nobody looked.
Kept = Sequence[Sequence[str]]


class LayerPruning:
    """Drop whole layers of each task vector, those with the lowest score, and merge what is left by any method.

    A layer that a model loses is the base's there, bit for bit, before the other method sees anything of it: thresholds
    over the whole model, elections, singular vectors and masks are those of the pruned task vectors. At ``keep=1`` the
    result is the other method's, bit for bit.

    *The score is Accord's own.* The paper that proposed it (LwPTV) could be consulted in its abstract alone. That fixes
    the structure: a saliency score of what is redundant in a task vector, a mask over layers for each task, pre-trained
    parameters where a layer is masked, and any merging method after it. How the paper computes its score is not known
    here, so that its figures are not to be expected of these:

    - ``"relative"``: ``|tau| / |theta|``, the length of the task vector in a layer divided by that of the base's
      weights. A layer that hardly moved is taken to be redundant.
    - ``"distinct"``: ``|tau - max(0, <tau, m>) m / <m, m>| / |tau|``, the share of the task vector in a layer that lies
      outside the mean ``m`` of the other models' task vectors. What others bring as well is taken to be redundant;
      what they oppose is not. Layers in which this is equal, as it is of opposed ones and of a single model's, are
      ranked by the other score.

    Args:
        merge: the method that merges what is left, ``TaskArithmetic()`` when left out. It must look at a base.
        keep: share of the layers a model changed that it keeps, above 0 and at most 1, one for all models or one for
            each; rounded down to a whole number, at least one. Of equal scores the layer that comes first is kept, by
            number and name.
        score: see above. Neither is better on all fine-tunings: the default is on those of a pretrained model of
            language, the other on those of a small model trained from scratch.
        layers: what a layer is: ``"block"``, the numbered layer of a stack (``model.layers.3``, the first number of
            a name), which computes one thing out of all its tensors; or ``"module"``, weight and bias of one module
            alone. What is in no stack goes by modules either way. Tied tensors are one.

    Integers have no part in it, nor has what no model changed. Inner products are summed in float64, so that neither
    threads nor the order of models change what is dropped. Cost: one pass over all checkpoints, and ``n (n + 1) / 2``
    products per element.

    Source of the structure: Zhang et al., Merging Smarter, Generalizing Better: Enhancing Model Merging on OOD Data,
    2025 (abstract).
    """

    method: ClassVar[Method] = Method(
        title="Layer-wise pruning (after LwPTV)",
        paper="Merging Smarter, Generalizing Better: Enhancing Model Merging on OOD Data",
        year=2025,
        url="https://arxiv.org/abs/2506.09093",
        needs="parameters",
        cost="1 pass before another method's",
        catalogue=(173,),
    )

    def __init__(
        self,
        merge: MergingMethod | None = None,
        keep: Sequence[float] | float = 0.5,
        score: Score = "relative",
        layers: Literal["block", "module"] = "block",
    ) -> None:
        self.merge = TaskArithmetic() if merge is None else merge
        if not isinstance(self.merge, MergingMethod):
            raise ConfigurationError(f"merge is a method such as TIES(density=0.2); got {self.merge!r}")
        for share in [keep] if isinstance(keep, int | float) else keep:
            check_density(share, "keep")
        for option, value, choices in (("score", score, SCORES), ("layers", layers, GROUPS)):
            if value not in choices:
                raise ConfigurationError(f"no {option} {value!r}. {suggest(str(value), choices)}")
        self.keep = keep
        self.score: Score = score
        self.layers: Literal["block", "module"] = layers

    def __call__(
        self, base: Weights | None, models: Sequence[Weights], *, rules: Rules | None = None
    ) -> dict[str, Tensor]:
        """Prune and merge in memory; see :meth:`accord.merging.MergingMethod.__call__`.

        Raises:
            ConfigurationError: besides, a task vector has numbers that are not finite in a layer, which then cannot be
                ranked; the message names both.
        """
        from accord.merging.in_memory import merge_in_memory  # the engine's callers know of pruning, too

        return merge_in_memory(self.merge, base, models, rules, self)

    def pruned(
        self, base: Weights | None, models: Sequence[Weights], *, rules: Rules | None = None
    ) -> list[dict[str, Tensor]]:
        """Return the models with their pruned layers given back, for methods that learn and do not take part here.

        Nothing is copied: tensors are those of the models and, in pruned layers, of the base.

        Raises:
            ConfigurationError: as when it is called.
        """
        from accord.merging.in_memory import prune_in_memory

        return prune_in_memory(self, base, models, rules)

    def __repr__(self) -> str:
        return described(self)

    def options(self) -> dict[str, Any]:
        """Return what a recipe says of it: all but the method that comes after."""
        keep = self.keep if isinstance(self.keep, int | float) else list(self.keep)
        return {"keep": keep, "score": self.score, "layers": self.layers}

    def told(self) -> str:
        """Return what it does, in one line."""
        shares = [self.keep] if isinstance(self.keep, int | float) else self.keep
        kept = ", ".join(f"{share:.0%}" for share in shares)
        return f"{kept} of the {self.layers}s that a model changed are kept by {self.score} score, in one pass more"

    def check(self, entries: Sequence[Entry]) -> None:
        """Raise a :class:`ConfigurationError` if there is no base to give layers back to, or ``keep`` fits no model."""
        for entry in entries:
            if entry.base is None:
                raise ConfigurationError(
                    f"a pruned layer is the base's, and {entry.method!r} was given none or looks at none; give the "
                    "base, and take a method of task vectors, as task_arithmetic in place of linear"
                )
            per_model(self.keep, len(entry.models), 1.0, "keep")

    def looked_at(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return what is read to rank layers: no tensor twice, block by block whatever merges it."""
        if all(share == 1.0 for share in ([self.keep] if isinstance(self.keep, int | float) else self.keep)):
            return []
        plain = TaskArithmetic()
        merged = [entry for entry in entries if entry.copy is None and entry.tied is None and entry.elements]
        # By name, which is the same order wherever the tensors come from.
        return [replace(entry, method=plain) for entry in sorted(merged, key=lambda entry: in_order(entry.name))]

    def rank(self, entries: Sequence[Entry], engine: Engine, progress: Progress | None = None) -> Kept:
        """Look at the layers of every model and return those that it keeps.

        Args:
            entries: all tensors, with the same models in the same order.
            engine: looks at them.
            progress: told of the pass.

        Raises:
            ConfigurationError: see :meth:`check`; or a length is not finite.
        """
        self.check(entries)
        looked = self.looked_at(entries)
        if not looked:
            return []
        layers: dict[str, list[Entry]] = {}
        for entry in looked:
            layers.setdefault(unit(entry.name, self.layers), []).append(entry)
        tally = Tally(progress)
        tally.begin(RANKING, sum(map(bytes_read, looked)))
        models = len(looked[0].models)
        wanted = [(GramianSurvey(models, "changes"), each) for each in layers.values()]
        found: dict[str, Array] = dict(zip(layers, engine.find(wanted, tally), strict=True))
        check_finite(found)
        scores = [scores_of(self.score, found, place) for place in range(models)]
        keep = per_model(self.keep, models, 1.0, "keep")
        dropped = [lowest(each, share) for each, share in zip(scores, keep, strict=True)]
        return [[layer for layer in each if layer not in gone] for each, gone in zip(scores, dropped, strict=True)]

    def prune(self, entries: Sequence[Entry], kept: Kept) -> tuple[Entry, ...]:
        """Return the same tensors, of which each model has the base's in all layers but those that :meth:`rank` kept.

        What a model did not change is the base's already, up to the sign of a zero.
        """
        return tuple(self._without(entry, kept) for entry in entries) if kept else tuple(entries)

    def _without(self, entry: Entry, kept: Kept) -> Entry:
        layer, base = unit(entry.tied or entry.name, self.layers), entry.base
        if base is None or entry.copy is not None:
            return entry
        models = zip(entry.models, kept, strict=True)
        return replace(entry, models=tuple(model if layer in own else base for model, own in models))
