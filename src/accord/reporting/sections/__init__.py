"""The parts of the page, one file each: ``(run) -> Section``, or ``None`` where the run has nothing to show."""
