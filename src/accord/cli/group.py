"""``accord group``: which tasks should train together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Group, Parameter

from accord.cli import group_runs
from accord.cli.progress import make_progress
from accord.cli.resolve import collect, show, unfinished
from accord.cli.words import free_directory, split_names

EXAMPLES = """\
Examples:
  accord group census-income --targets income,marital_stat,sex,education
      Who helps whom, groups for at most three encoders, and a specification
      for each, ready for accord fit.
  accord group s.yaml --budget 2x --measure --seeds 5 --jobs 4 --out runs/g
      Groups for the compute of two models of all tasks; then train them, all
      tasks together, each alone, and random groups, and compare them.

SOURCE is what accord fit takes, or a specification with a section group: in it
(accord group ... --dry-run prints one). The output directory holds group.yaml
(complete), groups/group-1.yaml ... for accord fit, a record per finished run,
group.json and group.html. Ctrl-C or a kill loses at most the runs in flight;
go on with accord group DIRECTORY --resume, also to measure a proposal later."""

TABLE, GROUPING, BUDGET, RUN = (
    Parameter(group=Group(name, sort_key=place))
    for place, name in enumerate(("Table", "Grouping", "Budget of each run", "Run"))
)

app = App(help_epilogue=EXAMPLES)


@app.default
def group(
    source: str,
    /,
    *,
    targets: Annotated[list[str] | None, TABLE] = None,
    column: Annotated[list[str] | None, TABLE] = None,
    query: Annotated[str | None, TABLE] = None,
    test: Annotated[str | None, TABLE] = None,
    split: Annotated[str | None, TABLE] = None,
    split_column: Annotated[str | None, TABLE] = None,
    budget: Annotated[str | None, GROUPING] = None,
    affinity: Annotated[str | None, GROUPING] = None,
    partitioner: Annotated[str | None, GROUPING] = None,
    measure: Annotated[bool, GROUPING] = False,
    seeds: Annotated[int | None, GROUPING] = None,
    merged: Annotated[float | None, GROUPING] = None,
    sharing: Annotated[str | None, BUDGET] = None,
    balancing: Annotated[str | None, BUDGET] = None,
    epochs: Annotated[int | None, BUDGET] = None,
    batch_size: Annotated[int | None, BUDGET] = None,
    learning_rate: Annotated[float | None, BUDGET] = None,
    seed: Annotated[int | None, BUDGET] = None,
    out: Annotated[Path | None, RUN] = None,
    jobs: Annotated[int, RUN] = 1,
    resume: Annotated[bool, RUN] = False,
    dry_run: Annotated[bool, RUN] = False,
    set_: Annotated[list[str] | None, RUN, Parameter(name="--set")] = None,
    device: Annotated[str | None, RUN] = None,
    threads: Annotated[int | None, RUN] = None,
) -> int:
    """Say which tasks should train together, and with --measure what that is worth.

    Args:
        source: a table, the name of a data set, a specification (.yaml), or with --resume a directory.
        targets: columns to predict, e.g. income,age:quantile; kinds are inferred where not given.
        column: correct an inferred kind, e.g. zip=categorical or note=drop; repeat for more.
        query: SQL that makes the table out of SOURCE.
        test: a second table with the test rows.
        split: how rows are divided: auto, given, random, stratified, grouped or time.
        split_column: the column that says the part, group or time.
        budget: at most so many groups, e.g. 3, or so many times the compute of one model of all tasks, e.g. 2.5x.
        affinity: who helps whom, e.g. inter_task_affinity, data_maps; see accord methods --room grouping.
        partitioner: how groups are made, e.g. agglomerative; auto is exact up to 12 tasks.
        measure: train the groups, all tasks together, each alone and random groups, and compare them.
        seeds: how often each of them is trained to be measured.
        merged: fraction of the epochs that all tasks train together before they are split, measured as well.
        sharing: which weights are shared within a group; see accord methods --room sharing.
        balancing: who gets to move them; see accord methods --room weighting and --room aggregation.
        epochs: passes over the training rows at most.
        batch_size: rows per step.
        learning_rate: peak rate of AdamW.
        seed: of the look at the tasks; seeds of measured runs count up from it.
        out: directory; runs/group-NAME-OF-SOURCE when left out.
        jobs: runs at a time, each in a process of its own.
        resume: go on with the grouping in --out, or in SOURCE where that is its directory.
        dry_run: print the complete specification and what would be run, train nothing.
        set_: any key of the specification, e.g. group.affinity_options.penalty=0.2; repeat for more.
        device: auto, cpu, cuda, cuda:1, mps.
        threads: CPU threads of each run; 0 divides the cores among the jobs.
    """
    changes, asked = collect(locals(), "affinity", "partitioner", "seeds", "merged")
    asked |= group_runs.parse_budget(budget) if budget else {}
    asked |= {"measure": True} if measure else {}
    if resume and out is None:
        source, out = unfinished(source, "group.yaml")
    plan, group_spec = group_runs.resolve(source, split_names(targets), changes, asked)
    if dry_run:
        show(plan, group_runs.text(plan, group_spec))
        return 0
    where = out or free_directory(f"group-{Path(source).stem}")
    return group_runs.execute(plan, group_spec, where, jobs=jobs, resume=resume, progress=make_progress())
