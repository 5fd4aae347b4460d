"""What `accord compare` costs beside the training that it manages.

    python benchmarks/compare.py [--rows 40000] [--epochs 10] [--trials 1] [--seeds 1] [--storage]

A real `accord compare` of CAGrad with tuned plain weights on rows of Census-Income, two targets, one job, one thread,
in a process of its own. Overhead is all that this process spends but training, validation included, over training:
``overhead_percent`` in processor time, so that a busy machine does not matter, ``wall_percent`` in wall time. In
processor seconds, ``before`` is what comes before the first run (start, imports, reading the table), ``between`` what
comes between runs (test predictions, records, claims), ``after`` what comes after the last one (intervals, ranks, the
page). With ``--storage`` claims go through a journal, as for several machines. One JSON line, with the machine's load.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accord.data import open_table, write_parquet


def measured(options: argparse.Namespace, place: Path) -> dict[str, Any]:
    """Return the figures of one comparison."""
    rows = open_table("census-income").sample(options.rows, seed=0).to_arrow()
    write_parquet(place / "census.parquet", {name: rows[name] for name in rows.column_names})
    budget = {"epochs": options.epochs, "threads": 1, "trials": options.trials, "seeds": options.seeds}
    asked = [part for name, value in budget.items() for part in (f"--{name}", str(value))]
    asked += ["--targets", "income,marital_stat", "--methods", "cagrad", "--out", str(place / "study")]
    asked += ["--column", "instance_weight=drop", "--set", "training.patience=0", "--device", "cpu"]
    asked += ["--storage", str(place / "claims.log")] if options.storage else []
    command = [sys.executable, __file__, "--inside", str(place / "times.json"), str(place / "census.parquet"), *asked]
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall = time.monotonic() - began
    times = json.loads((place / "times.json").read_text("utf-8"))
    training = sum(end - start for start, end in times["runs"])
    before, last = times["runs"][0][0], times["runs"][-1][1]
    effort = json.loads((place / "study" / "compare.json").read_text("utf-8"))["effort"]
    return {
        **{name: getattr(options, name) for name in ("rows", "epochs", "trials", "seeds", "storage")},
        "runs": len(times["runs"]),
        "training_seconds": round(training, 1),
        "before": round(before, 1),
        "between": round(last - before - training, 1),
        "after": round(times["whole"] - last, 1),
        "overhead_percent": round(100 * (times["whole"] / training - 1), 2),
        "wall_percent": round(100 * (wall / effort["training_seconds"] - 1), 2),
        "load": round(os.getloadavg()[0], 1),
    }


def inside(times: Path, arguments: Sequence[str]) -> None:
    """Run ``accord compare`` in this process, and write when, on the clock of its processor time, it was training."""
    from accord.cli.app import main as accord
    from accord.training.loop import Outcome, Trainer

    runs: list[tuple[float, float]] = []
    train = Trainer.train

    def timed(trainer: Trainer) -> Outcome:
        began = time.process_time()
        outcome = train(trainer)
        runs.append((began, time.process_time()))
        return outcome

    Trainer.train = timed
    code = accord(["compare", *arguments])
    times.write_text(json.dumps({"runs": runs, "whole": time.process_time()}), "utf-8")
    sys.exit(code)


def main() -> None:
    if sys.argv[1:2] == ["--inside"]:
        inside(Path(sys.argv[2]), sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("rows", 40_000), ("epochs", 10), ("trials", 1), ("seeds", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--storage", action="store_true")
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(measured(parser.parse_args(), Path(place))))


if __name__ == "__main__":
    main()
