"""Find an engine by name."""

from __future__ import annotations

from accord.engines._engine import Engine
from accord.engines.auto import Auto
from accord.engines.batched import Batched
from accord.engines.grouped import Grouped
from accord.engines.layerwise import LayerwiseGramian
from accord.engines.loop import Loop
from accord.engines.representation import Representation
from accord.engines.sketch import Sketch
from accord.errors import ConfigurationError, suggest

ENGINES: dict[str, type[Engine]] = {
    engine.name: engine for engine in (Auto, Batched, Grouped, LayerwiseGramian, Loop, Representation, Sketch)
}


def find_engine(engine: str | Engine) -> Engine:
    """Return ``engine`` itself, or the one of that name with its defaults.

    Raises:
        ConfigurationError: no such engine; the message suggests the nearest names.
    """
    if isinstance(engine, Engine):
        return engine
    if isinstance(engine, str) and engine in ENGINES:
        return ENGINES[engine]()
    raise ConfigurationError(f"unknown engine {engine!r}. {suggest(str(engine), ENGINES)}")
