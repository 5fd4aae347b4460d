"""How much memory one training run needed at most, although others ran in the same process before it."""

from __future__ import annotations

from pathlib import Path

import torch

from accord.training.environment import peak_memory_mb

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def reset_peak(device: torch.device) -> None:
    """Forget the peak so far, where the system can; elsewhere a process's later runs inherit that of the earlier."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        RESET.write_text("5", encoding="ascii")
    except OSError:
        return


def peak_mb(device: torch.device) -> float:
    """Return the peak since :func:`reset_peak` in MB (10^6 bytes): of the GPU, or of the whole process on a CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        lines = STATUS.read_text(encoding="ascii").splitlines()
    except OSError:
        return peak_memory_mb()
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 / 1e6 if found else peak_memory_mb()
