"""Which frozen encoder reads free text: the one a specification names, or a function that lives in memory only."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from accord.data import TextEncoder, TransformerText
from accord.errors import ConfigurationError
from accord.training.spec import Spec

_FUNCTION = "<callable "

# What people may give for ``text=``: "hashed", a model folder, or a function from a list of texts to ``[n, d]``.
TextChoice = str | Path | TextEncoder


def recorded(text: TextChoice) -> str:
    """Return what a specification says about ``text``: a name, a folder, or ``<callable module.name>``."""
    if isinstance(text, (str, Path)):
        return str(text)
    if isinstance(text, TransformerText):
        return str(text.directory)
    where = text if hasattr(text, "__qualname__") else type(text)
    return f"{_FUNCTION}{where.__module__}.{where.__qualname__}>"


def text_encoder(
    spec: Spec, given: TextChoice | None = None, device: torch.device | str = "cpu"
) -> Literal["hashed"] | TextEncoder:
    """Return what reads the free text of a run.

    Args:
        spec: of the run.
        given: stands in for what ``spec`` names, which must be given where that was a function.
        device: where a transformer computes.

    Raises:
        ConfigurationError: the function is missing, or the folder cannot be used.
        MissingExtraError: transformers is needed and not installed.
    """
    if callable(given):
        return given
    named = spec.data.text if given is None else str(given)
    if named == "hashed":
        return "hashed"
    if named.startswith(_FUNCTION):
        raise ConfigurationError(
            f"free text of this run is read by the function {named.removeprefix(_FUNCTION)[:-1]}, which is not part "
            "of a run directory; give it again: text=..."
        )
    return TransformerText(named, device=device)
