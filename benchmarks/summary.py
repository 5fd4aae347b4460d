"""Medians, ratios and intervals over the measurements, as JSON lines for programs and as tables for people."""

# pyright: reportMissingImports=false
from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import numpy as np
from measure import Lines, difference_interval, mean_interval

OURS = "accord"
TASKS = ("income", "never_married")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], out: TextIO) -> None:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        cells = [
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip(), file=out)
    print(file=out)


def _paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    return [ours[i] / theirs[i] for i in ours if i in theirs]


class Speed:
    """Training rows per second; ratios are taken within a round, where both saw the same neighbours on the machine."""

    def __init__(self) -> None:
        self.rates: dict[str, dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))

    def add(self, name: str, seed: int, rate: float, cpu_rate: float) -> None:
        self.rates[name][seed].append((rate, cpu_rate))

    def rounds(self, name: str, which: int = 0) -> dict[int, float]:
        """Return the median over epochs of each round: of wall (0) or CPU (1) rates."""
        return {seed: statistics.median(r[which] for r in rates) for seed, rates in self.rates[name].items()}

    def write(self, lines: Lines, out: TextIO) -> None:
        rows = []
        for name, rates in self.rates.items():
            wall = statistics.median(self.rounds(name).values())
            cpu = statistics.median(self.rounds(name, 1).values())
            best = max(rate for found in rates.values() for rate, _ in found)
            ratios = _paired(self.rounds(OURS), self.rounds(name)) if OURS in self.rates else []
            ratio = statistics.median(ratios) if ratios else None
            fields = {"rows_per_second": wall, "rows_per_cpu_second": cpu, "best": best, "accord_is_faster_by": ratio}
            lines.write("speed", contender=name, **fields, ratios=ratios)
            shown = f"{ratio:.2f}x" if ratio else "-"
            rows.append([name, f"{wall:,.0f}", f"{cpu:,.0f}", f"{best:,.0f}", shown])
        _table(["training", "rows/s", "rows/CPU s", "best rows/s", "Accord / it"], rows, out)


class Accuracy:
    """Test AUC per task; differences with the 95 % Welch interval over seeds."""

    def __init__(self) -> None:
        self.found: dict[str, list[tuple[float, float]]] = defaultdict(list)

    def add(self, name: str, labels: np.ndarray, predictions: np.ndarray) -> tuple[float, float]:
        from sklearn.metrics import roc_auc_score  # neither Accord's metric nor a peer's: one judge for all

        auc = tuple(float(roc_auc_score(labels[:, i], predictions[:, i])) for i in range(len(TASKS)))
        self.found[name].append(auc)  # type: ignore[arg-type]
        return auc  # type: ignore[return-value]

    def write(self, lines: Lines, out: TextIO) -> None:
        rows = []
        for name, found in self.found.items():
            row, fields = [name], dict[str, Any]()
            for i, task in enumerate(TASKS):
                values = [auc[i] for auc in found]
                mean, half = mean_interval(values)
                fields[task] = {"mean": mean, "half_width": half, "seeds": len(values)}
                row += [f"{mean:.4f} ± {half:.4f}"]
                if OURS in self.found:
                    gap, width = difference_interval([auc[i] for auc in self.found[OURS]], values)
                    fields[task] |= {
                        "accord_minus_it": gap,
                        "gap_half_width": width,
                        "accord_not_below": gap + width >= 0,
                    }
                    row += [f"{gap:+.4f} ± {width:.4f}"]
            lines.write("accuracy", contender=name, **fields)
            rows.append(row)
        gaps = ["Accord - it"] if OURS in self.found else []
        _table(["test AUC", "income", *gaps, "never married", *gaps], rows, out)


class Start:
    """Seconds from before the process existed, and its peak memory; ratios are taken within a repetition."""

    fields = ("imported", "prepared", "first_epoch", "first_epoch_end", "first_epoch_cpu", "peak_mib")

    def __init__(self) -> None:
        self.found: dict[str, dict[int, dict[str, float]]] = defaultdict(dict)

    def add(self, name: str, repeat: int, line: dict[str, float]) -> None:
        self.found[name][repeat] = line

    def write(self, lines: Lines, out: TextIO) -> None:
        rows = []
        for name, found in self.found.items():
            medians = {field: statistics.median(line[field] for line in found.values()) for field in self.fields}
            shares = {}
            if OURS in self.found:
                for field in ("first_epoch", "first_epoch_cpu", "first_epoch_end", "peak_mib"):
                    pairs = [{i: line[field] for i, line in self.found[who].items()} for who in (OURS, name)]
                    shares[f"accord_{field}_share"] = statistics.median(_paired(*pairs))
            lines.write("start_summary", contender=name, **medians, **shares)
            seconds = [f"{medians[field]:.2f}" for field in self.fields[:-1]]
            rows.append([name, *seconds, f"{medians['peak_mib']:,.0f}", *(f"{s:.2f}" for s in shares.values())])
        shares = ["begin share", "CPU share", "end share", "memory share"] if OURS in self.found else []
        _table(
            ["start, s", "imported", "prepared", "epoch begins", "ends", "CPU s to begin", "peak MiB", *shares],
            rows,
            out,
        )
