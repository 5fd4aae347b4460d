"""Who may talk to the server, and what it answers: raw HTTP against a real process."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
import socket
import zipfile
from contextlib import closing

import numpy as np
import psutil
import pytest
import torch

from accord.exploring.serve import _listening
from accord.steering import open_front


def call(server, method="GET", path="/", body=None, **changes):
    """Return status, headers and body. ``changes`` replace headers (``_`` is ``-``); ``None`` leaves one out."""
    headers = {"Host": f"127.0.0.1:{server.port}", "Cookie": f"accord-explore-{server.port}={server.key}"}
    if method == "POST":
        headers |= {"Origin": f"http://127.0.0.1:{server.port}", "Content-Type": "application/json"}
    headers |= {name.replace("_", "-"): value for name, value in changes.items()}
    data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
    if data is not None and "Content-Length" not in headers:
        headers["Content-Length"] = str(len(data))
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(data)
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()


HALF = {"preference": [0.5, 0.5]}


def test_the_page_comes_with_a_strict_policy(server):
    status, headers, body = call(server)
    assert status == 200 and body.startswith(b"<!doctype html>")
    policy = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for source in ("script-src", "style-src"):
        assert policy[source].startswith("'sha256-") and "unsafe" not in policy[source]
    assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store" and headers["cross-origin-resource-policy"] == "same-origin"
    assert "server" not in headers and server.key.encode() not in body


def test_answers_do_not_wait_for_more_to_send():
    # Head and body of an answer are two writes; the second must not wait for the browser to have heard of the first.
    async def accepted(listener) -> int:
        found = asyncio.get_running_loop().create_future()
        server = await asyncio.start_server(lambda _, writer: found.set_result(writer), sock=listener)
        _, client = await asyncio.open_connection(*listener.getsockname())
        writer = await found
        delay = writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        for one in (writer, client):
            one.close()
        server.close()
        return delay

    with _listening(0) as listener:
        assert asyncio.run(accepted(listener))


def test_only_loopback_is_listened_to(server):
    listening = [c for c in psutil.Process(server.process.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert [c.laddr for c in listening] == [("127.0.0.1", server.port)]


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1.evil.example:{port}",
        "[::1]:{port}",
        "0.0.0.0:{port}",
    ],
)
@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/evaluate"), ("GET", "/?key={key}")])
def test_a_name_that_was_pointed_here_is_refused(server, host, method, path):
    given = host and host.format(port=server.port)
    body = HALF if method == "POST" else None
    status, headers, answer = call(server, method, path.format(key=server.key), body, Host=given)
    assert status in (400, 421) and "set-cookie" not in headers and b"doctype" not in answer


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_its_own_names_are_answered(server, name):
    host = f"{name}:{server.port}"
    assert call(server, Host=host)[0] == 200
    assert call(server, "POST", "/evaluate", HALF, Host=host, Origin=f"http://{host}")[0] == 200


def test_two_hosts_are_refused(server):
    hosts = f"Host: 127.0.0.1:{server.port}\r\nHost: evil.example\r\n"
    lines = f"GET / HTTP/1.1\r\n{hosts}Cookie: accord-explore-{server.port}={server.key}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(lines.encode())
        assert raw.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 421")


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "http://evil.example",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "http://localhost:{port}",
    ],
)
@pytest.mark.parametrize("path", ["/evaluate", "/export"])
def test_a_post_of_another_site_is_refused(server, origin, path):
    given = origin and origin.format(port=server.port)
    body = {**HALF, "format": "safetensors"}
    assert call(server, "POST", path, body, Origin=given)[0] == 403
    assert not (server.directory / "exports" / "bought-50-price-50").exists()


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"]
)
def test_what_a_form_can_send_is_refused(server, kind):
    assert call(server, "POST", "/evaluate", HALF, Content_Type=kind)[0] == 415


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_picture_or_script_of_another_site_gets_nothing(server, site):
    assert call(server, path="/exports/x", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors")[0] == 403
    assert call(server, path="/", Sec_Fetch_Site=site, Sec_Fetch_Mode="no-cors")[0] == 403
    assert call(server, path="/", Origin="http://evil.example")[0] == 403
    # A link, in a chat or a terminal of the web, may open the page.
    assert call(server, path="/", Sec_Fetch_Site=site, Sec_Fetch_Mode="navigate")[0] == 200


@pytest.mark.parametrize(
    "cookie",
    [None, "", "accord-explore-{port}=", "accord-explore-{port}=wrong", "accord-explore-1={key}", "=;=;,", "a" * 4000],
)
def test_without_the_key_nothing_is_told(server, cookie):
    given = cookie and cookie.format(port=server.port, key=server.key)
    for method, path, body in (("GET", "/", None), ("POST", "/evaluate", HALF), ("GET", "/exports/x", None)):
        status, headers, answer = call(server, method, path, body, Cookie=given)
        assert status == 403 and b"key" in answer and server.key.encode() not in answer
        assert "set-cookie" not in headers


def test_the_printed_address_gives_the_cookie_and_only_on_the_page(server):
    status, headers, _ = call(server, path=f"/?key={server.key}", Cookie=None)
    assert status == 200
    assert headers["set-cookie"] == f"accord-explore-{server.port}={server.key}; Path=/; HttpOnly; SameSite=Strict"
    assert call(server, path=f"/?key={server.key[:-1]}", Cookie=None)[0] == 403
    assert call(server, path=f"/?key=%ff{server.key}", Cookie=None)[0] == 403
    assert call(server, "POST", f"/evaluate?key={server.key}", HALF, Cookie=None)[0] == 403
    assert len(server.key) >= 32


@pytest.mark.parametrize(("length", "status"), [(None, 411), ("x", 400), ("40000", 413), ("-1", 400)])
def test_bodies_have_a_length_and_a_limit(server, length, status):
    body = None if length is None else b"{"
    assert call(server, "POST", "/evaluate", body, Content_Length=length)[0] == status


@pytest.mark.parametrize(
    "preference",
    [
        [],
        [1.0],
        [0.5, 0.5, 0.0],
        [-0.1, 1.1],
        [0, 0],
        ["a", "b"],
        None,
        "0.5",
        [float("nan"), 1.0],
        [float("inf"), 0.0],
        [1e308, 1e308],
        [[0.5], 0.5],
        [0.0] * 5000,
    ],
)
def test_what_is_no_preference_is_explained(server, preference):
    status, _, body = call(server, "POST", "/evaluate", {"preference": preference})
    assert status in (400, 413, 422)
    assert status == 413 or "error" in json.loads(body)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"x": 1}', b"\xff\xfe", b"[" * 9000])
def test_damaged_bodies_are_refused(server, body):
    assert call(server, "POST", "/evaluate", body)[0] in (400, 422)


@pytest.mark.parametrize("format", ["pickle", "", "../x", None, 3])
def test_only_known_formats_are_written(server, format):
    assert call(server, "POST", "/export", {**HALF, "format": format})[0] == 422


@pytest.mark.parametrize(
    "path",
    [
        "/exports/..",
        "/exports/../front.json",
        "/exports/%2e%2e%2ffront.json",
        "/exports/front.json",
        "/exports//etc/passwd",
        "/exports/",
        "/front.json",
        "/docs",
        "/openapi.json",
    ],
)
def test_no_path_of_a_client_leads_to_a_file(server, path):
    status, _, body = call(server, path=path)
    assert status == 404 and b'"points"' not in body


def test_other_methods_are_refused(server):
    for method in ("PUT", "DELETE", "OPTIONS", "TRACE"):
        assert call(server, method, "/evaluate", Origin=f"http://127.0.0.1:{server.port}")[0] in (405, 415)


def test_figures_are_those_of_the_front(server):
    front = open_front(server.directory)
    for preference in ([0.3, 0.7], [1.0, 0.0], [3, 1]):
        status, _, body = call(server, "POST", "/evaluate", {"preference": preference})
        found = json.loads(body)
        measured = front.evaluate(preference)
        auc = measured.metrics["bought"]["auc"]
        assert status == 200 and found["preference"] == pytest.approx(np.array(preference) / sum(preference))
        assert [found[end][0] for end in ("value", "low", "high")] == pytest.approx(
            [100 * v for v in (auc.value, auc.low, auc.high)]
        )
        assert found["seconds"] > 0


def test_what_is_exported_is_the_model_that_was_shown(server):
    front = open_front(server.directory)
    preference = [0.37, 0.63]
    status, _, body = call(server, "POST", "/export", {"preference": preference, "format": "safetensors"})
    made = json.loads(body)
    assert status == 200 and made["preference"] == preference
    place = server.directory / "exports" / made["name"]
    assert made["name"] == "bought-37-price-63" and place.is_dir() and made["bytes"] > 1000

    status, headers, packed = call(server, path=f"/exports/{made['name']}")
    assert status == 200 and headers["content-disposition"] == f'attachment; filename="{made["name"]}.zip"'
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = {name.removeprefix(f"{made['name']}/") for name in archive.namelist()}
        assert archive.read(f"{made['name']}/model.safetensors") == (place / "model.safetensors").read_bytes()
    assert names == {path.name for path in place.iterdir()}

    from accord.training.trained import Trained

    own = Trained.load(place).model.eval()
    features = front.live.features[slice(0, 20)]
    with torch.no_grad():
        for mine, theirs in zip(own(features), front.solution(preference).eval()(features), strict=True):
            assert torch.equal(mine, theirs)
