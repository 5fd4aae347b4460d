"""Census-Income, two tasks, one MMoE: Accord against torch-rechub 0.9.0 and DeepCTR-Torch 0.3.0.

Every library gets the same rows, columns, architecture (8 experts of 16, towers of 8, embeddings of 4), batch size,
epochs, Adam at 1e-3, seeds and threads, and is used as its own documentation uses it.

``fit``    one process, the libraries in turn (the order rotates), one model per seed: training rows/s and test AUC.
``start``  one fresh process per library and repetition: seconds until the first epoch begins and ends, peak memory.

Each measurement is one JSON line on standard output and in ``--out``; tables for people go to standard error.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import census
from contenders import NAMES, make
from contenders.contract import Contender, Laps, Settings
from measure import Lines, peak_mib

CHILD = "TABULAR_CHILD_STARTED"


def main() -> None:
    """Run what the command line asks for."""
    options = _parse()
    import torch

    torch.set_num_threads(options.threads)
    lines = Lines(options.out)
    if CHILD in os.environ:
        _child(options, lines)
        return
    with tempfile.TemporaryDirectory(prefix="accord-benchmark-") as folder:
        options.table = census.write(Path(folder))
        _measure(options, lines)


def _measure(options: argparse.Namespace, lines: Lines) -> None:
    lines.write("environment", torch=version("torch"), threads=options.threads, cores=os.cpu_count())
    if "fit" in options.what:
        _fit(options, lines)
    if "start" in options.what:
        _start(options, lines)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Census-Income: Accord against its peers.")
    parser.add_argument("what", nargs="*", default=["fit", "start"], help="fit, start (default: both)")
    parser.add_argument("--contenders", nargs="+", default=list(NAMES), choices=NAMES)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)  # for the fresh processes
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5, help="models per library")
    parser.add_argument("--repeats", type=int, default=5, help="fresh processes per library")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="append the JSON lines to this file")
    return parser.parse_args()


def rotations(names: list[str], rounds: int) -> list[list[str]]:
    """Return one order per round; each name comes first, second, ... equally often."""
    return [names[i % len(names) :] + names[: i % len(names)] for i in range(rounds)]


def _fit(options: argparse.Namespace, lines: Lines) -> None:
    contenders: dict[str, Contender] = {name: make(name) for name in options.contenders}
    for contender in contenders.values():
        contender.prepare(options.table)
    rows = census.part_rows(options.table, "train")
    from summary import Accuracy, Speed

    labels = census.test_labels(options.table)
    speed, accuracy = Speed(), Accuracy()
    for seed, order in enumerate(rotations(options.contenders, options.seeds)):
        settings = Settings(options.batch, options.epochs, seed)
        for name in order:
            laps = Laps()
            contenders[name].train(settings, laps)
            common = {"contender": name, "version": version(contenders[name].distribution), "batch": options.batch}
            for epoch, (wall, cpu) in enumerate(zip(laps.wall, laps.cpu, strict=True)):
                rate, cpu_rate = rows / wall, rows / cpu
                lines.write(
                    "epoch", **common, seed=seed, epoch=epoch, rows_per_second=rate, rows_per_cpu_second=cpu_rate
                )
                speed.add(name, seed, rate, cpu_rate)
            auc = accuracy.add(name, labels, contenders[name].predict())
            lines.write("auc", **common, seed=seed, epochs=options.epochs, income=auc[0], never_married=auc[1])
    for summary in (speed, accuracy):
        summary.write(lines, sys.stderr)


def _start(options: argparse.Namespace, lines: Lines) -> None:
    from summary import Start

    start = Start()
    for repeat, order in enumerate(rotations(options.contenders, options.repeats)):
        for name in order:
            start.add(name, repeat, _spawn(options, name))
    start.write(lines, sys.stderr)


def _spawn(options: argparse.Namespace, name: str) -> dict[str, float]:
    """Run this script for one library in a fresh process and return the line that it printed."""
    import json

    command = [sys.executable, __file__, "start", "--contenders", name, "--epochs", "1"]
    for option in ("table", "batch", "threads", "out"):
        if (value := getattr(options, option)) is not None:
            command += [f"--{option}", str(value)]
    environment = {**os.environ, CHILD: repr(time.monotonic())}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, end="", flush=True)
    return json.loads(done.stdout.splitlines()[-1])


def _child(options: argparse.Namespace, lines: Lines) -> None:
    """Prepare and train one epoch; say when it began and ended, counted from before this process existed."""
    began = float(os.environ[CHILD])
    marks: dict[str, float] = {}

    def mark(name: str) -> None:
        marks[name] = time.monotonic() - began
        marks[f"{name}_cpu"] = time.process_time()

    mark("imported")
    contender = make(options.contenders[0])
    contender.prepare(options.table)
    mark("prepared")
    laps = Laps(on_begin=lambda: mark("first_epoch"), on_end=lambda: mark("first_epoch_end"))
    contender.train(Settings(options.batch, options.epochs, 0), laps)
    fields = {"contender": contender.name, "version": version(contender.distribution), "batch": options.batch}
    lines.write("start", **fields, **marks, peak_mib=peak_mib())


if __name__ == "__main__":
    main()
