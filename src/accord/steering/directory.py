"""The directory of a front: claimed by one specification, recognised when it is not one."""

from __future__ import annotations

from pathlib import Path

from accord.errors import RunError
from accord.steering.spec import FrontSpec, parse_front
from accord.training import Spec
from accord.training.files import write_text, writing
from accord.training.same_table import check_free
from accord.training.sections import read_section, section_yaml

YAML, RESULTS, ROWS, FEATURES, HISTORY = (
    "front.yaml",
    "front.json",
    "rows.safetensors",
    "features.json",
    "history.parquet",
)
CHECKPOINTS = "checkpoints"


def read_front(path: Path) -> tuple[Spec, FrontSpec]:
    """Read a specification with a section ``front``, such as ``front.yaml``.

    Raises:
        ConfigurationError: no such file, not YAML, or an unknown option or method.
    """
    spec, options = read_section(path, "front")
    return spec, parse_front(options)


def claim(directory: Path, spec: Spec, front: FrontSpec, *, resume: bool) -> None:
    """Make ``directory`` that of this front, or with ``resume`` see that it is.

    Raises:
        RunError: it is taken, finished, of another specification, or cannot be written.
    """
    existing = directory / YAML
    if resume and existing.exists():
        if read_front(existing) != (spec, front):
            raise RunError(f"{directory} holds another front; resume it with its own specification: {existing}")
        if (directory / RESULTS).exists() and not (directory / CHECKPOINTS).exists():
            raise RunError(f"the front in {directory} is finished; there is nothing to resume")
        return
    check_free(directory, "front")
    with writing(directory / CHECKPOINTS):
        (directory / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    write_text(existing, section_yaml(spec, "front", front))
