"""``python -m accord``: the command where its script is not on the path."""

import sys

from accord.cli.app import main

sys.exit(main())
