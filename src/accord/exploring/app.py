"""The page's server: the page, figures for a preference, and exports. Imported only where FastAPI is needed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from threading import Lock
from typing import IO, Annotated, Any

from fastapi import Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse

from accord.errors import AccordError, ConfigurationError
from accord.exploring.data import column_data
from accord.exploring.exports import Exports, Format
from accord.exploring.live import LiveFront

CHUNK = 1 << 16

Shares = Annotated[list[float], Body(embed=True, max_length=1000)]


def make_app(front: LiveFront, exports: Exports, page: str) -> FastAPI:
    """Return the application; it checks what it is sent, but not by whom: see :mod:`accord.exploring.guard`.

    Args:
        front: an opened one. It is asked one thing at a time.
        exports: where solutions are written.
        page: the document.
    """
    # The documentation pages of FastAPI load scripts from elsewhere.
    app = FastAPI(title="Accord", docs_url=None, redoc_url=None, openapi_url=None)
    one_at_a_time = Lock()

    @app.get("/", response_class=HTMLResponse)
    def show() -> str:
        return page

    @app.post("/evaluate")
    def evaluate(preference: Shares) -> dict[str, Any]:
        shares = simplex_point(preference, len(front.view.tasks))
        with one_at_a_time:
            began = time.perf_counter()
            column = front.measure(shares)
            seconds = time.perf_counter() - began
        return {"preference": shares, "seconds": seconds, **column_data(column)}

    @app.post("/export")
    def export(preference: Shares, format: Annotated[Format, Body(embed=True)]) -> dict[str, Any]:
        shares = tuple(simplex_point(preference, len(front.view.tasks)))
        with one_at_a_time:
            name = exports.write(front.run, [task.name for task in front.view.tasks], shares, format)
        return {"name": name, "bytes": exports.size(name), "preference": shares}

    @app.get("/exports/{name}")
    def download(name: str) -> StreamingResponse:
        file, shown, size = exports.download(name)
        facts = {"content-disposition": f'attachment; filename="{shown}"', "content-length": str(size)}
        return StreamingResponse(_chunks(file), media_type="application/octet-stream", headers=facts)

    @app.exception_handler(AccordError)
    def explain(_request: Request, error: Exception) -> JSONResponse:
        missing = isinstance(error, AccordError) and _request.method == "GET"
        return JSONResponse({"error": str(error)}, 404 if missing else 400)

    @app.exception_handler(RequestValidationError)
    def reject(_request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"the request is not understood: {_what(error)}"}, 422)

    return app


def simplex_point(shares: list[float], tasks: int) -> list[float]:
    """Return ``shares`` scaled to sum to 1.

    Raises:
        ConfigurationError: not one finite share per task, none negative, at least one positive.
    """
    total = sum(shares)
    if len(shares) != tasks or not math.isfinite(total) or min(shares) < 0 or total <= 0:
        raise ConfigurationError(f"a preference has {tasks} shares here, none negative, not all zero; got {shares[:8]}")
    # What sums to 1 already stays the same to the last bit, so that the model that is exported is the one shown.
    return shares if abs(total - 1) < 1e-9 else [share / total for share in shares]


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK):
            yield chunk


def _what(error: Exception) -> str:
    found = error.errors() if isinstance(error, RequestValidationError) else []
    return "; ".join(f"{'.'.join(map(str, e.get('loc', ())))}: {e.get('msg')}" for e in found[:3])
