"""What a result was produced with."""

from __future__ import annotations

import os
import platform
import resource
import sys
from typing import Any

import torch

from accord import __version__
from accord.errors import ConfigurationError


def describe(device: torch.device) -> dict[str, Any]:
    """Return versions, device, threads and machine as plain values."""
    return {
        "accord": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "machine": f"{platform.system()} {platform.machine()}",
    }


def pick_device(name: str) -> torch.device:
    """Return the device called ``name``; ``auto`` is the first GPU, else the CPU.

    Raises:
        ConfigurationError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    # A PyTorch without CUDA answers with an AssertionError, an unknown name with a RuntimeError.
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigurationError(
            f"device {name!r} cannot be used here: choose auto, cpu, cuda, cuda:1 or mps"
        ) from error
    return device


def peak_memory_mb() -> float:
    """Return the largest resident set of this process so far, in MB (10^6 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
