"""Census-Income: earns over 50,000, has never married, went to college; as in the MMoE paper (Ma et al., 2018)."""

from __future__ import annotations

import numpy as np
import torch
from benchmarks.study.problem import About, Part, Problem, Sizes

from accord.data import FeatureEncoder, FeatureLayout, Table, datasets, infer_schema, open_table
from accord.sharing import FeatureStem, Heads, MMoE, MultiTaskModel

SIZES = Sizes(train=40_000, validation=20_000, test=40_000, steps=120, batch=256)
ABOUT = About(
    "Census-Income",
    "binary",
    "People of the census of 1994 and 1995, random rows of the original training and test parts; three tasks: earns "
    "over 50,000 (6 % do), has never married, went to college. The columns of the tasks are no features of the others.",
    "MMoE with four experts of 32, embeddings of 4, towers of 8.",
)
COLLEGE = (
    "Some college but no degree",
    "Associates degree-occup /vocational",
    "Associates degree-academic program",
    "Bachelors degree(BA AB BS)",
    "Masters degree(MA MS MEng MEd MSW MBA)",
    "Prof school degree (MD DDS DVM LLB JD)",
    "Doctorate degree(PhD EdD)",
)
# A task is a column and the values that count as yes.
TASKS = {
    "income": ("income", ("50000+.",)),
    "never married": ("marital_stat", ("Never married",)),
    "college": ("education", COLLEGE),
}


def load(sizes: Sizes = SIZES) -> Problem:
    """Return the problem, from the copy that comes with Accord: its own test rows, both parts thinned out at random."""
    folder = datasets.download("census-income")
    train, test = (open_table(folder / f"{part}.parquet") for part in ("train", "test"))
    order = np.random.default_rng(0).permutation(len(train))
    validation = train.take(np.sort(order[: sizes.validation]))
    train = train.take(np.sort(order[sizes.validation : sizes.validation + sizes.train]))
    columns = [column for column, _ in TASKS.values()]
    schema = infer_schema(train, columns, overrides={"instance_weight": "drop"})
    encoder = FeatureEncoder.fit(train, schema)
    tables = (train, validation, test.sample(sizes.test, seed=0))
    fitted, held, fresh = (Part(encoder.transform(table), labels(table)) for table in tables)

    def build(tasks: int) -> MultiTaskModel:
        return model(encoder.layout, tasks)

    return Problem("census", tuple(TASKS), ABOUT.kind, sizes, fitted, held, fresh, build)


def labels(table: Table) -> torch.Tensor:
    """Return ``[N, 3]`` float32, 1 for yes."""
    columns = table.to_arrow([column for column, _ in TASKS.values()]).to_pydict()
    answers = [[value in yes for value in columns[column]] for column, yes in TASKS.values()]
    return torch.tensor(answers, dtype=torch.float32).T.contiguous()


def model(layout: FeatureLayout, tasks: int) -> MultiTaskModel:
    """Return an MMoE of four experts over embedded columns, with small towers."""
    stem = FeatureStem(layout, numeric="identity", categorical_dim=4)
    sharing = MMoE(stem.out_features, tasks, experts=4, hidden=32)
    return MultiTaskModel(stem, sharing, Heads(sharing.out_features, [1] * tasks, tower=(8,)))
