"""Progress goes to standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from accord.cli.output import format_seconds
from accord.cli.progress import Bar, Lines, format_losses, make_progress

STORY = """
from accord.cli.progress import make_progress
progress = make_progress()
progress.plan(100, "two models")
progress.begin("joint, seed 0", 60)
progress.advance(60, {"a[b]": 0.25}, 1234.0)
progress.evaluated(1, {"a[b]": 0.9})
progress.end(40)
progress.say("[bold] is not markup")
progress.close()
"""


def test_lines_for_logs_leave_standard_output_alone():
    done = subprocess.run([sys.executable, "-c", STORY], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "\x1b" not in done.stderr and "\r" not in done.stderr
    assert done.stderr.splitlines()[-2:] == ["joint, seed 0: epoch 1, validation a[b] 0.9000", "[bold] is not markup"]


def test_a_terminal_gets_a_bar_with_losses_and_speed():
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    done = subprocess.run(
        [sys.executable, "-c", STORY], stderr=child, stdout=subprocess.PIPE, env=environment, check=True
    )
    os.close(child)
    shown = b""
    while chunk := _read(parent):
        shown += chunk
    text = shown.decode()
    assert done.stdout == b""
    assert "\x1b[" in text and "1,234 rows/s" in text and "a[b] 0.250" in text and "[bold] is not markup" in text


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # Linux's way to say that the other end is closed
        return b""


def test_the_display_follows_the_terminal(monkeypatch):
    assert isinstance(make_progress(), Lines)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    bar = make_progress()
    assert isinstance(bar, Bar)
    bar.close()


def test_many_tasks_show_the_worst_losses_in_their_own_order():
    assert format_losses({"a": 0.5, "b": 0.25}) == "loss a 0.500, b 0.250"
    many = {"a": 3.0, "b": 0.5, "c": 4.0, "d": 0.25, "e": 1.0, "f": 2.0}
    assert format_losses(many) == "worst losses a 3.000, c 4.000, e 1.000, f 2.000"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (3599, "59:59 min"), (3725, "1:02:05 h")]
)
def test_durations(seconds, text):
    assert format_seconds(seconds) == text
