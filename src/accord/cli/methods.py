"""``accord methods``: what there is to choose from."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

from cyclopts import App, Parameter

from accord.cli.output import print_json, print_table
from accord.errors import ConfigurationError, suggest

EXAMPLES = """\
Examples:
  accord methods --room aggregation
      One line per method: its name, year, what it looks at, what it costs.
  accord methods pcgrad
      The formula, the options with their defaults, and the paper.

Names of the room sharing go to `accord fit --sharing NAME`, those of weighting
and aggregation to `--balancing NAME`; those of other rooms are for loops of
your own. NEEDS is what a method looks at: losses, inner products of the
gradients (gramian), the gradients (jacobian), or rewards that a loop gives."""

app = App(help_epilogue=EXAMPLES)


@app.default
def methods(
    name: str | None = None, /, *, room: str | None = None, json: Annotated[bool, Parameter(name="--json")] = False
) -> None:
    """List the methods, or explain one.

    Args:
        name: a method; all of them when left out.
        room: only those of this room: weighting, aggregation, sampling, steps, sharing, pareto, merging or
            grouping.
        json: print records for programs: room, name, class, title, paper, year, url, needs, cost, catalogue.
    """
    classes = _classes(name, room)
    if json:
        print_json([record(key, cls) for key, cls in classes.items()])
    elif name is not None:
        ((key, cls),) = classes.items()
        print(explain(key, cls))
    else:
        print_table(
            ("ROOM", "NAME", "YEAR", "NEEDS", "COST"),
            (
                (_room(cls), key, str(cls.method.year), cls.method.needs, cls.method.cost)
                for key, cls in classes.items()
            ),
        )


def record(name: str, cls: Any) -> dict[str, Any]:
    """Return the facts about one method as ``accord methods --json`` prints them."""
    facts = cls.method
    return {
        "room": _room(cls),
        "name": name,
        "class": cls.__name__,
        "title": facts.title,
        "paper": facts.paper,
        "year": facts.year,
        "url": facts.url,
        "needs": facts.needs,
        "cost": facts.cost,
        "catalogue": list(facts.catalogue),
    }


def explain(name: str, cls: Any) -> str:
    """Return what there is to say about one method: its record, its docstring and its options."""
    facts = cls.method
    lines = [
        f"{facts.title} ({_room(cls)}: {name})",
        f"{facts.paper}, {facts.year}. {facts.url}",
        f"needs {facts.needs}; costs {facts.cost}",
        "",
        inspect.getdoc(cls) or "",
        "",
        f"accord.{_room(cls)}.{cls.__name__}({', '.join(options(cls))})",
    ]
    return "\n".join(lines)


def options(cls: type) -> list[str]:
    """Return ``name=default`` of each constructor argument."""
    return [str(parameter).replace("'", '"') for parameter in inspect.signature(cls).parameters.values()]


def _classes(name: str | None, room: str | None) -> dict[str, type]:
    from accord.registry import ROOMS, find, registered, snake

    if room is not None and room not in ROOMS:
        raise ConfigurationError(f"there is no room {room!r} of methods. {suggest(room, ROOMS)}")
    rooms = (room,) if room else ()
    if name is None:
        return {key: cls for each in rooms or ROOMS for key, cls in sorted(registered(each).items())}
    found = find(name, *rooms)
    return {snake(found.__name__): found}


def _room(cls: type) -> str:
    return cls.__module__.split(".")[1]
