"""``accord doctor``: what is installed, what it runs on, and what is missing for which job."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from accord import __version__
from accord.cli.output import print_json

EXAMPLES = """\
Examples:
  accord doctor
      Versions, device, threads and memory; per job whether it can be done.
  accord doctor --json
      The same for programs, and to attach to a bug report.

A job marked "missing" comes with the command that installs what it needs;
everything else works without it."""

# What each extra of pyproject.toml is for, in the words of the person who wants the job done.
JOBS = {
    "tables": "read Parquet, Arrow and SQL tables",
    "frames": "pandas and polars frames",
    "text": "read free text with a transformer from a local folder",
    "testing": "test methods of your own with accord.testing",
    "machines": "compare methods on several machines at a time",
    "onnx": "export a solution of a front as ONNX",
    "explore": "explore a front in the browser",
    "pareto": "indicators of fronts: IGD+, epsilon, R2, attainment",
    "tensorboard": "mirror the history to TensorBoard",
    "trackio": "mirror the history to trackio",
    "mlflow": "mirror the history to MLflow",
}

COMPILED = {
    True: "compiled loops",
    False: "without compiled loops, some methods take twice as long: have a C compiler (cc) and install accord again",
}

app = App(help_epilogue=EXAMPLES)


@app.default
def doctor(*, json: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """Show versions, device and memory, and what is missing for which job.

    Args:
        json: print one JSON document for programs.
    """
    report = diagnose()
    if json:
        print_json(report)
    else:
        print(describe(report))


def diagnose() -> dict[str, Any]:
    """Return the findings as plain data; memory is in MiB, ``None`` where the system does not tell."""
    import torch

    from accord.merging import compiled

    requirements = _requirements()
    return {
        "accord": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "packages": {name: _installed(name) for name in requirements.get("", [])},
        "devices": _devices(torch),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_mb": _memory("MemTotal"),
        "memory_available_mb": _memory("MemAvailable"),
        "compiled": compiled.kernels() is not None,
        "jobs": [_job(extra, packages) for extra, packages in requirements.items() if extra],
    }


def describe(report: dict[str, Any]) -> str:
    """Return the findings for people."""
    memory = f"{report['memory_mb']} MiB, {report['memory_available_mb']} MiB of it available"
    lines = [
        f"accord {report['accord']} on Python {report['python']} ({report['executable']})",
        f"system    {report['platform']}",
        *(f"device    {device['name']}: {device['description']}" for device in report["devices"]),
        f"cores     {report['cores']}, PyTorch uses {report['threads']} threads",
        f"memory    {memory if report['memory_mb'] else 'unknown'}",
        f"merging   {COMPILED[report['compiled']]}",
        "",
        "packages  " + ", ".join(f"{name} {version}" for name, version in report["packages"].items()),
        "",
    ]
    for job in report["jobs"]:
        state = "ready  " if job["ready"] else "missing"
        lines.append(f"{state}   {job['job']} ({_versions(job['packages'])})")
        if not job["ready"]:
            lines.append(f"          {job['install']}")
    return "\n".join(lines)


def _versions(packages: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {version or 'not installed'}" for name, version in packages.items())


def _job(extra: str, packages: list[str]) -> dict[str, Any]:
    found = {name: _installed(name) for name in packages}
    return {
        "job": JOBS.get(extra, extra),
        "extra": extra,
        "packages": found,
        "ready": all(found.values()),
        "install": f'pip install "accord[{extra}]"',
    }


def _requirements() -> dict[str, list[str]]:
    """Return ``{extra: [package]}`` of the installed Accord; core packages stand under the empty name."""
    groups: dict[str, list[str]] = {"": []}
    for line in metadata.requires("accord") or ():
        requirement, _, marker = line.partition(";")
        extra = re.search(r"extra\s*==\s*['\"]([^'\"]+)", marker)
        name = re.match(r"[\w.-]+", requirement.strip())
        if name:
            groups.setdefault(extra[1] if extra else "", []).append(name[0])
    return groups


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _devices(torch: Any) -> list[dict[str, str]]:
    found = [{"name": "cpu", "description": platform.processor() or platform.machine()}]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        found.append(
            {"name": f"cuda:{index}", "description": f"{properties.name}, {properties.total_memory >> 20} MiB"}
        )
    if torch.backends.mps.is_available():
        found.append({"name": "mps", "description": "Apple GPU"})
    return found


def _memory(field: str) -> int | None:
    # Linux only; elsewhere one would need another package for a line of information.
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
    except OSError:
        return None
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith(f"{field}:"))
