"""A merge's progress: a bar that names its phase on a terminal, and of writing alone a line now and then elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from accord.cli.transfer import make_transfer

STORY = """
from accord.cli.transfer import make_transfer
with make_transfer("out") as progress:
    for phase in ("pass 1 before writing", "pass 2 before writing", "writing"):
        for done in (0, 1500, 3000):
            progress(done, 3000, phase)
"""


def test_nothing_is_said_where_there_is_no_terminal_and_all_is_quick():
    done = subprocess.run([sys.executable, "-c", STORY], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""


def test_a_terminal_is_shown_every_phase():
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    subprocess.run([sys.executable, "-c", STORY], stderr=child, env=environment, check=True)
    os.close(child)
    shown = b""
    while chunk := _read(parent):
        shown += chunk
    text = shown.decode()
    places = [text.index(f"out: {phase}") for phase in ("pass 1 before", "pass 2 before", "writing")]
    assert places == sorted(places) and "3.0/3.0 kB" in text


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux's way to say that the other end is closed
        return b""


def test_lines_speak_of_writing_alone_and_time_it_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    now = [0.0]
    monkeypatch.setattr("accord.cli.transfer.time.monotonic", lambda: now[0])
    with make_transfer("out") as progress:
        for phase in ("pass 1 before writing", "pass 2 before writing"):
            for done in (0, 50, 100):
                now[0] += 100
                progress(done, 100, phase)
        progress(20, 100, "writing")  # which a run that was killed had left
        now[0] += 20
        progress(40, 100, "writing")
    # 20 of 80 took 20 seconds; the passes before and what was there already count for nothing.
    assert capsys.readouterr().err == "out: 40% written, about 1:00 min left\n"
