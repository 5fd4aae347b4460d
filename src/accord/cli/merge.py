"""``accord merge``: checkpoints in, one checkpoint out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Group, Parameter

EXAMPLES = """\
Examples:
  accord merge ties.yaml merged
      Print what will happen, then merge. Recipes of mergekit are read as they
      are; a merge that was killed goes on where it was with the same command.
  accord merge ties.yaml merged --report
      Also write merged/merge.html: how far the models moved and where they
      pull in opposite directions, by layer, what each contributed, and what
      the rank of merged adapters leaves out. With --dry-run in its place,
      print the plan and do nothing.

A recipe names models as folders, files, BASE+ADAPTER, or OWNER/NAME where the
local Hugging Face cache has it; nothing is downloaded. If all models are LoRA
adapters, so is the result. The output folder holds the weights, configuration
and tokenizer, a card, accord-recipe.yaml (complete, does the same again) and
accord-merge.json, the checksums of tensors and small files (not of the card
and the report) that accord.merging.verify looks at."""

SHARDS, POINTS = "2GB", 11
WORK = Parameter(group=Group("How it is done", sort_key=1))

app = App(help_epilogue=EXAMPLES)


@app.default
def merge(
    recipe: Path,
    out: Path,
    /,
    *,
    dry_run: bool = False,
    report: bool = False,
    front: str | None = None,
    points: int | None = None,
    seed: int | None = None,
    threads: Annotated[int | None, WORK] = None,
    memory: Annotated[str, WORK] = "600MB",
    shard_size: Annotated[str, WORK] = SHARDS,
    json: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Merge checkpoints into one, block by block, in memory known beforehand.

    Args:
        recipe: a YAML file in mergekit's format.
        out: the folder of the result.
        dry_run: print what will happen, how much memory, disk and time it takes, and what is in its way;
            merge nothing, and exit as the merge would.
        report: look at models, or adapters, and result once more and write merge.html and merge.json beside it.
        front: merge at many preferences over the models instead, and measure each by this command: it is given the
            folder of a merge, in place of {} or at the end, and its last line is JSON, {task: score or {loss, metrics}}
            for as many tasks as there are models.
        points: preferences of --front, at least, 11 when left out; the single models are among them.
        seed: of random masks, in place of the recipe's own.
        threads: how many work at most; one per core when left out. The result does not depend on it.
        memory: what the merge may take besides the page cache, such as 600MB or 2GB.
        shard_size: size of the result's files, such as 5GB.
        json: print the plan, or what was done, as one JSON document.
    """
    from accord.cli.importing import spared_collection

    with spared_collection():
        from accord.cli import merges
        from accord.cli.words import parse_size

    if front is not None:
        merges.check_of_one(report=report, shards=shard_size != SHARDS)
        options = {"seed": seed, "threads": threads, "memory": parse_size(memory, "--memory")}
        many = POINTS if points is None else points
        merges.sweep(recipe, out, front, points=many, dry_run=dry_run, as_json=json, **options)
        return
    merges.check_without_front(points=points is not None)
    job = merges.begin(
        recipe,
        out,
        seed=seed,
        threads=threads,
        memory=parse_size(memory, "--memory"),
        shard_bytes=parse_size(shard_size, "--shard-size"),
    )
    if dry_run:
        merges.show(job, as_json=json)
    else:
        merges.execute(job, report=report, as_json=json)
