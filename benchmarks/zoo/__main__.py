"""Train zoos, judge every merging method on them, and write docs/zoo.md.

python -m benchmarks.zoo run pictures --seeds 0 1 2     what is missing of it; trained weights are kept in --work
python -m benchmarks.zoo table                          the tables, as Markdown
python -m benchmarks.zoo page                           the tables and pictures of docs/zoo.md
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Container
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from benchmarks.zoo import language, lines, page, picture, pictures, sentences
from benchmarks.zoo.adapters import merge_as_adapters
from benchmarks.zoo.judge import Judge
from benchmarks.zoo.negate import forget, negate
from benchmarks.zoo.pairs import judge_pairs
from benchmarks.zoo.steer import steer
from benchmarks.zoo.task import Task
from benchmarks.zoo.train import Zoo

# A seed's fine-tunings are not the same to the bit on every machine. Methods are compared on the same weights alone:
# what was fine-tuned again is a zoo of its own.
KINDS = {"pictures": pictures, "sentences": sentences, "sentences-again": sentences, "adapters": language}


def run(kind: str, seeds: list[int], output: Path, work: Path, methods: list[str] | None = None) -> None:
    """Append one line per seed and method; what is there already is not made again."""
    for seed in seeds:
        tasks = KINDS[kind].load(seed)
        zoo = trained(kind, tasks, seed, work)
        done = _Done(output, kind, seed, methods)
        own = KINDS[kind]
        judge = Judge(zoo, tasks, own.BLOCKS, own.STEPS, own.SIZE, own.ONLY)
        folder = work / f"{kind}-{seed}"
        more = (
            merge_as_adapters(judge, folder, done),
            forget(judge, done),
            negate(judge, done),
            judge_pairs(judge, done),
            steer(judge, folder, own.FRONT, done),
        )
        for record in chain(judge.records(done), *more):
            with output.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"zoo": kind, "seed": seed, **_rounded(record)}) + "\n")


def trained(kind: str, tasks: list[Task], seed: int, work: Path) -> Zoo:
    """Return a zoo's weights, trained once."""
    path = work / f"{kind}-{seed}.safetensors"
    if path.is_file():
        return KINDS[kind].untrained(tasks).load(path)
    zoo = KINDS[kind].train(tasks, seed)
    zoo.save(path)
    return zoo


class _Done(Container[str]):
    """The methods that need not be judged: other processes may be at work on the same zoo."""

    def __init__(self, output: Path, kind: str, seed: int, methods: list[str] | None) -> None:
        self.output, self.key, self.methods = output, (kind, seed), methods

    def __contains__(self, name: object) -> bool:
        if self.methods is not None and name not in self.methods:
            return True
        return any((line["zoo"], line["seed"], line["method"]) == (*self.key, name) for line in lines.read(self.output))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=["run", "table", "page"])
    parser.add_argument("zoo", nargs="?", choices=sorted(KINDS), default="pictures")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", help="only these, by their names in the tables")
    parser.add_argument("--output", type=Path, default=lines.LINES)
    parser.add_argument("--work", type=Path, default=Path("runs/zoo"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.job == "run":
        run(chosen.zoo, chosen.seeds, chosen.output, chosen.work, chosen.methods)
    elif chosen.job == "page":
        found = lines.read(chosen.output)
        page.write(found)
        for kind in lines.kinds(found):
            picture.draw(found, kind)
    else:
        found = lines.read(chosen.output)
        print("\n\n".join(page.table(found, kind) for kind in lines.kinds(found)))


if __name__ == "__main__":
    main()
