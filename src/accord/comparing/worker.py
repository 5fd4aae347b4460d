"""``python -m accord.comparing.worker DIRECTORY THREADS``: makes the runs that standard input asks for.

One JSON line per run in, one per finished run out, so that nothing but text goes between processes. The end of standard
input, which is also what the death of the other side looks like, and SIGTERM stop it after the step in flight.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from accord.comparing.pool import Undertaking
from accord.comparing.records import Job
from accord.comparing.study import Study
from accord.errors import AccordError
from accord.training.interrupt import Stop
from accord.training.strict import decode


def serve(read: Callable[[Path], Undertaking], directory: str, threads: str) -> int:
    """Serve the study that ``read`` finds in ``directory`` until nothing is left to do; return the exit code."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    stop = Stop()
    signal.signal(signal.SIGTERM, lambda *_: setattr(stop, "requested", True))
    asked: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(sys.stdin, asked, stop), daemon=True).start()
    try:
        laboratory = read(Path(directory)).laboratory(stop, threads=int(threads))
        while line := asked.get():
            _answer(answers, {"finished": laboratory.run(decode(Job, json.loads(line)))})
    except AccordError as error:
        _answer(answers, {"error": str(error), "kind": type(error).__name__})
        return error.exit_code
    return 0


def _listen(lines: IO[str], asked: queue.Queue[str], stop: Stop) -> None:
    for line in lines:
        asked.put(line)
    stop.requested = True
    asked.put("")


def _answer(answers: IO[str], value: object) -> None:
    try:
        answers.write(json.dumps(value) + "\n")
        answers.flush()
    except BrokenPipeError:
        return  # nobody is left to hear it; the record is written


if __name__ == "__main__":
    sys.exit(serve(Study.read, *sys.argv[1:]))
