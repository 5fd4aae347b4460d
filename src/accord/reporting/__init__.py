"""What people read: a run directory as one self-contained page, and the verdict as text for a terminal."""

from __future__ import annotations

from accord.reporting.again import write_again
from accord.reporting.comparison.page import write_comparison
from accord.reporting.comparison.text import comparison_text
from accord.reporting.front.page import write_front
from accord.reporting.front.text import front_text
from accord.reporting.grouping.page import write_grouping
from accord.reporting.grouping.task_groups import TaskGroups
from accord.reporting.grouping.text import grouping_text
from accord.reporting.merging.page import write_merge
from accord.reporting.verdict import verdict_text
from accord.reporting.write import write_report

__all__ = [
    "TaskGroups",
    "comparison_text",
    "front_text",
    "grouping_text",
    "verdict_text",
    "write_again",
    "write_comparison",
    "write_front",
    "write_grouping",
    "write_merge",
    "write_report",
]
