"""A browser, a small front that was really trained, and servers that are real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.exploring.made_fronts import census, make_record, write_front
from tests.reporting.test_report_browser import browser  # noqa: F401 - a fixture
from tests.steering.made_fronts import make_front


@dataclass
class Server:
    """A running ``accord explore``."""

    process: subprocess.Popen[str]
    address: str
    directory: Path

    @property
    def port(self) -> int:
        return urlsplit(self.address).port or 0

    @property
    def key(self) -> str:
        return parse_qs(urlsplit(self.address).query)["key"][0]

    def stop(self, how: signal.Signals = signal.SIGINT) -> int:
        """Stop it and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            for stream in (self.process.stdout, self.process.stderr):
                if stream:
                    stream.close()


def start_server(directory: Path, *options: str) -> Server:
    command = [sys.executable, "-m", "accord", "explore", str(directory), "--no-browser", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    assert process.stdout is not None and process.stderr is not None
    address = process.stdout.readline().strip()
    if not address:
        said = process.stderr.read()
        process.wait()
        raise AssertionError(f"the server did not start: {said}")
    return Server(process, address, directory)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A front of two tasks, trained for one epoch."""
    return make_front(tmp_path_factory.mktemp("fronts") / "trained", rows=300, options={"training.epochs": 1}).directory


@pytest.fixture(scope="session")
def server(trained: Path) -> Iterator[Server]:
    """The trained front, served."""
    running = start_server(trained)
    yield running
    running.stop()


@pytest.fixture
def stored_set(tmp_path: Path) -> Path:
    """A front that is a set of stored points and nothing else, as merging writes it."""
    return write_front(tmp_path / "stored", make_record(census(), kind="set"))
