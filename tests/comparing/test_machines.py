"""Several machines at one comparison: every run is made once, and what a dead machine held is taken over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import optuna
import pytest
from tests.training.tables import make_table, only

from accord.comparing import CompareSpec, Crew, Study, begin
from accord.comparing.board import Board
from accord.comparing.choose import Measure, measures
from accord.comparing.records import Job, Record
from accord.errors import ConfigurationError, RunError
from accord.training import plan
from accord.training.prepare import prepare

OPTIONS = {
    "training.epochs": 1,
    "training.batch_size": 64,
    "training.threads": 1,
    "training.learning_rate": 0.01,
    "evaluation.resamples": 50,
}
# Both processes begin at the same time; then each says how many runs it has made.
MACHINE = """
import sys, time
from pathlib import Path
from accord.comparing import Crew, Study, run_study
from accord.comparing.board import Board
Board.__init__.__kwdefaults__.update(beat=0.1, patience=3.0)
directory, storage, name, others = Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4])
(directory.parent / f"ready-{name}").touch()
while len(list(directory.parent.glob("ready-*"))) < others:
    time.sleep(0.01)
print(run_study(Study.read(directory), Crew(storage=storage)).results["effort"]["made_now"])
"""


@pytest.fixture
def study(tmp_path: Path) -> Study:
    planned = plan(only(make_table(240), "bought", "price"), targets=["bought", "price"], options=OPTIONS)
    return begin(planned, CompareSpec(("cagrad",), trials=1, seeds=1), tmp_path / "study", resume=False)


@pytest.fixture
def judged(study: Study) -> list[Measure]:
    return measures(prepare(study.spec, study.table()).objectives)


@pytest.fixture(params=["journal", pytest.param("sqlite", marks=pytest.mark.slow)])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "claims.log") if request.param == "journal" else f"sqlite:///{tmp_path / 'claims.db'}"


def machine(study: Study, storage: str, name: str, others: int = 1) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", MACHINE, str(study.directory), storage, name, str(others)]
    return subprocess.Popen(words, env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, text=True)


def made(study: Study) -> set[str]:
    return {str(path.relative_to(study.directory)) for path in (study.directory / "records").rglob("*.json")}


def trials(storage: str) -> list[tuple[str, int, str, str]]:
    """What the storage says: study, run, state and machine of every trial."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    opened = JournalStorage(JournalFileBackend(storage))
    return [
        (name, t.user_attrs["run"], t.state.name, t.user_attrs["machine"])
        for name in optuna.get_all_study_names(opened)
        for t in optuna.load_study(study_name=name, storage=opened).trials
    ]


@pytest.mark.slow
def test_two_processes_at_one_journal_make_every_run_once(study: Study, tmp_path: Path) -> None:
    storage = str(tmp_path / "claims.log")
    both = [machine(study, storage, name, 2) for name in "ab"]
    counts = [int(process.communicate(timeout=240)[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(counts) == len(made(study)) == 8
    done = [(name, run) for name, run, state, _ in trials(storage) if state in ("COMPLETE", "FAIL")]
    assert len(done) == len(set(done)) == 8
    makers = Counter(who for *_, state, who in trials(storage) if state == "COMPLETE")
    assert sorted(makers.values()) == sorted(count for count in counts if count)
    assert (study.directory / "compare.json").exists()


@pytest.mark.slow
def test_what_a_killed_machine_held_is_made_by_another(study: Study, tmp_path: Path) -> None:
    storage = str(tmp_path / "claims.log")
    first = machine(study, storage, "a")
    while len(made(study)) < 2:
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    kept = len(made(study))
    second = machine(study, storage, "b")
    assert int(second.communicate(timeout=240)[0]) == 8 - kept
    assert len(made(study)) == 8
    entrants = json.loads((study.directory / "compare.json").read_text())["entrants"]
    assert all(facts["out"] == "" and len(facts["trials"]) == 1 for facts in entrants)


def test_a_claim_is_anothers_until_it_is_done_given_up_or_its_machine_is_dead(
    study: Study, judged: list[Measure], storage: str
) -> None:
    first, second, third = Job("cagrad", "tune", 0, 0), Job("single-1", "tune", 0, 0), Job("fixed", "test", 0, 0)
    ours = Board(storage, study, judged, beat=0.05, patience=0.6)
    theirs = Board(storage, study, judged, beat=0.05, patience=0.6)
    assert ours.take(first) and not theirs.take(first)
    assert theirs.take(second) and not ours.take(second)
    metrics = {"bought": {"auc": 0.75}, "price": {"rmse": 2.0}}
    ours.close_run(first, Record(first, "", 0, 0.01, {}, metrics))
    assert theirs.made_elsewhere(first) and not theirs.take(first)
    assert not ours.made_elsewhere(second)
    ours.take(third)
    ours.close()  # gives up what it has not done
    assert theirs.take(third)
    theirs._closing.set()  # as if it were killed
    heir = Board(storage, study, judged, beat=0.05, patience=0.6)
    assert not heir.take(third) and not heir.made_elsewhere(first)
    end = time.monotonic() + 30
    while not heir.take(third):
        assert time.monotonic() < end
        time.sleep(0.05)
    heir.close()


def test_a_failed_run_is_done_for_now_and_tried_again_by_who_comes_later(
    study: Study, judged: list[Measure], tmp_path: Path
) -> None:
    job, storage = Job("cagrad", "tune", 0, 0), str(tmp_path / "claims.log")
    ours, theirs = Board(storage, study, judged), Board(storage, study, judged)
    ours.take(job)
    ours.close_run(job, Record(job, "", 0, 0.01, {}, failure="it broke"))
    assert theirs.made_elsewhere(job) and not theirs.take(job)
    later = Board(storage, study, judged)
    assert not later.made_elsewhere(job) and later.take(job)
    for board in (ours, theirs, later):
        board.close()


def test_comparisons_do_not_mix_in_one_storage(study: Study, judged: list[Measure], tmp_path: Path) -> None:
    job, storage = Job("cagrad", "tune", 0, 0), str(tmp_path / "claims.log")
    other = Study.of(tmp_path / "elsewhere" / "study", study.spec, study.compare)
    boards = [Board(storage, each, judged) for each in (study, other)]
    assert all(board.take(job) for board in boards)
    for board in boards:
        board.close()


def test_a_damaged_journal_is_explained(study: Study, judged: list[Measure], tmp_path: Path) -> None:
    path = tmp_path / "claims.log"
    Board(str(path), study, judged).close()
    path.write_bytes(path.read_bytes()[:-20] + b"\n{}\n")
    with pytest.raises(RunError, match=r"claims\.log cannot be used.*another --storage"):
        Board(str(path), study, judged)


def test_passwords_of_storages_are_not_said(study: Study, judged: list[Measure]) -> None:
    with pytest.raises(RunError, match=r"nosuch://me:\*\*\*@host/runs cannot be used") as caught:
        Board("nosuch://me:secr@et@host/runs", study, judged)
    assert "secr" not in str(caught.value) and "et@" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jobs": 0}, "jobs must be at least 1"),
        ({"storage": ""}, "file of a journal"),
        ({"storage": "redis://somewhere"}, "can execute code"),
    ],
)
def test_bad_crews_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Crew(**options)
