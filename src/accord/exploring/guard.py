"""Who may talk to the page's server: this machine's own browser, on this very page, with the key that was printed.

A server on loopback is not private by itself. Any web site can send requests to it (cross-site requests), and with a
name that it points at 127.0.0.1 it could read the answers too (DNS rebinding); other people on the machine can connect
as well. So a request must name this server in ``Host``, must not come from another origin, and must carry the key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from hmac import compare_digest
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

# A preference of a thousand tasks fits; nothing longer is ever meant for us.
LONGEST_BODY = 32_768
HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class RefusedError(Exception):
    """A request that is not answered, and why."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Guard:
    """An ASGI application around another one.

    Args:
        inner: answers what is let through.
        port: where the server listens.
        key: what a request must know, in the page's first address or in the cookie that this sets.
        policy: the page's content security policy.
    """

    def __init__(self, inner: Asgi, *, port: int, key: str, policy: str) -> None:
        self.inner = inner
        self.hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self.key = key
        # Cookies are shared by all ports of a host, so the name tells two servers apart.
        self.cookie = f"accord-explore-{port}"
        self.headers = {**HEADERS, "content-security-policy": f"{policy}; frame-ancestors 'none'"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] != "http":
            return  # there are no web sockets here
        try:
            extra = self.check(scope)
        except RefusedError as refusal:
            await _refuse(refusal, self.headers, send)
            return
        await self.inner(scope, receive, _with(send, {**self.headers, **extra}))

    def check(self, scope: Scope) -> dict[str, str]:
        """Return the headers to add to the answer.

        Raises:
            RefusedError: the request is not let through.
        """
        headers = _headers(scope)
        self._check_host(headers)
        self._check_origin(scope, headers)
        if scope["method"] == "POST":
            _check_body(headers)
        return self._check_key(scope, headers)

    def _check_host(self, headers: Mapping[str, list[str]]) -> None:
        if len(found := headers.get("host", [])) != 1 or found[0].lower() not in self.hosts:
            raise RefusedError(HTTPStatus.MISDIRECTED_REQUEST, "This server answers to 127.0.0.1 only.")

    def _check_origin(self, scope: Scope, headers: Mapping[str, list[str]]) -> None:
        origins = headers.get("origin", [])
        own = {f"http://{headers['host'][0].lower()}"}
        if (origins or scope["method"] == "POST") and {origin.lower() for origin in origins} != own:
            raise RefusedError(HTTPStatus.FORBIDDEN, "This request does not come from the page itself.")
        # A link from elsewhere may open the page, as the address that was printed does; nothing else is for others.
        opens = scope["path"] == "/" and headers.get("sec-fetch-mode") == ["navigate"] and scope["method"] == "GET"
        if not opens and not set(headers.get("sec-fetch-site", [])) <= {"same-origin", "none"}:
            raise RefusedError(HTTPStatus.FORBIDDEN, "This request does not come from the page itself.")

    def _check_key(self, scope: Scope, headers: Mapping[str, list[str]]) -> dict[str, str]:
        if any(self._is_key(value) for value in self._cookies(headers)):
            return {}
        given = parse_qs(scope["query_string"].decode("latin-1")).get("key", []) if scope["path"] == "/" else []
        if any(map(self._is_key, given)):
            return {"set-cookie": f"{self.cookie}={self.key}; Path=/; HttpOnly; SameSite=Strict"}
        raise RefusedError(
            HTTPStatus.FORBIDDEN, "Open the whole address that accord explore printed: it ends in a key."
        )

    def _is_key(self, text: str) -> bool:
        return compare_digest(text.encode(), self.key.encode())

    def _cookies(self, headers: Mapping[str, list[str]]) -> list[str]:
        found = []
        for line in headers.get("cookie", []):
            try:
                jar = SimpleCookie(line)
            except CookieError:
                continue
            found += [jar[self.cookie].value] if self.cookie in jar else []
        return found


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _check_body(headers: Mapping[str, list[str]]) -> None:
    kinds = [kind.split(";")[0].strip().lower() for kind in headers.get("content-type", [])]
    if kinds != ["application/json"]:
        # A form of another site can send anything but this without asking the browser first.
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json.")
    lengths = headers.get("content-length", [])
    if len(lengths) != 1 or not lengths[0].isdecimal():
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "Say how long the body is.")
    if int(lengths[0]) > LONGEST_BODY:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body may have {LONGEST_BODY} bytes.")


def _with(send: Send, extra: Mapping[str, str]) -> Send:
    async def wrapped(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode("latin-1")) for name, value in extra.items()]
            kept = [pair for pair in message["headers"] if pair[0].decode("latin-1").lower() not in extra]
            message = {**message, "headers": [*kept, *own]}
        await send(message)

    return wrapped


async def _refuse(refusal: RefusedError, headers: Mapping[str, str], send: Send) -> None:
    body = f"{refusal}\n".encode()
    facts = {**headers, "content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
    lines = [(name.encode(), value.encode("latin-1")) for name, value in facts.items()]
    await send({"type": "http.response.start", "status": int(refusal.status), "headers": lines})
    await send({"type": "http.response.body", "body": body})
