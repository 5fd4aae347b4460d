"""``accord predict`` and ``accord report`` on a finished run."""

from __future__ import annotations

import csv
import io
import shutil

import pytest

from accord.data import read_parquet


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_format_holds_one_row_per_row_of_the_table(accord, inside, table, fitted, tmp_path):
    run, _ = fitted
    inside("predict", run, table, "--out", "p.csv")
    inside("predict", run, table, "--out", "p.parquet")
    printed = accord("predict", run, table, "--out", "-").out
    written = (tmp_path / "p.csv").read_text("utf-8")
    columns = read_parquet(tmp_path / "p.parquet")
    found = rows(written)
    assert rows(printed) == found
    assert len(found) == len(rows(table.read_text("utf-8"))) == len(columns["bought"])
    assert list(found[0]) == list(columns)
    assert len({row["bought"] for row in found}) == 2
    for row, chosen in zip(found, columns["bought"], strict=True):
        assert row["bought"] == chosen == ("yes" if float(row["bought=yes"]) > 0.5 else "no")
        assert 0 <= float(row["bought=yes"]) <= 1


def test_rows_keep_their_order_and_labels_are_not_needed(inside, table, fitted, tmp_path):
    header, *lines = table.read_text("utf-8").splitlines()
    features = [line.split(",")[:3] for line in lines]
    turned = [header.split(",")[:3], *reversed(features)]
    (tmp_path / "turned.csv").write_text("\n".join(",".join(reversed(row)) for row in turned) + "\n", "utf-8")
    forth = rows(inside("predict", fitted[0], table, "--out", "-").out)
    back = rows(inside("predict", fitted[0], "turned.csv", "--out", "-").out)
    assert [row["bought"] for row in forth] == [row["bought"] for row in reversed(back)]
    for row, other in zip(forth, reversed(back), strict=True):
        assert float(row["price"]) == pytest.approx(float(other["price"]), rel=1e-4, abs=1e-5)


def test_what_cannot_be_predicted_is_explained(inside, table, fitted, tmp_path):
    run, _ = fitted
    (tmp_path / "short.csv").write_text("age,city\n30,Rome\n", "utf-8")
    assert "'score'" in inside("predict", run, "short.csv", "--out", "p.csv", code=3).err
    assert not (tmp_path / "p.csv").exists()
    inside("predict", run, table, "--out", "p.xlsx", code=2)
    assert "absent" in inside("predict", "absent", table, "--out", "p.csv", code=4).err


def test_a_damaged_run_is_refused(inside, table, fitted, tmp_path):
    shutil.copytree(fitted[0], tmp_path / "run")
    weights = tmp_path / "run" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-64])
    assert "model.safetensors" in inside("predict", "run", table, "--out", "p.csv", code=4).err


def test_the_report_is_written_where_asked(inside, fitted, tmp_path):
    run, _ = fitted
    assert inside("report", run, "--out", "r.html").out.strip() == "r.html"
    assert (tmp_path / "r.html").read_bytes() == (run / "report.html").read_bytes()
    inside("report", tmp_path / "nothing", code=4)


@pytest.mark.parametrize("verb", ["compare", "group", "front"])
def test_the_page_of_what_is_unfinished_says_how_to_go_on(inside, tmp_path, verb):
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / f"{verb}.yaml").write_text("{}")
    (tmp_path / "half" / "history.parquet").touch()  # a front has one too, and is no run for it
    assert f"accord {verb} half --resume" in " ".join(inside("report", "half", code=4).err.split())


def test_a_merged_checkpoint_says_which_command_reports_it(inside, tmp_path):
    (tmp_path / "merged").mkdir()
    (tmp_path / "merged" / "accord-merge.json").write_text("{}")
    assert "accord merge RECIPE OUT --report" in " ".join(inside("report", "merged", code=4).err.split())
