"""The page of a merge: what each model brought, by layer and by kind of tensor, and how to do it again."""

from __future__ import annotations

import json
from pathlib import Path

from accord.merging import RecipePlan
from accord.merging.progress import Progress
from accord.merging.recipe.adapter_plan import AdapterPlan
from accord.reporting.cover import cover, footer, notes
from accord.reporting.html import Markup, bdi, el
from accord.reporting.merging.adapter_facts import adapter_facts, adapter_paragraph
from accord.reporting.merging.cells import Facts, coloured, of, share, without_base
from accord.reporting.merging.depth import MERGE, depth
from accord.reporting.merging.facts import merge_facts, paragraph
from accord.reporting.merging.rank import rank
from accord.reporting.numbers import NONE, finite, general, percent, plural, short
from accord.reporting.page import document
from accord.reporting.parts import Section, details, figure, matrix, table
from accord.reporting.run import mapping, sequence
from accord.reporting.svg.heat import cell_text, level
from accord.reporting.svg.text import shorten
from accord.reporting.tinted import tinted_yaml
from accord.reporting.write import write_page


def write_merge(
    plan: RecipePlan | AdapterPlan, path: str | Path | None = None, *, progress: Progress | None = None
) -> Path:
    """Write the report of a merge that has been run, as a page and beside it as ``merge.json``.

    Args:
        plan: of the merge, of models or of adapters; its inputs and its result are read once more.
        path: of the page; ``merge.html`` in the result's folder when left out.
        progress: told ``(done, whole, "comparing")``, in bytes, of the reading.

    Returns:
        The path of the page.

    Raises:
        DataError: the result is not there.
        RunError: no room to write.
    """
    facts = adapter_facts(plan, progress) if isinstance(plan, AdapterPlan) else merge_facts(plan, progress)
    facts["paragraph"] = adapter_paragraph(facts) if without_base(facts) else paragraph(facts)
    target = plan.out / "merge.html" if path is None else Path(path)
    write_page(target.with_suffix(".json"), json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return write_page(target, merge_page(facts))


def merge_page(facts: Facts) -> str:
    """Return the document that ``merge.json`` makes."""
    made = [_answer(facts), _directions(facts), depth(facts), rank(facts), _kinds(facts), _recipe(facts)]
    sections = [section for section in made if section is not None]
    name, above = facts["name"], notes(facts.get("notes"))
    return document(f"{name}: Accord merge", _header(facts), sections, footer("Merge", name), above=above)


def _header(facts: Facts) -> Markup:
    size = mapping(facts, "bytes")
    told = [
        plural(len(sequence(facts.get("models"))), "adapter" if without_base(facts) else "model"),
        f"rank {facts['rank']}" if without_base(facts) else None,
        f"{short(finite(size.get('read')))}B read, {short(finite(size.get('written')))}B written",
    ]
    return cover("merge", facts["name"], el("code", facts["method"]), [each for each in told if each is not None])


def _answer(facts: Facts) -> Section | None:
    total = facts.get("total")
    said = el("p", facts["paragraph"], class_="verdict-text")
    if not total:
        return Section("contributions", "What each model brought", said)
    title = f"What each {'adapter' if without_base(facts) else 'model'} brought"
    head, rows = _lengths(total) if without_base(facts) else _distances(facts, total)
    before, after = (finite(mapping(total, "interference").get(key)) for key in ("before", "after"))
    note = (
        f"A plain sum of all changes would cancel {percent(before)} of them; of the merge, {percent(after)} go against "
        "its direction or are dropped. Kept is the projection of a model's change on the merged one: 100 % is all of "
        "it, and less than 0 its opposite."
    )
    if without_base(facts):
        note = (
            "Length is the Frobenius norm: the root of the sum of squares over all numbers that an adapter changes. "
            f"Adapters alone do not say how long the base is, so lengths compare with each other only. {note}"
        )
    body = el("div", said, table(title, head, rows), el("p", note, class_="note"))
    return Section("contributions", title, body)


def _distances(facts: Facts, total: Facts) -> tuple[list[str], list[list[object]]]:
    origin = "the base" if facts["reference"] == "base" else "the models' mean"
    rows = [
        [
            coloured(name, place),
            share(total["moved"][place], 2),
            share(total["kept"][place]),
            share(total["against"][place]),
        ]
        for place, name in enumerate(total["models"])
    ]
    return ["Model", f"Moved from {origin}", "Kept in the result", "Gone against or dropped"], rows


def _lengths(total: Facts) -> tuple[list[str], list[list[object]]]:
    merged = finite(total["merged_length"])
    rows: list[list[object]] = []
    for place, name in enumerate(total["models"]):
        length = finite(total["lengths"][place])
        beside = length / merged if merged else float("nan")
        rows.append(
            [
                coloured(name, place),
                general(length),
                share(beside),
                share(total["kept"][place]),
                share(total["against"][place]),
            ]
        )
    rows.append([coloured(MERGE, len(rows)), general(merged), share(1.0), NONE, NONE])
    head = ["Adapter", "Length of the change", "Of the merge's length", "Kept in the result", "Gone against or dropped"]
    return head, rows


def _directions(facts: Facts) -> Section | None:
    total = facts.get("total")
    if not total or len(total["models"]) < 2:
        return None
    names = total["models"]
    heads = [el("th", bdi(shorten(n, 120)), scope="col", title=n) for n in names]
    rows = [
        (el("th", bdi(shorten(n, 150)), scope="row", title=n), [_cell(total, i, j) for j in range(len(names))])
        for i, n in enumerate(names)
    ]
    box = matrix("Cosine between the changes of each pair of models", "Cosines between changes", heads, rows)
    lead = (
        "Cosine between changes over all weights: near 0 they have little to do with each other, below it they clash."
    )
    return Section("directions", "Do they pull together", figure("cosines", "All weights together", box), lead)


def _cell(total: Facts, i: int, j: int) -> Markup:
    if i == j:
        return el("td", el("span", "same model", class_="unseen"), class_="self")
    value = finite(total["cosines"][i][j])
    return el("td", cell_text(value), class_=level(value))


def _kinds(facts: Facts) -> Section | None:
    kinds = sequence(facts.get("kinds"))
    if not kinds:
        return None
    names = list(dict.fromkeys(name for kind in kinds for name in kind["models"]))
    lengths, lossy = without_base(facts), any(kind.get("left_out") for kind in kinds)
    head = [
        "Tensors",
        "Numbers",
        *(f"{name} {'length' if lengths else 'moved'}" for name in names),
        *(["merge length"] if lengths else []),
        "Opposite signs",
        *(f"{name} kept" for name in names),
        *(["Left out by the rank"] if lossy else []),
    ]
    rows = [
        [
            el("code", bdi(kind["kind"])),
            short(finite(kind["elements"])),
            *(general(of(kind, "lengths", n)) if lengths else share(of(kind, "moved", n), 1) for n in names),
            *([general(finite(kind["merged_length"]))] if lengths else []),
            share(kind["conflict"]),
            *(share(of(kind, "kept", name)) for name in names),
            *([share(kind["left_out"], 1)] if lossy else []),
        ]
        for kind in kinds
    ]
    lead = "The same tensors of all layers together."
    return Section("kinds", "By kind of tensor", table("By kind of tensor", head, rows), lead)


def _recipe(facts: Facts) -> Section:
    settings = [[el("code", each["method"]), f"{each['tensors']:,}"] for each in sequence(facts.get("settings"))]
    pre = el("pre", el("code", tinted_yaml(facts["recipe"]), id="spec"), tabindex=0, aria_label="recipe", role="region")
    body = el(
        "div",
        details(
            plural(len(settings), "setting") + " of the method", table("Settings", ["Method", "Tensors"], settings)
        ),
        el("h3", "accord-recipe.yaml"),
        el(
            "div", el("button", "Copy", type="button", class_="copy", data_copy="spec", hidden=True), pre, class_="code"
        ),
    )
    return Section("recipe", "Recipe", body, "Complete, defaults included: accord merge makes the same bytes of it.")
