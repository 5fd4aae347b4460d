"""Compile the inner loops of merging when Accord is installed, where there is a C compiler; it works without."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

MERGING = Path(__file__).parent / "src" / "accord" / "merging"
SOURCES = [MERGING / name for name in ("kernels.h", "kernels.c", "stretches.c", "brought.c")]
LIBRARY = MERGING / "kernels.shared"
# Sums are in the order of the source and products are rounded (-ffp-contract), as without the library; comparisons
# with NaN may forget that they raise a flag nobody reads, which lets the compiler choose vector instructions.
FLAGS = ["-O3", "-shared", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi"]
LEVELS = {"x86_64": ["-march=x86-64-v3"], "amd64": ["-march=x86-64-v3"], "aarch64": [], "arm64": []}


class Hook(BuildHookInterface):
    """Adds ``kernels.shared`` to a wheel, or to the sources of an editable installation."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if compiled():
            build_data["artifacts"].append(f"/{LIBRARY.relative_to(Path(__file__).parent)}")
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"


def compiled() -> bool:
    """Return whether the library could be made, for a processor that it is worth making for."""
    LIBRARY.unlink(missing_ok=True)
    level = LEVELS.get(platform.machine().lower())
    if os.name != "posix" or level is None:
        return False
    compiler = shlex.split(os.environ.get("CC", "cc"))
    files = [str(source) for source in SOURCES if source.suffix == ".c"]
    command = [*compiler, *FLAGS, *level, f'-DSOURCE="{fingerprint()}"', "-o", str(LIBRARY), *files, "-lm"]
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=120).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def fingerprint() -> str:
    """Return what the library says it was made of; ``accord.merging.compiled`` asks, and cannot be imported yet."""
    return hashlib.sha256(b"".join(source.read_bytes() for source in SOURCES)).hexdigest()[:16]
