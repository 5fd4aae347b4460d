"""``accord fit``: table in; trained model, verdict and report out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Group, Parameter

from accord.cli import runs
from accord.cli.progress import make_progress
from accord.cli.resolve import collect, resolve, show, unfinished, write
from accord.cli.words import free_directory, split_names

EXAMPLES = """\
Examples:
  accord fit census-income --targets income,marital_stat --sharing mmoe
      Train on a built-in data set. Prints per task whether sharing helped, with
      its interval, and where the report is.
  accord fit sales.parquet --targets bought,price --dry-run --write-spec s.yaml
      Train nothing; show what was inferred and write it down. Correct s.yaml to
      your liking, then: accord fit s.yaml --out runs/sales

SOURCE is Parquet, CSV, Arrow, a folder or glob of these, a DuckDB or SQLite
file with --query, the name of a data set of `accord data`, or a specification
(.yaml). The run directory holds spec.yaml (complete, run it again with accord
fit), metrics.json, history.parquet, model.safetensors and report.html.
Ctrl-C stops training and still writes them; a run that was killed goes on with
accord fit RUN --resume exactly where its last checkpoint stood."""

# The help shows options in these panels, in this order.
TABLE, METHOD, BUDGET, RUN = (
    Parameter(group=Group(name, sort_key=place))
    for place, name in enumerate(("Table", "Method", "Budget and verdict", "Run"))
)

app = App(help_epilogue=EXAMPLES)


@app.default
def fit(
    source: str,
    /,
    *,
    targets: Annotated[list[str] | None, TABLE] = None,
    column: Annotated[list[str] | None, TABLE] = None,
    query: Annotated[str | None, TABLE] = None,
    test: Annotated[str | None, TABLE] = None,
    split: Annotated[str | None, TABLE] = None,
    split_column: Annotated[str | None, TABLE] = None,
    sharing: Annotated[str | None, METHOD] = None,
    balancing: Annotated[str | None, METHOD] = None,
    engine: Annotated[str | None, METHOD] = None,
    sampling: Annotated[str | None, METHOD] = None,
    conflict: Annotated[str | None, METHOD] = None,
    epochs: Annotated[int | None, BUDGET] = None,
    batch_size: Annotated[int | None, BUDGET] = None,
    learning_rate: Annotated[float | None, BUDGET] = None,
    seeds: Annotated[int | None, BUDGET] = None,
    seed: Annotated[int | None, BUDGET] = None,
    no_baselines: Annotated[bool, BUDGET] = False,
    out: Annotated[Path | None, RUN] = None,
    resume: Annotated[bool, RUN] = False,
    dry_run: Annotated[bool, RUN] = False,
    write_spec: Annotated[Path | None, RUN] = None,
    tracker: Annotated[list[str] | None, RUN] = None,
    set_: Annotated[list[str] | None, RUN, Parameter(name="--set")] = None,
    device: Annotated[str | None, RUN] = None,
    threads: Annotated[int | None, RUN] = None,
) -> int:
    """Train one model for several targets, and say whether sharing helped.

    Args:
        source: a table, the name of a data set, or a specification (.yaml).
        targets: columns to predict, e.g. income,age:quantile; kinds are inferred where not given.
        column: correct an inferred kind, e.g. zip=categorical or note=drop; repeat for more.
        query: SQL that makes the table out of SOURCE.
        test: a second table with the test rows.
        split: how rows are divided: auto, given, random, stratified, grouped or time.
        split_column: the column that says the part, group or time.
        sharing: which weights are shared; see accord methods --room sharing.
        balancing: who gets to move them; see accord methods --room weighting and --room aggregation.
        engine: how gradients of single tasks are computed: auto, loop, batched, gramian, grouped or sketch.
        sampling: whose rows the next batch has, where tasks have rows of their own; see accord methods --room sampling.
        conflict: where the report compares gradients: last (shared layer), or layers for each by itself.
        epochs: passes over the training rows at most.
        batch_size: rows per step.
        learning_rate: peak rate of AdamW.
        seeds: train this often, so that intervals cover the luck of initialisation too.
        seed: the first seed.
        no_baselines: leave out the single-task models under the same budget; then there is no verdict.
        out: run directory; runs/NAME-OF-SOURCE when left out.
        resume: go on with the unfinished run in --out, or in SOURCE where that is a run directory.
        dry_run: print the inferred columns and the complete specification, train nothing.
        write_spec: write the complete specification to this file.
        tracker: mirror the history to tensorboard, trackio or mlflow; repeat for more.
        set_: any key of the specification, e.g. training.patience=5; repeat for more.
        device: auto, cpu, cuda, cuda:1, mps.
        threads: CPU threads; 0 leaves PyTorch's own choice.
    """
    changes, _ = collect(locals())
    if resume and out is None:
        source, out = unfinished(source, "spec.yaml")
    plan = resolve(source, split_names(targets), changes)
    text = plan.spec.to_yaml()
    if write_spec:
        write(text, write_spec)
    if dry_run:
        show(plan, text)
        return 0
    where = out or free_directory(source)
    return runs.execute(plan, where, resume=resume, progress=make_progress(), trackers=split_names(tracker))
