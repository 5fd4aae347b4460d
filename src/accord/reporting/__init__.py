"""What people read: a run directory as one self-contained page, and the verdict as text for a terminal."""

from __future__ import annotations

from accord.reporting.verdict import verdict_text
from accord.reporting.write import write_report

__all__ = ["verdict_text", "write_report"]
