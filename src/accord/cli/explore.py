"""``accord explore``: a front in the browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

EXAMPLES = """\
Examples:
  accord explore runs/front
      Opens a page on this machine: move the preference, watch the metrics,
      set limits, export the model that is shown. Ctrl-C stops it.
  accord explore runs/front --export front.html
      Writes the page as one file instead, with the stored points, to send to
      someone; it needs neither a server nor a network.

Only this machine can reach the page, and only with the key in its address.
Exports are written to RUN/exports."""

app = App(help_epilogue=EXAMPLES)


@app.default
def explore(
    run: Path,
    /,
    *,
    export: Path | None = None,
    port: int = 0,
    browser: Annotated[bool, Parameter(negative="--no-browser")] = True,
) -> None:
    """Open the page of a front: steer the preference, watch the metrics, export the model.

    Args:
        run: a directory that accord front wrote.
        export: write the page to this HTML file and stop.
        port: where the page is served; any free port when 0.
        browser: open the page at once where there is a display; --no-browser prints the address only.
    """
    from accord.exploring import explore, write_front_page

    if export is not None:
        print(write_front_page(run, export))
        return
    explore(run, port=port, open_browser=browser, announce=_announce)
    print("stopped", file=sys.stderr)


def _announce(address: str) -> None:
    print(address, flush=True)
    print("Open this address if no page appeared. Ctrl-C stops.", file=sys.stderr, flush=True)
