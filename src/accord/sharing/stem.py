"""From a table's features to one vector per row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError, suggest
from accord.sharing.categorical import CategoricalEmbedding
from accord.sharing.layers import check_positive
from accord.sharing.numeric import NumericEmbedding, Periodic, PiecewiseLinear
from accord.sharing.text import TextEmbedding

if TYPE_CHECKING:
    from accord.data.features import FeatureLayout, Features

_NUMERIC = ("piecewise_linear", "periodic", "identity")


class FeatureStem(nn.Module):
    """Embeds every column and lays the embeddings side by side: features of B rows to ``[B, D]``.

    Numbers enter as they are (standardised) and, unless ``numeric="identity"``, embedded; missing-value indicators
    enter as they are; categories and text are embedded.

    Args:
        layout: what the features hold.
        numeric: ``"piecewise_linear"``, ``"periodic"`` or ``"identity"``.
        numeric_dim: width of each embedded number.
        categorical_dim: width of each embedded category; by cardinality when ``None``.
        text_dim: width of each embedded text.
        constant: numbers that stand behind the features of every row, such as the preference that a model with a whole
            front was asked for.
        generator: source of the initial weights.

    Raises:
        ConfigurationError: an option is unknown or out of range, or there are no features at all.
    """

    constant: Tensor

    def __init__(
        self,
        layout: FeatureLayout,
        *,
        numeric: Literal["piecewise_linear", "periodic", "identity"] = "piecewise_linear",
        numeric_dim: int = 8,
        categorical_dim: int | None = None,
        text_dim: int = 32,
        constant: Sequence[float] = (),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if layout.num_columns == 0:
            raise ConfigurationError(
                "there are no features to learn from: keep at least one column that is not a target."
            )
        for value, name in (
            (numeric_dim, "numeric_dim"),
            (categorical_dim or 1, "categorical_dim"),
            (text_dim, "text_dim"),
        ):
            check_positive(value, name)
        self.numeric = _numeric(layout, numeric, numeric_dim, generator)
        self.categorical = (
            CategoricalEmbedding(layout.cardinalities, categorical_dim, generator) if layout.categorical else None
        )
        self.text = TextEmbedding(layout.text_buckets, len(layout.text), text_dim, generator) if layout.text else None
        embedded = (part.out_features for part in (self.numeric, self.categorical, self.text) if part is not None)
        # What it is stands in the specification, and so it is no part of the weights.
        self.register_buffer("constant", torch.tensor(constant, dtype=torch.float32), persistent=False)
        self.out_features = len(layout.numeric) + len(layout.indicators) + sum(embedded) + len(constant)

    def forward(self, features: Features) -> Tensor:
        """Return ``[B, D]``."""
        parts = [features.numeric, features.indicators]
        if self.numeric is not None:
            parts.append(self.numeric(features.numeric))
        if self.categorical is not None:
            parts.append(self.categorical(features.categorical))
        if self.text is not None:
            parts.append(self.text(features.text))
        parts.append(self.constant.expand(features.numeric.shape[0], -1))
        filled = [part for part in parts if part.shape[1]]
        return filled[0] if len(filled) == 1 else torch.cat(filled, 1)


def _numeric(layout: FeatureLayout, name: str, dim: int, generator: torch.Generator | None) -> NumericEmbedding | None:
    if name not in _NUMERIC:
        raise ConfigurationError(f"unknown numeric embedding {name!r}. {suggest(name, _NUMERIC)}")
    if not layout.numeric or name == "identity":
        return None
    if name == "periodic":
        return Periodic(len(layout.numeric), dim, generator=generator)
    return PiecewiseLinear(layout.edges, dim, generator)
