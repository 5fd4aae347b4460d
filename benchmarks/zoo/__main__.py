"""Train zoos, judge every method, and print the table.

python -m benchmarks.zoo run --seeds 3 --output zoo.jsonl
python -m benchmarks.zoo table zoo.jsonl
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import torch
from benchmarks.zoo.judge import judge
from benchmarks.zoo.pictures import FASHION, load
from benchmarks.zoo.train import train


def run(seeds: int, output: Path, fashion: Path) -> None:
    """Append one line per seed and method; seeds that are complete are left out."""
    tasks, done = load(fashion), {line["seed"] for line in _lines(output) if line["method"] == "distillation"}
    for seed in set(range(seeds)) - done:
        zoo = train(tasks, seed)
        with output.open("a", encoding="utf-8") as file:
            for record in judge(zoo, tasks):
                file.write(json.dumps({"seed": seed, **record}) + "\n")
                file.flush()


def table(output: Path) -> str:
    """Return the table of means over seeds, best first, as Markdown."""
    found: dict[str, list[dict]] = defaultdict(list)
    for line in {(line["seed"], line["method"]): line for line in _lines(output)}.values():
        found[line["method"]].append(line)
    tasks = list(next(iter(found.values()))[0]["accuracy"])
    rows = [f"| method | mean | {' | '.join(tasks)} |", f"| --- {'| --- ' * (len(tasks) + 1)}|"]
    for name, lines in sorted(found.items(), key=lambda item: -_mean([line["mean"] for line in item[1]])):
        means = [100 * line["mean"] for line in lines]
        spread = f" ± {torch.tensor(means).std():.1f}" if len(means) > 1 else ""
        each = [f"{100 * _mean([line['accuracy'][task] for line in lines]):.1f}" for task in tasks]
        rows.append(f"| {name} | {_mean(means):.1f}{spread} | {' | '.join(each)} |")
    return "\n".join(rows)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=["run", "table"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("zoo.jsonl"))
    parser.add_argument("--fashion", type=Path, default=FASHION)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    if chosen.job == "run":
        run(chosen.seeds, chosen.output, chosen.fashion)
    print(table(chosen.output))


main()
