"""Do groupers find planted groups, and do their groups beat random ones of the same sizes on 47 real tasks?

    python benchmarks/groupers.py [--work DIR] [--only planted,census] [--seeds 3] [--affinities ...] [--rows 9000]
                                  [--output FILE] [--table FILE]

One JSON line per measurement. ``planted``: tables of 4,000 rows whose binary tasks share features by group, 9 tasks in
3 groups and 24 in 4; how alike found and planted groups are (adjusted Rand index). ``census``: rows of
Census-Income whose columns became 47 binary tasks; delta-m of the proposed groups against random groups of the same
sizes, one model of all tasks, and a model for each, with intervals. CPU, one thread. A line that ``--output`` already
has is left out, and finished runs are kept under ``--work``, so that an interrupted benchmark goes on. ``--table``
prints an output as the documentation's tables.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from accord.data import open_table
from accord.grouping import (
    CKA,
    RSA,
    Affinity,
    Agglomerative,
    Budget,
    CompressionDistance,
    DataMaps,
    GradientCosine,
    InterTaskAffinity,
    LassoRelevance,
    TaskSelection,
    begin,
    parse_group,
    run_study,
)
from accord.grouping.labels import label_codes
from accord.grouping.members import some
from accord.grouping.watch import Watch, representation, sample
from accord.registry import snake
from accord.training import History, Silent, Spec, plan
from accord.training.interrupt import Stop
from accord.training.member import Context, make_trainer
from accord.training.prepare import Prepared, prepare
from accord.training.problem import Problem

AFFINITIES = (
    "inter_task_affinity",
    "gradient_cosine",
    "data_maps",
    "lasso_relevance",
    "task_selection",
    "compression_distance",
    "rsa",
    "cka",
)
SIZES = ((9, 3), (24, 4))
# Columns of Census-Income and the values of each that become tasks; a number is "above".
TASKS: dict[str, Sequence[str | float]] = {
    "class_of_worker": ("Private", "Self-employed-not incorporated"),
    "education": (
        "High school graduate",
        "Children",
        "Some college but no degree",
        "Bachelors degree(BA AB BS)",
        "7th and 8th grade",
    ),
    "marital_stat": ("Never married", "Married-civilian spouse present", "Divorced", "Widowed"),
    "major_industry_code": ("Retail trade", "Manufacturing-durable goods", "Education"),
    "major_occupation_code": (
        "Adm support including clerical",
        "Professional specialty",
        "Executive admin and managerial",
        "Other service",
        "Sales",
        "Precision production craft & repair",
    ),
    "race": ("White", "Black"),
    "hispanic_origin": ("All other",),
    "sex": ("Female",),
    "member_of_a_labor_union": ("No",),
    "full_or_part_time_employment_stat": ("Full-time schedules", "Not in labor force"),
    "dividends_from_stocks": (0,),
    "tax_filer_stat": ("Nonfiler", "Joint both under 65", "Single"),
    "detailed_household_summary_in_household": (
        "Householder",
        "Child under 18 never married",
        "Spouse of householder",
        "Child 18 or older",
        "Other relative of householder",
    ),
    "num_persons_worked_for_employer": (0, 1, 2, 3, 5),
    "family_members_under_18": ("Both parents present", "Mother only present"),
    "country_of_birth_self": ("United-States",),
    "citizenship": ("Foreign born- Not a citizen of U S ",),
    "weeks_worked_in_year": (51,),
    "income": ("50000+.",),
}
# Finer versions of columns that became tasks, and what is no property of a person.
LEFT_OUT = (
    "detailed_household_and_family_stat",
    "detailed_industry_recode",
    "detailed_occupation_recode",
    "own_business_or_self_employed",
    "instance_weight",
    "wage_per_hour",
    "capital_gains",
    "capital_losses",
)
OPTIONS: dict[str, Any] = {
    "training.epochs": 8,
    "training.batch_size": 256,
    "training.learning_rate": 5e-3,
    "training.threads": 1,
    "model.options": {"width": 32, "depth": 1},
}
CENSUS: dict[str, Any] = {
    "training.epochs": 6,
    "training.batch_size": 512,
    "training.learning_rate": 0.01,
    "data.split.test": 0.5,
    "data.split.validation": 0.1,
    "evaluation.resamples": 400,
}


def census(count: int) -> tuple[dict[str, Any], list[str]]:
    """Return ``count`` rows as columns, and the names of the 47 tasks."""
    rows = open_table("census-income").sample(count, seed=0).to_arrow()
    columns = {name: rows[name].to_pylist() for name in rows.column_names if name not in LEFT_OUT}
    tasks: dict[str, list[int]] = {}
    for name, values in TASKS.items():
        found = columns.pop(name)
        for value in values:
            above = not isinstance(value, str)
            label = f"{name} > {value}" if above else f"{name} = {value.strip()}"
            tasks[label] = [int(v is not None and (float(v) > value if above else v == value)) for v in found]
    return {**columns, **tasks}, list(tasks)


def planted(
    seed: int, tasks: int, groups: int, rows: int = 4000, inputs: int = 16
) -> tuple[dict[str, Any], np.ndarray]:
    """Return a table of binary tasks ``t0`` ... and the group of each.

    A group has four bent directions of the inputs; a task is whether a positive combination of them, with a
    tenth of noise in variance, is above its median.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, inputs))
    table: dict[str, Any] = {f"x{i}": x[:, i].round(4) for i in range(inputs)}
    # Orthogonal, as random directions of two groups may happen to be alike: then they are rightly put together.
    directions = np.linalg.qr(rng.normal(size=(inputs, inputs)))[0]
    features = [np.tanh(2 * x @ directions[:, 4 * g : 4 * g + 4]) for g in range(groups)]
    labels = rng.permutation(np.arange(tasks) % groups)
    for t, label in enumerate(labels):
        score = features[label] @ np.abs(rng.normal(size=4))
        score = score + 0.33 * score.std() * rng.normal(size=rows)
        table[f"t{t}"] = (score > np.median(score)).astype(int)
    return table, labels


def adjusted_rand(first: Sequence[int], second: Sequence[int]) -> float:
    """Return how alike two partitions are: 1 the same, 0 as alike as chance makes them (Hubert and Arabie, 1985)."""
    a, b = (np.equal.outer(np.asarray(x), np.asarray(x))[np.triu_indices(len(x), 1)] for x in (first, second))
    expected = a.sum() * b.sum() / len(a)
    most = (a.sum() + b.sum()) / 2
    return float(((a & b).sum() - expected) / (most - expected)) if most != expected else 1.0


def measure_planted(seed: int, tasks: int, groups: int) -> dict[str, Any]:
    """All affinities that look on at joint training look on at the same one."""
    table, truth = planted(seed, tasks, groups)
    what = plan(table, targets=[f"t{t}" for t in range(tasks)], options={**OPTIONS, "training.batch_size": 128})
    prepared = prepare(what.spec, what.table)
    watching = [make(tasks) for make in (InterTaskAffinity, GradientCosine, DataMaps, LassoRelevance, TaskSelection)]
    watch = Watch(watching, seed)
    watch.finish(train(what.spec, prepared, seed, watch))
    alone = [train(what.spec, some(prepared, [t]), seed) for t in range(tasks)]
    seen = [representation(one, sample(one.validation, seed, 512)) for one in alone]
    reading: list[Affinity] = [RSA(tasks), CKA(tasks)]
    for affinity in reading:
        affinity.observe(representations=seen)
    labels = CompressionDistance(tasks)
    labels.observe(labels=label_codes(prepared, seed))
    found = {}
    for affinity in (*watching, *reading, labels):
        partition = Agglomerative()(affinity.matrix(), Budget(groups), neutral=affinity.neutral)
        found[snake(type(affinity).__name__)] = adjusted_rand(partition.server, truth.tolist())
    return {"adjusted_rand": found}


def train(spec: Spec, prepared: Prepared, seed: int, watch: Watch | None = None) -> Problem:
    """Return a trained model of the tasks of ``prepared``."""

    with TemporaryDirectory() as folder, torch.random.fork_rng():
        context = Context(spec, Path(folder), History(), Silent(), Stop(), torch.device("cpu"))
        trainer, problem = make_trainer(context, prepared, ("planted", seed), Path(folder) / "state.safetensors")
        trainer.watcher = watch
        torch.manual_seed(seed)
        trainer.train()
    return problem


def measure_census(work: Path, affinity: str, groups: int, seeds: int, rows: int) -> dict[str, Any]:
    """One directory for all affinities: single models, and the model of all tasks, are trained once."""
    table, tasks = census(rows)
    what = plan(table, targets=tasks, options={**OPTIONS, **CENSUS})
    asked = {"affinity": affinity, "groups": groups, "measure": True, "seeds": seeds}
    found = run_study(begin(what, parse_group(asked), work / f"census-{rows}", resume=True)).results
    assert found is not None
    measured = found["measured"]
    kept = ("key", "cost", "seconds", "delta_m")
    return {
        "tasks": len(tasks),
        "parts": found["rows"],
        "sizes": [len(group["tasks"]) for group in found["groups"]],
        "contestants": [{name: one[name] for name in kept} for one in measured["contestants"]],
        "against": measured["against"],
        "agreement": measured["agreement"],
        "probe_seconds": found["effort"]["probe_seconds"],
        "proposal": [group["tasks"] for group in found["groups"]],
    }


def questions(only: Sequence[str], seeds: int, affinities: Sequence[str], rows: int) -> Iterator[dict[str, Any]]:
    """Yield what is to be measured."""
    if "planted" in only:
        for tasks, groups in SIZES:
            for seed in range(seeds):
                yield {"part": "planted", "tasks": tasks, "groups": groups, "seed": seed}
    if "census" in only:
        for affinity in affinities:
            yield {"part": "census", "affinity": affinity, "groups": 5, "seeds": seeds, "rows": rows}


def answer(question: dict[str, Any], work: Path) -> dict[str, Any]:
    if question["part"] == "planted":
        return measure_planted(question["seed"], question["tasks"], question["groups"])
    return measure_census(work, question["affinity"], question["groups"], question["seeds"], question["rows"])


def tables(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the documentation's two tables."""
    planted = [line for line in lines if line["part"] == "planted"]
    sizes = sorted({(line["tasks"], line["groups"]) for line in planted})
    yield f"| affinity | {' | '.join(f'{tasks} tasks, {groups} groups' for tasks, groups in sizes)} |"
    yield f"| --- |{' --- |' * len(sizes)}"
    for affinity in AFFINITIES:
        found = [[line["adjusted_rand"][affinity] for line in planted if line["tasks"] == size] for size, _ in sizes]
        cells = [f"{np.mean(one):.2f} ({min(one):.2f} to {max(one):.2f})" for one in found]
        yield f"| `{affinity}` | {' | '.join(cells)} |"
    yield ""
    yield "| affinity | delta-m, % | to random groups | to all together | to each alone | predicted and measured |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for line in lines:
        if line["part"] == "census":
            gaps = {gap["other"]: gap for gap in line["against"]}
            own = next(one for one in line["contestants"] if one["key"] == "groups")["delta_m"]
            shown = [f"{own['value']:+.2f}", *(_gap(gaps[key]) for key in ("random", "together", "singles"))]
            rho = line["agreement"]
            agreed = f"{rho['spearman']:+.2f} (p = {rho['p']:.2g})" if rho else "–"
            yield f"| `{line['affinity']}` | {' | '.join(shown)} | {agreed} |"


def _gap(gap: dict[str, Any]) -> str:
    mark = {"better": "**", "worse": "_"}.get(gap["outcome"], "")
    return f"{mark}{gap['value']:+.2f}{mark} [{gap['low']:+.2f}, {gap['high']:+.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("runs/groupers"))
    parser.add_argument("--only", default="planted,census")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--affinities", default=",".join(AFFINITIES))
    parser.add_argument("--rows", type=int, default=9_000)
    parser.add_argument("--output", type=Path, default=Path("groupers.jsonl"))
    parser.add_argument("--table", type=Path)
    words = parser.parse_args()
    if words.table:
        print("\n".join(tables([json.loads(line) for line in words.table.read_text("utf-8").splitlines()])))
        return
    done = [json.loads(line) for line in words.output.read_text("utf-8").splitlines()] if words.output.exists() else []
    for question in questions(words.only.split(","), words.seeds, words.affinities.split(","), words.rows):
        if any(question.items() <= line.items() for line in done):
            continue
        line = {**question, **answer(question, words.work)}
        with words.output.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
