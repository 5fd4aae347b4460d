"""``python -m accord.grouping.worker DIRECTORY THREADS``: makes the runs of a grouping.

See :mod:`accord.comparing.worker`.
"""

from __future__ import annotations

import sys

from accord.comparing.worker import serve
from accord.grouping.study import GroupStudy

if __name__ == "__main__":
    sys.exit(serve(GroupStudy.read, *sys.argv[1:]))
