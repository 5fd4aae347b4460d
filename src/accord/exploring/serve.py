"""From a front directory to a page in the browser, until Ctrl-C."""

from __future__ import annotations

import os
import secrets
import socket
import sys
import webbrowser
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from accord.errors import ConfigurationError, MissingExtraError

HOST = "127.0.0.1"
# What is still being answered when Ctrl-C comes has this long.
PATIENCE_S = 2


def explore(
    run: str | Path, *, port: int = 0, open_browser: bool = True, announce: Callable[[str], None] = print
) -> None:
    """Serve the page of a front on this machine until it is interrupted.

    Only this machine can reach it, and only with the key in the address.

    Args:
        run: a front directory.
        port: where to listen; any free port when 0.
        open_browser: show the page at once where there is a display.
        announce: is told the address as soon as the page can be opened.

    Raises:
        RunError: no front there, or a damaged one.
        ConfigurationError: the port is taken or not to be had.
        MissingExtraError: FastAPI or uvicorn is missing.
    """
    try:
        import uvicorn

        from accord.exploring.app import make_app
    except ImportError as error:
        raise MissingExtraError("accord explore", "explore", error.name or "FastAPI") from error
    from accord.exploring.exports import Exports
    from accord.exploring.guard import Guard
    from accord.exploring.live import open_live
    from accord.exploring.page import front_page, policy

    with _listening(port) as listener:
        front = open_live(run)
        # The first answer opens files and warms up; people should not wait for it at their first move.
        front.measure(list(front.view.preferences[0]))
        port = listener.getsockname()[1]
        key = secrets.token_urlsafe(24)
        app = make_app(front, Exports(Path(run)), front_page(front.view, live=True))
        guarded = Guard(app, port=port, key=key, policy=policy(live=True))
        config = uvicorn.Config(
            guarded,
            log_level="warning",
            access_log=False,
            lifespan="off",
            proxy_headers=False,  # a header must not make a request look as if it came from elsewhere
            server_header=False,
            ws="none",
            http="h11",
            timeout_graceful_shutdown=PATIENCE_S,
        )
        listener.listen()  # before the address is out: who connects now waits instead of being turned away
        address = f"http://{HOST}:{port}/?key={key}"
        announce(address)
        if open_browser and _has_display():
            webbrowser.open(address)
        # uvicorn shuts down at Ctrl-C, then passes it on; for us it is the way to finish.
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _listening(port: int) -> socket.socket:
    # Named, TCP is known for what it is, and asyncio turns off waiting for more to send: 40 ms between head and body.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is no port"
        raise ConfigurationError(f"port {port} cannot be used: {reason}. Leave --port out for any free one") from error
    return listener


def _has_display() -> bool:
    # Without one, a text browser would take over the terminal.
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
