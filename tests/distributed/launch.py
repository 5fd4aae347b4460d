"""Start real processes with torchrun, as people do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def torchrun(processes: int, script: Path, *words: str | Path, cwd: Path | None = None) -> str:
    """Run ``script`` on so many processes and return what they print."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, str(script), *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=580
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_checks(processes: int, out: Path, *patterns: str) -> dict[str, str]:
    """Run the checks that match on so many processes; return what went wrong, by check, empty where nothing did."""
    try:
        torchrun(processes, HERE / "worker.py", out, *patterns)
    except AssertionError:
        if len(list(out.glob("*.json"))) < processes:
            raise
    reports = [json.loads((out / f"{rank}.json").read_text("utf-8")) for rank in range(processes)]
    return {name: "\n".join(report.get(name, "not reached") for report in reports).strip() for name in reports[0]}


def assert_fine(results: dict[str, str]) -> None:
    wrong = {name: trouble for name, trouble in results.items() if trouble}
    assert not wrong, "\n\n".join(f"{name}:\n{trouble}" for name, trouble in wrong.items())
