"""``accord front``: table in; a whole front, steerable or a set, out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Group, Parameter

from accord.cli import front_runs
from accord.cli.progress import make_progress
from accord.cli.resolve import collect, show, unfinished, write
from accord.cli.words import free_directory, split_names

EXAMPLES = """\
Examples:
  accord front census-income --targets income,marital_stat
      One model that is told how much each target matters. Prints how far it
      steers and what it covers, against one balanced and single-task models.
  accord front s.yaml --method pa_lo_ra --set front.options.rank=4 --out runs/f
      Another method; its options are under front.options.
  accord front s.yaml --method epo --points 7
      A model for each of seven preferences instead. With --method
      hypervolume_gradient, seven models that spread by themselves.

SOURCE is what accord fit takes, or a specification with a section front: in it
(accord front ... --dry-run prints one). The output directory holds front.yaml
(complete), front.json, history.parquet, front.html and the weights; open it
with accord.steering.open_front. Ctrl-C stops training and still writes them; a
front that was killed goes on with accord front DIRECTORY --resume."""

TABLE, FRONT, BUDGET, RUN = (
    Parameter(group=Group(name, sort_key=place))
    for place, name in enumerate(("Table", "Front", "Budget and baselines", "Run"))
)

app = App(help_epilogue=EXAMPLES)


@app.default
def front(
    source: str,
    /,
    *,
    targets: Annotated[list[str] | None, TABLE] = None,
    column: Annotated[list[str] | None, TABLE] = None,
    query: Annotated[str | None, TABLE] = None,
    test: Annotated[str | None, TABLE] = None,
    split: Annotated[str | None, TABLE] = None,
    split_column: Annotated[str | None, TABLE] = None,
    method: Annotated[str | None, FRONT] = None,
    points: Annotated[int | None, FRONT] = None,
    sharing: Annotated[str | None, FRONT] = None,
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
    """Train a whole front in one run: every compromise between the targets, and what each costs.

    Args:
        source: a table, the name of a data set, a specification (.yaml), or with --resume a directory.
        targets: columns to predict, e.g. income,age:quantile; kinds are inferred where not given.
        column: correct an inferred kind, e.g. zip=categorical or note=drop; repeat for more.
        query: SQL that makes the table out of SOURCE.
        test: a second table with the test rows.
        split: how rows are divided: auto, given, random, stratified, grouped or time.
        split_column: the column that says the part, group or time.
        method: cosmos, pa_lo_ra, pa_mal or phn: one steerable model; epo, pmgda, pmtl, linear, ...: one for each point;
            hypervolume_gradient, moo_svgd: a set that is trained together.
        points: how many evenly spaced preferences are measured (or trained) at least.
        sharing: the network's architecture; see accord methods --room sharing.
        epochs: passes over the training rows at most.
        batch_size: rows per step.
        learning_rate: peak rate of AdamW.
        seeds: train this often, so that intervals cover the luck of initialisation too.
        seed: the first seed.
        no_baselines: leave out the balanced and the single-task models under the same budget.
        out: directory; runs/front-NAME-OF-SOURCE when left out.
        resume: go on with the unfinished front in --out, or in SOURCE where that is its directory.
        dry_run: print the inferred columns and the complete specification, train nothing.
        write_spec: write the complete specification to this file.
        tracker: mirror the history to tensorboard, trackio or mlflow; repeat for more.
        set_: any key of the specification, e.g. front.options.window=4 or training.patience=5; repeat for more.
        device: auto, cpu, cuda, cuda:1, mps.
        threads: CPU threads; 0 leaves PyTorch's own choice.
    """
    changes, asked = collect(locals(), "method", "points")
    if resume and out is None:
        source, out = unfinished(source, "front.yaml")
    plan, front_spec = front_runs.resolve(source, split_names(targets), changes, asked)
    text = front_runs.text(plan, front_spec)
    if write_spec:
        write(text, write_spec)
    if dry_run:
        show(plan, text)
        return 0
    where = out or free_directory(f"front-{Path(source).stem}")
    return front_runs.execute(
        plan, front_spec, where, resume=resume, progress=make_progress(), trackers=split_names(tracker)
    )
