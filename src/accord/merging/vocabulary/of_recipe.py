"""Bring the models of a recipe to one vocabulary."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from accord.errors import ConfigurationError, DataError
from accord.merging.lazy import as_tensor
from accord.merging.recipe.inputs import Inputs, Model
from accord.merging.recipe.reference import Reference
from accord.merging.recipe.schema import Recipe, Tokenizer, TokenSource
from accord.merging.vocabulary.order import check_order
from accord.merging.vocabulary.output import tokenizer_files, united
from accord.merging.vocabulary.read import Words, read_words
from accord.merging.vocabulary.rows import MEAN, PADDING, ZERO, Ints, Origins, RowTensor
from accord.merging.vocabulary.tensors import TABLE, table_of, token_tensors


@dataclass(frozen=True)
class Vocabulary:
    """What a recipe does to vocabularies.

    Attributes:
        instead: for each model, by its identity, embeddings in the vocabulary of the result.
        files: of the tokenizer.
        rows: of the embeddings; ``None`` where they are left as they are.
        settings: what of all this the result depends on.
        notes: what there is to know.
    """

    instead: Mapping[int, Mapping[str, Callable[[], Tensor]]] = field(default_factory=dict)
    files: dict[str, bytes | None] = field(default_factory=dict)
    rows: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def vocabulary_of(recipe: Recipe, inputs: Inputs, members: Sequence[Model], leader: Model) -> Vocabulary:
    """Return how the vocabularies of the models become one.

    Args:
        recipe: what is asked for.
        inputs: opens models.
        members: the models that take part.
        leader: the base, or whose place it takes.

    Raises:
        DataError: sizes, or the rows of a token, differ and nothing is asked for; a tokenizer is missing or cannot be
            read; or it is unclear which tensors belong to it.
        ConfigurationError: a token is to come from a model that does not have it.
    """
    if recipe.tokenizer is None:
        tabled = [model for model in members if any(TABLE.search(name) for name in model.tensors)]
        _check_sizes(tabled)
        return Vocabulary(notes=tuple(check_order(tabled)))
    members = list(dict.fromkeys([*([leader] if recipe.base is not None else []), *members]))
    return _united(recipe.tokenizer, inputs, members, leader, recipe.base is not None)


def _united(wanted: Tokenizer, inputs: Inputs, members: Sequence[Model], leader: Model, based: bool) -> Vocabulary:
    tables = [table_of(model.tensors, model.label) for model in members]
    sizes = {id(model): rows for model, (_, rows) in zip(members, tables, strict=True)}
    notes: list[str] = []
    first = _needed_words(leader)
    words = {id(model): _words(model, first, leader, sizes, notes) for model in members}
    lead = first
    if isinstance(wanted.source, Reference):
        lead = _needed_words(inputs.model(wanted.source))
    others = [words[id(model)] for model in members] if wanted.source == "union" else []
    ids = united(lead, others, wanted.tokens)
    size = max(ids.values()) + 1
    rows = size if wanted.multiple is None else -(-size // wanted.multiple) * wanted.multiple
    known = np.stack([_known(words[id(model)], ids, rows, sizes[id(model)], model, notes) for model in members])
    model_of, row_of, forced = _defaults(wanted, ids, known, members, words, leader if based else None)
    if lost := [token for token, row in ids.items() if model_of[row] == ZERO and not _zero(wanted, token)]:
        notes.append(f"no model has an embedding of {_few(lost)}: zeros")
    names = [token_tensors(m.tensors, sizes[id(m)], wanted.tensors, m.label) for m in members]
    instead = {}
    for place, model in enumerate(members):
        own = (known[place] >= 0) & ~forced
        origins = Origins(np.where(own, place, model_of), np.where(own, known[place], row_of), known)
        instead[id(model)] = {name: _reader(name, members, model, origins) for name in names[place]}
    notes.append(f"the vocabulary has {len(ids)} tokens in {rows} rows; {_few(names[0])} follow it")
    table = json.dumps([sorted(ids.items(), key=lambda item: item[1]), known.tolist(), model_of.tolist()])
    return Vocabulary(
        instead,
        tokenizer_files(lead, ids, [words[id(model)] for model in members]),
        rows,
        {"tokens": hashlib.sha256(table.encode()).hexdigest()},
        tuple(notes),
    )


def _reader(name: str, members: Sequence[Model], model: Model, origins: Origins) -> Callable[[], Tensor]:
    def read() -> Tensor:
        # A model with a tied head may lack the tensor; its table is the head then.
        tensors = [other.tensors[_held(name, other)] for other in members]
        return as_tensor(RowTensor(tensors, origins, model.tensors[name].dtype))

    return read


def _held(name: str, model: Model) -> str:
    if name in model.tensors:
        return name
    if name.endswith(".weight"):
        return table_of(model.tensors, model.label)[0]
    raise DataError(f"{model.label} lacks {name}, from which embeddings of other models' tokens would come")


def _needed_words(model: Model) -> Words:
    words = read_words(model.folder)
    if words is None:
        raise DataError(f"{model.label} has no tokenizer beside it, and the vocabulary of the result starts from it")
    return words


def _words(model: Model, first: Words, leader: Model, sizes: Mapping[int, int], notes: list[str]) -> Words:
    words = read_words(model.folder)
    if words is not None:
        return words
    if sizes[id(model)] != sizes[id(leader)]:
        raise DataError(
            f"{model.label} has no tokenizer beside it, and {sizes[id(model)]} rows where {leader.label} has "
            f"{sizes[id(leader)]}: which row is which token is unclear"
        )
    notes.append(f"{model.label} has no tokenizer: its rows are taken for those of {leader.label}")
    return first


def _known(words: Words, ids: Mapping[str, int], rows: int, size: int, model: Model, notes: list[str]) -> Ints:
    """Return the row of each token of the result in a model ``[V]``, negative where it has none."""
    known = np.full(rows, -1, dtype=np.int64)
    beyond = []
    for token, row in ids.items():
        own = words.ids.get(token, -1)
        if own >= size:
            beyond.append(token)
        else:
            known[row] = own
    if beyond:
        notes.append(f"{model.label} has no embedding of {_few(beyond)}, which its tokenizer knows")
    return known


def _defaults(
    wanted: Tokenizer,
    ids: Mapping[str, int],
    known: Ints,
    members: Sequence[Model],
    words: Mapping[int, Words],
    base_model: Model | None,
) -> tuple[Ints, Ints, Any]:
    """Return the model and row ``[V]`` that tokens come from in models that lack them, and which are forced on all.

    The only model that knows a token gives it to the others; of several it is the base, else the mean of them.
    """
    places = {id(model): place for place, model in enumerate(members)}
    rows = known.shape[1]
    model_of, row_of = np.full(rows, PADDING, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    used = np.zeros(rows, dtype=bool)
    used[list(ids.values())] = True
    count, base = (known >= 0).sum(axis=0), places.get(id(base_model))
    model_of[used] = np.select([count == 0, count == 1], [ZERO, (known >= 0).argmax(axis=0)], MEAN)[used]
    if base is not None:
        model_of[used & (known[base] >= 0)] = base
    single = model_of >= 0
    row_of[single] = known[model_of[single], np.flatnonzero(single)]
    forced = np.zeros(rows, dtype=bool)
    for token, source in wanted.tokens.items():
        row = ids[token]
        forced[row] = source.force
        if source.zero:
            model_of[row] = ZERO
        elif source.model is not None:
            donor = next((m for m in members if m.reference == source.model), None)
            if donor is None:
                raise ConfigurationError(f"token {token!r} comes from {source.model}, which is no model of the merge")
            model_of[row] = places[id(donor)]
            row_of[row] = _row(token, source, donor, words[id(donor)])
    return model_of, row_of, forced


def _row(token: str, source: TokenSource, donor: Model, words: Words) -> int:
    name = source.token or token
    row = source.row if source.row is not None else words.ids.get(name, -1)
    size = table_of(donor.tensors, donor.label)[1]
    if not 0 <= row < size:
        what = f"row {source.row}" if source.row is not None else f"token {name!r}"
        raise ConfigurationError(f"token {token!r} comes from {what} of {donor.label}, which has no such one")
    return row


def _zero(wanted: Tokenizer, token: str) -> bool:
    return token in wanted.tokens and wanted.tokens[token].zero


def _check_sizes(members: Sequence[Model]) -> None:
    sizes = {
        model.label: {name: model.tensors[name].shape[0] for name in model.tensors if TABLE.search(name)}
        for model in members
    }
    names = dict.fromkeys(name for found in sizes.values() for name in found)
    for name in names:
        rows = {label: found[name] for label, found in sizes.items() if name in found}
        if len(set(rows.values())) > 1:
            listed = ", ".join(f"{count} in {label}" for label, count in rows.items())
            raise DataError(
                f"{name} has {listed} rows: the vocabularies differ, or their padding does. Say which one the result "
                "has: `tokenizer_source: union`, `base`, or a model"
            )


def _few(names: Sequence[str], shown: int = 4) -> str:
    listed = ", ".join(map(repr, names[:shown]))
    return listed if len(names) <= shown else f"{listed} and {len(names) - shown} more"
