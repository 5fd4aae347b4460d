"""``accord explore``: a front in the browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from accord.errors import ConfigurationError

EXAMPLES = """\
Examples:
  accord explore runs/front
      Opens a page on this machine: move the preference, watch the metrics,
      set limits, export the model that is shown. Ctrl-C stops it.
  accord explore runs/front --export front.html
      Writes the page as one file instead, with the stored points, to send to
      someone; it needs neither a server nor a network.
  accord explore runs/front --preference 0.3,0.7 --export chosen
      Writes the model for a preference as a run directory, which accord
      predict takes; --export chosen.onnx writes ONNX.

Only this machine can reach the page, and only with the key in its address.
Exports are written to RUN/exports."""

app = App(help_epilogue=EXAMPLES)


@app.default
def explore(
    run: Path,
    /,
    *,
    export: Path | None = None,
    preference: str | None = None,
    port: int = 0,
    browser: Annotated[bool, Parameter(negative="--no-browser")] = True,
) -> None:
    """Open the page of a front: steer the preference, watch the metrics, export the model.

    Args:
        run: a directory that accord front wrote.
        export: write the page to this HTML file and stop; with --preference, write that model.
        preference: one share per task, e.g. 0.3,0.7; --export says where its model goes.
        port: where the page is served; any free port when 0.
        browser: open the page at once where there is a display; --no-browser prints the address only.
    """
    from accord.exploring import explore, write_front_page

    if preference is not None:
        print(_export(run, parse_shares(preference), export))
        return
    if export is not None:
        print(write_front_page(run, export))
        return
    explore(run, port=port, open_browser=browser, announce=_announce)
    print("stopped", file=sys.stderr)


def parse_shares(text: str) -> list[float]:
    """Return the numbers of ``0.3,0.7``.

    Raises:
        ConfigurationError: a part is no number.
    """
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigurationError(f"--preference is one number per task, such as 0.3,0.7; got {text!r}") from None


def _export(run: Path, shares: list[float], place: Path | None) -> Path:
    from accord.steering import open_front

    if place is None or place.suffix.lower() in (".html", ".htm"):
        raise ConfigurationError(
            "say where the model goes: --export NAME for a run directory, --export NAME.onnx for ONNX"
        )
    return open_front(run).export(shares, place, format="onnx" if place.suffix.lower() == ".onnx" else "safetensors")


def _announce(address: str) -> None:
    print(address, flush=True)
    print("Open this address if no page appeared. Ctrl-C stops.", file=sys.stderr, flush=True)
