"""One solution of a front as something that runs without the front: a run directory, or an ONNX file."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from accord import __version__
from accord.data import Features
from accord.errors import MissingExtraError, RunError
from accord.merging.manifest import damage
from accord.merging.writing import explained
from accord.sharing import MultiTaskModel
from accord.steering.measure import Measured
from accord.training import History
from accord.training.files import write_atomic, write_json
from accord.training.trained import Trained

PARTS = ("numeric", "indicators", "categorical", "text")


def export_run(
    trained: Trained, directory: Path, results: Mapping[str, Any], preference: Tensor, measured: Measured
) -> Path:
    """Write a run directory of one solution; its ``metrics.json`` says which, and what the live rows say of it.

    Raises:
        RunError: the directory is taken or cannot be written.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise RunError(f"{directory} is not empty; export to another place")
    trained.save(directory)
    shares = ", ".join(
        f"{task['name']} {share:.3g}" for task, share in zip(results["tasks"], preference.tolist(), strict=True)
    )
    metrics = {
        "accord": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "interrupted": False,
        "tasks": results["tasks"],
        "seeds": [results.get("saved_seed", 0)],
        "rows": results.get("rows", {}),
        "test": {"joint": {}},
        "front": {"method": results["method"], "preference": preference.tolist(), "validation": measured.to_dict()},
        "warnings": list(results.get("warnings", ())),
        "notes": [
            f"One solution of a front by {results['method']}, for the preference {shares}. Its figures under "
            "front.validation are of validation rows, by which it was chosen."
        ],
        "environment": results.get("environment", {}),
    }
    write_json(directory / "metrics.json", metrics)
    History().save(directory / "history.parquet")
    return directory


def export_checkpoint(solution: Path, directory: Path) -> Path:
    """Copy a merged checkpoint, with all that belongs to it, into a new or empty directory.

    Raises:
        RunError: the checkpoint is gone, or the directory is taken or cannot be written.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise RunError(f"{directory} is not empty; export to another place")
    if not solution.is_dir():
        raise RunError(f"{solution} is gone: run the same accord merge --front again, which makes what is missing")
    if (reason := damage(solution)) is not None:
        raise RunError(f"{reason}. The same accord merge --front, run again, merges it anew")
    with explained(directory):
        shutil.copytree(solution, directory, dirs_exist_ok=True)
    return directory


class Exported(nn.Module):
    """A network with its features as separate inputs and its outputs as a tuple, which is what ONNX has."""

    def __init__(self, model: MultiTaskModel, present: tuple[bool, ...]) -> None:
        super().__init__()
        self.model, self.present = model, present

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of every head from those parts of the features that there are."""
        given = iter(inputs)
        rows = inputs[0].shape[0]
        empty = (torch.zeros(rows, 0), torch.zeros(rows, 0), torch.zeros(rows, 0, dtype=torch.int32))
        parts = [next(given) if there else blank for there, blank in zip(self.present, (*empty, empty[2]), strict=True)]
        return tuple(self.model(Features(*parts)))


def export_onnx(trained: Trained, path: Path, example: Features) -> Path:
    """Write the network as ONNX: inputs are those parts of the encoded features that there are, outputs named by task.

    Raises:
        MissingExtraError: ``onnx`` or ``onnxscript`` is not installed.
        RunError: the network holds something that PyTorch cannot express in ONNX, or the file cannot be written.
    """
    try:
        import onnx  # noqa: F401 # pyright: ignore[reportMissingImports]
        import onnxscript  # noqa: F401 # pyright: ignore[reportMissingImports]
    except ImportError as missing:
        raise MissingExtraError("exporting as ONNX", "onnx", "onnxscript") from missing
    # Two or more, for the exporter takes a single row for a constant.
    parts = example[slice(0, 3)].parts()
    present = tuple(part.numel() > 0 for part in parts)
    inputs = {name: part for name, part, there in zip(PARTS, parts, present, strict=True) if there}
    wrapped = Exported(trained.model.eval(), present)
    batch = torch.export.Dim("rows")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the exporter's own inside
            program = torch.onnx.export(
                wrapped,
                tuple(inputs.values()),
                dynamo=True,
                input_names=list(inputs),
                output_names=list(trained.objectives.names),
                dynamic_shapes=(tuple({0: batch} for _ in inputs),),
                verbose=False,
            )
    except Exception as error:
        raise RunError(f"PyTorch cannot express this network in ONNX: {error}. Export it as safetensors") from error
    assert program is not None
    write_atomic(path, lambda part: program.save(str(part)))
    return path
