"""``accord doctor``."""

from __future__ import annotations

import json
import tomllib
from importlib import metadata
from pathlib import Path

import torch

from accord.cli.doctor import JOBS, describe, diagnose
from accord.merging import compiled

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]


def test_json_is_one_document_with_true_versions(accord):
    report = json.loads(accord("doctor", "--json").out)
    assert report["packages"]["torch"] == torch.__version__
    assert report["devices"][0]["name"] == "cpu"
    assert report["threads"] >= 1 and report["memory_available_mb"] <= report["memory_mb"]
    assert {job["extra"] for job in report["jobs"]} == set(PROJECT["optional-dependencies"])


def test_every_extra_is_explained_as_a_job():
    assert set(JOBS) == set(PROJECT["optional-dependencies"])


def test_a_missing_package_names_the_job_and_the_way_out(monkeypatch):
    real = metadata.version

    def version(name: str) -> str:
        if name == "pyarrow":
            raise metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(metadata, "version", version)
    report = diagnose()
    ready = {job["extra"]: job["ready"] for job in report["jobs"]}
    assert not ready["tables"] and ready["frames"]
    text = describe(report)
    assert "pyarrow not installed" in text and 'pip install "accord[tables]"' in text
    assert 'pip install "accord[frames]"' not in text


def test_people_read_lines(inside):
    lines = inside("doctor").out.splitlines()
    assert lines[0].startswith("accord ") and any(line.startswith("memory") for line in lines)


def test_it_tells_whether_merging_is_compiled():
    report = diagnose()
    assert report["compiled"] == (compiled.kernels() is not None)
    assert "merging   compiled loops" in describe({**report, "compiled": True})
    assert "C compiler" in describe({**report, "compiled": False})
