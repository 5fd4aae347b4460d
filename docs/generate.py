"""Write the pages that follow from the code: methods, command line, specification. Called by conf.py."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import shutil
import typing
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pictures
from docstring_parser import parse

from accord.cli.app import VERBS
from accord.cli.app import main as accord_command
from accord.cli.methods import record
from accord.registry import ROOMS, registered
from accord.tasks import Task
from accord.training import Spec

OUT = Path(__file__).parent / "_generated"

NEEDS = {
    "nothing": "It looks at nothing but the number of tasks, so it costs nothing.",
    "losses": "It looks at the values of the losses alone: one ordinary backward pass per step.",
    "gramian": "It looks at the inner products of the tasks' gradients (the Gramian).",
    "jacobian": "It looks at the tasks' gradients themselves (the Jacobian).",
    "parameters": "It looks at the parameters.",
    "data": "It looks at the data.",
    "rewards": "It looks at rewards, whatever your loop makes of a step: one number per task.",
}
OWN_LOOPS = {
    "steps": "It is for loops of your own, as the example below shows.",
    "merging": "It takes state dictionaries or modules, `Method(...)(base, models)`, or checkpoints on disk.",
    "grouping": "`accord group` takes affinities and partitioners by name: [](/tutorial-group.md) shows how.",
    "sampling": "It is for loops of your own: [](/sampling.md) shows how.",
}
OPTION = {"weighting": "balancing", "aggregation": "balancing", "sharing": "sharing"}


def main(out: Path = OUT) -> None:
    """Write every generated page under ``out``, replacing what was there."""
    shutil.rmtree(out, ignore_errors=True)
    records = [record(name, cls) for room in ROOMS for name, cls in sorted(registered(room).items())]
    for facts in records:
        page = out / "methods" / facts["room"] / f"{facts['name']}.md"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(method_page(facts), "utf-8")
        cls = registered(facts["room"])[facts["name"]]
        if facts["room"] in pictures.CAPTIONS:
            page.with_suffix(".svg").write_text(pictures.draw(facts["room"], cls), "utf-8")
    (out / "methods.md").write_text("\n".join(methods_table(records)), "utf-8")
    (out / "cli.md").write_text("\n".join(command_line()), "utf-8")
    (out / "specification.md").write_text("\n".join(specification()), "utf-8")


def methods_table(records: list[dict[str, Any]]) -> Iterator[str]:
    """Yield one table per room."""
    for room in ROOMS:
        yield f"\n## {room.capitalize()}\n"
        yield "| Method | Name | Looks at | Cost | Paper |"
        yield "| --- | --- | --- | --- | --- |"
        for facts in records:
            if facts["room"] == room:
                page = f"/_generated/methods/{room}/{facts['name']}.md"
                paper = f"[{facts['paper']}]({facts['url']}), {facts['year']}"
                cells = (f"[{facts['title']}]({page})", f"`{facts['name']}`", facts["needs"], facts["cost"], paper)
                yield "| " + " | ".join(cells) + " |"


def method_page(facts: dict[str, Any]) -> str:
    """Return the page of one method: what its docstring says, what it costs, how it is used, and a picture."""
    room = facts["room"]
    return f"""\
---
orphan: true
---

# {facts["title"]}

{facts["paper"]}, {facts["year"]}. <{facts["url"]}>

{NEEDS[facts["needs"]]} Cost: {facts["cost"]}. Which method suits which problem: [](/choosing.md).

{illustrated(facts) if room in pictures.CAPTIONS else OWN_LOOPS.get(room, OWN_LOOPS["steps"])}

```{{eval-rst}}
.. autoclass:: accord.{room}.{facts["class"]}
```
"""


def illustrated(facts: dict[str, Any]) -> str:
    """Return a method's picture with its caption, and how the command line takes the method."""
    room, name = facts["room"], facts["name"]
    return f"""\
![{facts["title"]}: {pictures.CAPTIONS[room]}]({name}.svg)

{pictures.CAPTIONS[room]}

On the command line: `accord fit TABLE --targets a,b --{OPTION[room]} {name}`."""


def command_line() -> Iterator[str]:
    """Yield the help of every verb, as the command prints it."""
    for verb in ("", *VERBS):
        yield f"\n## accord {verb}\n" if verb else ""
        yield "```text"
        yield help_of(verb).rstrip()
        yield "```"


def help_of(verb: str) -> str:
    """Return what ``accord VERB --help`` prints in 88 columns."""
    printed = io.StringIO()
    with patch.dict(os.environ, COLUMNS="88"), redirect_stdout(printed):
        accord_command([verb, "--help"] if verb else ["--help"])
    return printed.getvalue()


def specification() -> Iterator[str]:
    """Yield a table of keys for every section of the specification, and one for the options of a task."""
    for path, cls in sections(Spec):
        yield f"\n## {path or 'Top level'}\n"
        yield from fields_table(cls, path)
    yield "\n## tasks[]\n"
    yield from fields_table(Task, "")


def sections(cls: type, path: str = "") -> Iterator[tuple[str, type]]:
    """Yield (dotted path, dataclass) of ``cls`` and the dataclasses in it, outermost first."""
    yield path, cls
    for field in dataclasses.fields(cls):
        hint = typing.get_type_hints(cls)[field.name]
        if isinstance(hint, type) and dataclasses.is_dataclass(hint):
            yield from sections(hint, f"{path}.{field.name}".lstrip("."))


def fields_table(cls: type, path: str) -> Iterator[str]:
    """Yield a table of the fields of a dataclass with what its docstring says about each."""
    described = {entry.arg_name: entry.description for entry in parse(cls.__doc__ or "").params}
    yield "| Key | Default | Meaning |"
    yield "| --- | --- | --- |"
    for field in dataclasses.fields(cls):
        meaning = plain(described.get(field.name) or "")
        key = f"{path}.{field.name}".lstrip(".")
        yield f"| `{key}` | {default(field)} | {meaning} |"


def plain(text: str) -> str:
    """Return a docstring's text for a table cell of a Markdown page."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    return " ".join(text.split()).replace("|", "\\|").replace("``", "`")


def default(field: dataclasses.Field[Any]) -> str:
    """Return a field's default for a table cell."""
    if field.default is not dataclasses.MISSING:
        return "a section" if dataclasses.is_dataclass(field.default) else f"`{field.default!r}`"
    return "required" if field.default_factory is dataclasses.MISSING else f"`{field.default_factory()!r}`"


if __name__ == "__main__":
    main()
