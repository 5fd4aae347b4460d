"""The methods once more, written for whole float64 vectors with none of the engine: the oracle of these tests."""

from __future__ import annotations

import numpy as np


def vector(state):
    return np.concatenate([tensor.double().numpy().reshape(-1) for tensor in state.values()])


def linear(base, models, weights):
    return sum(w * m for w, m in zip(weights, models, strict=True)) / sum(weights)


def task_arithmetic(base, models, scale):
    return base + sum(s * (m - base) for s, m in zip(scale, models, strict=True))


def slerp(first, second, t):
    lengths = np.linalg.norm(first) * np.linalg.norm(second)
    cosine = (first * second).sum() / lengths if lengths > 0 else 1.0
    if abs(cosine) > 0.9995:
        return (1 - t) * first + t * second
    angle = np.arccos(cosine)
    return (np.sin((1 - t) * angle) * first + np.sin(t * angle) * second) / np.sin(angle)


def trimmed(delta, density):
    kept = max(1, int(density * len(delta) + 1e-9))
    smallest = np.sort(np.abs(delta))[len(delta) - kept]
    return np.where(np.abs(delta) >= smallest, delta, 0.0)


def ties(base, models, density):
    merged = base.copy()
    deltas = [trimmed(m - base, density) for m in models]
    for place in range(len(base)):
        entries = [delta[place] for delta in deltas]
        agreeing = [e for e in entries if e * np.sign(sum(entries)) > 0]
        if agreeing:
            merged[place] += sum(agreeing) / len(agreeing)
    return merged


def model_stock(base, models):
    deltas = [m - base for m in models]
    n = len(models)
    pairs = [(i, j) for i in range(n) for j in range(i)]
    cosine = np.mean([deltas[i] @ deltas[j] / np.linalg.norm(deltas[i]) / np.linalg.norm(deltas[j]) for i, j in pairs])
    t = n * max(cosine, 0.0) / (1 + (n - 1) * max(cosine, 0.0))
    return t * np.mean(models, axis=0) + (1 - t) * base
