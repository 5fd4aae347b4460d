"""Greedy colouring of small graphs."""

from __future__ import annotations

import numpy as np


def colour(edges: np.ndarray) -> list[list[int]]:
    """Return classes of vertices without an edge inside, by the greedy rule of Welsh and Powell (1967).

    Vertices with more neighbours come first, those with equally many by their number; each joins the first class in
    which it has no neighbour. At most one class more than the largest number of neighbours is needed.

    Args:
        edges: ``[V, V]`` bool, symmetric; the diagonal is ignored.
    """
    classes: list[list[int]] = []
    for vertex in np.argsort(-neighbours(edges).sum(axis=1), kind="stable").tolist():
        free = (members for members in classes if fits(vertex, members, edges))
        home = next(free, None)
        if home is None:
            classes.append([vertex])
        else:
            home.append(vertex)
    return [sorted(members) for members in classes]


def extended(classes: list[list[int]], edges: np.ndarray, visits: int) -> list[list[int]]:
    """Return ``classes`` with every vertex in ``visits`` of them where edges allow, the first ones first."""
    grown = [list(members) for members in classes]
    for vertex in range(len(edges)):
        for members in grown:
            times = sum(vertex in each for each in grown)
            if times < visits and vertex not in members and fits(vertex, members, edges):
                members.append(vertex)
    return [sorted(members) for members in grown]


def fits(vertex: int, members: list[int], edges: np.ndarray) -> bool:
    """Return whether ``vertex`` has no neighbour among ``members``."""
    return not edges[vertex, members].any()


def neighbours(edges: np.ndarray) -> np.ndarray:
    """Return ``edges`` without loops."""
    return edges & ~np.eye(len(edges), dtype=bool)
