"""What was measured, one JSON line per run, so that an interrupted study goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Stage = Literal["tune", "test"]


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        problem: name of the data set.
        method: name of the method, or ``single:<task>``.
        stage: tuned runs are judged on validation rows, tested ones on test rows.
        sizes: rows, steps and batch size.
        options: of the method, beside its defaults.
        metrics: by task, NaN where it diverged.
        failure: why there are no metrics, else empty.
    """

    problem: str
    method: str
    stage: Stage
    seed: int
    rate: float
    options: dict[str, Any]
    sizes: dict[str, int]
    metrics: dict[str, float] = field(default_factory=dict)
    cpu_ms: float = 0.0
    wall_ms: float = 0.0
    failure: str = ""

    @property
    def key(self) -> str:
        """What was asked for, without what came out."""
        asked = (self.problem, self.method, self.stage, self.seed, self.rate, self.options, self.sizes)
        return json.dumps(asked, sort_keys=True)


class Results:
    """The runs in a file, in the order they were made; new ones are appended at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        self.runs = {run.key: run for run in (Run(**json.loads(line)) for line in lines if line.endswith("}"))}

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs.values())

    def find(self, wanted: Run) -> Run | None:
        """Return the run that was asked for in the same words, if it was made and did not fail."""
        found = self.runs.get(wanted.key)
        return None if found is None or found.failure else found

    def add(self, run: Run) -> None:
        """Keep a run. A line that an interruption cut short is left behind: readers pass over it."""
        self.runs[run.key] = run
        torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n") and self.path.stat().st_size > 0
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + json.dumps(asdict(run)) + "\n")
