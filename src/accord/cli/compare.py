"""``accord compare``: many methods under the same conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Group, Parameter

from accord.cli import compare_runs
from accord.cli.progress import make_progress
from accord.cli.resolve import collect, unfinished
from accord.cli.words import free_directory, split_names

EXAMPLES = """\
Examples:
  accord compare census-income --targets income,marital_stat --methods cagrad
      Tune it, plain static weights and single-task models with the same
      effort; say whether it is better than plain weights, with intervals.
  accord compare s.yaml --methods upgrad,ple+upgrad --trials 8 --jobs 4
      + joins methods of sharing, balancing and sampling. Four runs at a time.

SOURCE is what accord fit takes, or a specification with a section compare: in
it (accord compare ... --dry-run prints one). The output directory holds
compare.yaml (complete), a record per finished run, compare.json and
compare.html. Ctrl-C or a kill loses at most the runs in flight; go on with
accord compare DIRECTORY --resume. Several machines: the same command on each,
with --out in a folder that all of them see and --storage."""

TABLE, COMPARISON, BUDGET, RUN = (
    Parameter(group=Group(name, sort_key=place))
    for place, name in enumerate(("Table", "Comparison", "Budget of each run", "Run"))
)

app = App(help_epilogue=EXAMPLES)


@app.default
def compare(
    source: str,
    /,
    *,
    targets: Annotated[list[str] | None, TABLE] = None,
    column: Annotated[list[str] | None, TABLE] = None,
    query: Annotated[str | None, TABLE] = None,
    test: Annotated[str | None, TABLE] = None,
    split: Annotated[str | None, TABLE] = None,
    split_column: Annotated[str | None, TABLE] = None,
    methods: Annotated[list[str] | None, COMPARISON] = None,
    trials: Annotated[int | None, COMPARISON] = None,
    seeds: Annotated[int | None, COMPARISON] = None,
    rope: Annotated[float | None, COMPARISON] = None,
    epochs: Annotated[int | None, BUDGET] = None,
    batch_size: Annotated[int | None, BUDGET] = None,
    learning_rate: Annotated[float | None, BUDGET] = None,
    seed: Annotated[int | None, BUDGET] = None,
    out: Annotated[Path | None, RUN] = None,
    jobs: Annotated[int, RUN] = 1,
    storage: Annotated[str | None, RUN] = None,
    resume: Annotated[bool, RUN] = False,
    dry_run: Annotated[bool, RUN] = False,
    set_: Annotated[list[str] | None, RUN, Parameter(name="--set")] = None,
    device: Annotated[str | None, RUN] = None,
    threads: Annotated[int | None, RUN] = None,
) -> int:
    """Compare methods under the same data, budget and tuning effort, with plain static weights as the one to beat.

    Args:
        source: a table, the name of a data set, a specification (.yaml), or with --resume a directory.
        targets: columns to predict, e.g. income,age:quantile; kinds are inferred where not given.
        column: correct an inferred kind, e.g. zip=categorical or note=drop; repeat for more.
        query: SQL that makes the table out of SOURCE.
        test: a second table with the test rows.
        split: how rows are divided: auto, given, random, stratified, grouped or time.
        split_column: the column that says the part, group or time.
        methods: of weighting, aggregation, sharing and sampling, e.g. cagrad,mmoe,ple+upgrad; see accord methods.
        trials: tuning runs of every method; the learning rate and the method's own options are searched.
        seeds: fresh seeds that the best trial of every method is tested with.
        rope: a difference in the relative gain of this many per cent does not matter.
        epochs: passes over the training rows at most.
        batch_size: rows per step.
        learning_rate: peak rate that the search begins with.
        seed: of tuning; fresh seeds count up from it.
        out: directory; runs/compare-NAME-OF-SOURCE when left out.
        jobs: runs at a time, each in a process of its own.
        storage: for several machines that share --out: a journal file or an SQL database's address, the same on each.
        resume: go on with the unfinished comparison in --out, or in SOURCE where that is its directory.
        dry_run: print the complete specification and what would be run, train nothing.
        set_: any key of the specification, e.g. compare.rate_factor=3 or training.patience=5; repeat for more.
        device: auto, cpu, cuda, cuda:1, mps.
        threads: CPU threads of each run; 0 divides the cores among the jobs.
    """
    from accord.comparing import Crew

    crew = Crew(jobs, storage)
    changes, asked = collect(locals(), "trials", "seeds", "rope")
    if methods:
        asked["methods"] = split_names(methods)
    if resume and out is None:
        source, out = unfinished(source, "compare.yaml")
    plan, compare_spec = compare_runs.resolve(source, split_names(targets), changes, asked)
    if dry_run:
        compare_runs.show(plan, compare_spec)
        return 0
    where = out or free_directory(f"compare-{Path(source).stem}")
    return compare_runs.execute(plan, compare_spec, where, crew, resume=resume, progress=make_progress())
