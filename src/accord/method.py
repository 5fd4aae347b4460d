"""What a method is: the record on each class that feeds help, docs, tables and citations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Needs = Literal["nothing", "losses", "gramian", "jacobian", "parameters", "data", "rewards"]


@dataclass(frozen=True, slots=True)
class Method:
    """Facts about one published method; every registered class carries one as ``method``.

    Attributes:
        title: the name the field uses, e.g. ``"PCGrad"``.
        paper: title of the paper.
        year: year of publication.
        url: where to read it (arXiv or DOI).
        needs: what it looks at to decide.
        cost: one short phrase in T (tasks) and P (shared parameters), e.g. ``"T backwards + O(T^2 P)"``.
        catalogue: ids of the method catalogue that this class covers.
    """

    title: str
    paper: str
    year: int
    url: str
    needs: Needs
    cost: str
    catalogue: tuple[int, ...] = ()
