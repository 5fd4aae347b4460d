"""Which tensors have a row for each token, told by their names and checked by their sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

from accord.errors import DataError

# What architectures call the table that tokens are looked up in.
TABLE = re.compile(
    r"(^|\.)(embed_tokens|embed_in|wte|word_embeddings|tok_embeddings|token_embeddings?|tokens_embed|shared)\.weight$"
)
# And what gives a score for each token.
HEAD = re.compile(r"(^|\.)(lm_head|embed_out|output|decoder|predictions|generator|shared|score_head)(\.weight|\.bias)$")


def table_of(tensors: Mapping[str, Tensor], label: str) -> tuple[str, int]:
    """Return the name and the rows of the table of embeddings.

    Raises:
        DataError: there is none by a name known here, or several of different sizes.
    """
    sizes = {name: tensors[name].shape[0] for name in tensors if TABLE.search(name)}
    if not sizes:
        raise DataError(f"{label} has no tensor that is known as a table of embeddings, such as embed_tokens.weight")
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} ({rows})" for name, rows in sizes.items())
        raise DataError(f"{label} has tables of embeddings of different sizes: {listed}; which is whose is unclear")
    return next(iter(sizes.items()))


def token_tensors(tensors: Mapping[str, Tensor], rows: int, more: Sequence[str], label: str) -> list[str]:
    """Return the names of all tensors with a row for each token.

    Args:
        tensors: of a model.
        rows: of its table of embeddings.
        more: names that the recipe gives.
        label: of the model.

    Raises:
        DataError: a tensor has as many rows and a name that says nothing, or was named and has others.
    """
    found = []
    for name in tensors:
        size = tensors[name].shape[0] if tensors[name].ndim else 0
        if name in more or TABLE.search(name) or (HEAD.search(name) and size == rows):
            if size != rows:
                raise DataError(f"{label}: {name} has {size} rows and the table of embeddings {rows}")
            found.append(name)
        elif size == rows:
            raise DataError(
                f"{label}: {name} has {rows} rows, as many as there are tokens, and its name does not say whether they "
                "are; if so, add it to the tokenizer's `tensors`; if not, merge without a tokenizer source"
            )
    if missing := [name for name in more if name not in tensors]:
        raise DataError(f"{label} has no tensor {missing[0]}, which the tokenizer's `tensors` name")
    return found
