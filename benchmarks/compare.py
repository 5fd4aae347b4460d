"""What `accord compare` costs beside the training that it manages.

    python benchmarks/compare.py [--rows 40000] [--epochs 4] [--trials 2] [--seeds 1] [--storage]

Compares CAGrad with tuned plain weights on rows of Census-Income, and then makes the same runs once more in a plain
loop: the same models, trainers and validations, but no records, no checksums, no claims and no checkpoints. CPU time of
this process, so that a busy machine does not matter; one thread. ``managing`` is what comes on top of the loop,
``testing`` the predictions for the test rows, ``judging`` intervals and verdicts, ``page`` the page, ``reading`` the
table, all in per cent of the loop. With ``--storage`` claims go through a journal, as for several machines.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import tempfile
import time
from pathlib import Path

import torch

from accord.comparing import CompareSpec, Crew, Study, begin, run_study
from accord.comparing.records import Job
from accord.data import open_table, write_parquet
from accord.reporting import write_comparison
from accord.training import History, Silent, plan
from accord.training.build import build_model
from accord.training.evaluate import predict, validation_metrics
from accord.training.interrupt import Stop
from accord.training.member import Context, make_trainer
from accord.training.prepare import Prepared, only, prepare
from accord.training.problem import all_outputs

CPU = torch.device("cpu")


def plain(study: Study, prepared: Prepared, jobs: list[Job], scratch: Path) -> tuple[float, float]:
    """Make the runs of ``jobs`` in a loop; return CPU seconds of training, and of predicting the test rows."""
    training = testing = 0.0
    for number, job in enumerate(jobs):
        task = study.entrant(job.entrant).task
        data, spec = prepared if task is None else only(prepared, task), study.run_spec(job)
        context = Context(
            spec,
            scratch / str(number),
            History(),
            Silent(),
            Stop(),
            CPU,
            lambda of, seed, spec=spec: build_model(spec, of.feature_encoder.layout, of.objectives, seed=seed),
        )
        start = time.process_time()
        trainer, problem = make_trainer(context, data, ("run", spec.seed), scratch / str(number) / "state")
        trainer.train()
        validation_metrics(problem)
        training += time.process_time() - start
        if job.stage == "test":
            start = time.process_time()
            predict(data.objectives, all_outputs(problem.model, data.features, data.parts["test"], CPU))
            testing += time.process_time() - start
    return training, testing


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for name, default in (("rows", 40_000), ("epochs", 4), ("trials", 2), ("seeds", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--storage", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(measured(options, Path(place))))


def measured(options: argparse.Namespace, place: Path) -> dict[str, object]:
    rows = open_table("census-income").sample(options.rows, seed=0).to_arrow()
    write_parquet(place / "census.parquet", {name: rows[name] for name in rows.column_names})
    budget = {"training.epochs": options.epochs, "training.patience": 0, "training.threads": 1}
    # A checkpoint every 30 seconds belongs to training; here neither side has the time for one.
    budget |= {"training.checkpoint_seconds": 1e6, "training.device": "cpu"}
    planned = plan(str(place / "census.parquet"), targets=["income", "marital_stat"], options=budget)
    rules = CompareSpec(("cagrad",), trials=options.trials, seeds=options.seeds)
    study = begin(planned, rules, place / "study", resume=False)
    start = time.process_time()
    prepared = prepare(study.spec, study.table())
    reading = time.process_time() - start
    # What happens once per process, imports and the first steps of PyTorch, is nobody's overhead.
    plain(study, prepared, [Job("fixed", "test", 0, 0), Job("cagrad", "test", 0, 0)], place / "warm")
    importlib.import_module("scipy.stats")
    start = time.process_time()
    outcome = run_study(study, Crew(storage=str(place / "claims.log") if options.storage else None))
    managed = time.process_time() - start - reading
    assert outcome.results is not None
    start = time.process_time()
    again = run_study(study)  # everything is there: reading and judging alone
    judging = time.process_time() - start - reading
    assert again.results is not None and again.results["effort"]["made_now"] == 0
    start = time.process_time()
    write_comparison(study.directory)
    page = time.process_time() - start
    chosen = {facts["key"]: facts["chosen"]["trial"] for facts in outcome.results["entrants"]}
    jobs = [Job(e.key, "tune", n, n) for e in study.entrants for n in range(options.trials)]
    jobs += [Job(e.key, "test", n, chosen[e.key]) for e in study.entrants for n in range(options.seeds)]
    training, testing = plain(study, prepared, jobs, place / "plain")
    parts = {"managing": managed - judging - testing - training, "testing": testing, "judging": judging}
    parts |= {"page": page, "reading": reading}
    return {
        **{name: getattr(options, name) for name in ("rows", "epochs", "trials", "seeds", "storage")},
        "runs": len(jobs),
        "training_seconds": round(training, 2),
        **{f"{name}_percent": round(100 * seconds / training, 2) for name, seconds in parts.items()},
        "load": round(os.getloadavg()[0], 1),
    }


if __name__ == "__main__":
    main()
