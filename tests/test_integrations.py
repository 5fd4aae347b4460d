"""The examples inside other people's trainers run where these are installed: pip install --group integrations."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples" / "integrations"
NEEDS = {
    "plain_loop": (),
    "with_lightning": ("lightning",),
    "with_trainer": ("transformers", "accelerate"),
    "with_accelerate": ("accelerate",),
}


def test_every_integration_is_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(NEEDS)


@pytest.mark.parametrize("name", NEEDS)
def test_both_losses_fall(name: str, tmp_path: Path) -> None:
    for module in NEEDS[name]:
        pytest.importorskip(module)
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"],
        cwd=tmp_path,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    # Lightning and the Trainer print more than these two.
    before, after = (
        ast.literal_eval(line) for line in done.stdout.splitlines() if line.startswith("{'small'") and "large" in line
    )
    assert after["small"] < 0.9 * before["small"]
    assert after["large"] < 0.1 * before["large"]
