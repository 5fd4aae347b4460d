"""What a recipe says, once it has been read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from accord.merging.layer_pruning import LayerPruning
from accord.merging.recipe.reference import Reference

DTYPES = ("float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True, slots=True)
class Source:
    """A model that takes part, or some of its layers.

    Attributes:
        model: which.
        layers: first and last (exclusive); ``None`` for the whole model.
        parameters: that hold for it alone.
    """

    model: Reference
    layers: tuple[int, int] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Slice:
    """Layers of the result, and what they are merged from.

    Attributes:
        sources: as many layers of each.
        base: other than the recipe's.
        parameters: that hold for these layers.
        residual_weight: a key of old recipes, which decides nothing.
    """

    sources: tuple[Source, ...]
    base: Reference | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    residual_weight: Any = None


@dataclass(frozen=True, slots=True)
class TokenSource:
    """Where the embedding of one token comes from.

    Attributes:
        model: whose embedding; ``None`` with no ``zero`` leaves it to the rules.
        zero: an embedding of zeros.
        token: another token whose embedding it is.
        row: or another row.
        force: for every model, even those that know the token.
    """

    model: Reference | None = None
    zero: bool = False
    token: str | None = None
    row: int | None = None
    force: bool = False


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """The vocabulary of the result.

    Attributes:
        source: ``"union"``, ``"base"``, or the model whose it is.
        tokens: embeddings that are not left to the rules.
        multiple: rows are padded to a multiple of it, with the mean embedding.
        tensors: names of further tensors that have a row for each token.
    """

    source: Literal["union", "base"] | Reference = "union"
    tokens: Mapping[str, TokenSource] = field(default_factory=dict)
    multiple: int | None = None
    tensors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """One merge.

    Attributes:
        method: its name, as the recipe has it.
        slices: parts of the result, from the first layer to the last; one that spans whole models otherwise.
        base: what the models were fine-tuned from.
        parameters: that hold where nothing nearer does.
        name: by which later recipes of the same file use the result.
        dtype: what the result is stored as.
        tokenizer: its vocabulary; that of the base (else of the first model), untouched, where ``None``.
        chat_template: a template, or ``auto`` for the one most models have.
        seed: of random masks.
        missing: see :class:`accord.merging.Rules`.
        extra: likewise.
        layers: the stack that slices are cut from, where a model has several.
        rank: of the adapter, where adapters are merged into one.
        pruning: drops layers of the models first.
        raw: the YAML document.
    """

    method: str
    slices: tuple[Slice, ...]
    base: Reference | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    dtype: str | None = None
    tokenizer: Tokenizer | None = None
    chat_template: str | None = None
    seed: int = 0
    missing: Literal["refuse", "base"] = "refuse"
    extra: Literal["refuse", "drop"] = "refuse"
    layers: str | None = None
    rank: int | None = None
    pruning: LayerPruning | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sliced(self) -> bool:
        """Whether layers are named."""
        return any(source.layers is not None for part in self.slices for source in part.sources)

    def references(self) -> list[Reference]:
        """Return every model once, the base first."""
        named = [source.model for part in self.slices for source in part.sources]
        bases = [part.base for part in self.slices if part.base is not None]
        found = [*([] if self.base is None else [self.base]), *bases, *named]
        if self.tokenizer is not None:
            extra = [token.model for token in self.tokenizer.tokens.values() if token.model is not None]
            found += extra + ([self.tokenizer.source] if isinstance(self.tokenizer.source, Reference) else [])
        return list(dict.fromkeys(found))

    def leader(self) -> Reference:
        """Return whose configuration the result has: the base's, else the first model's."""
        return self.base or self.slices[0].sources[0].model
