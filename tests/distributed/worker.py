"""Run checks on one of several processes and write what became of each: ``torchrun worker.py OUT [NAME ...]``."""

from __future__ import annotations

import json
import sys
import traceback
import warnings
from datetime import timedelta
from fnmatch import fnmatch
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import torch.distributed as dist
from tests.distributed.checks import CHECKS


def main(out: Path, names: list[str]) -> None:
    warnings.simplefilter("error")
    dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    report = out / f"{dist.get_rank()}.json"
    results: dict[str, str] = {}
    for name in [name for name in CHECKS if not names or any(fnmatch(name, pattern) for pattern in names)]:
        try:
            CHECKS[name]()
            results[name] = ""
        except BaseException:
            results[name] = traceback.format_exc()
        report.write_text(json.dumps(results), "utf-8")
        if results[name] and not name.endswith("!"):
            # The others may be waiting in a collective that this process will never reach.
            sys.exit(1)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
