"""Downloads that can be interrupted anywhere: resumed, verified, and put in place all at once."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import json
import os
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from accord.data.datasets.entry import File
from accord.data.store import replacing
from accord.errors import DataError

_CHUNK = 2**18
_SECONDS = 30
MANIFEST = "manifest.json"

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all (0 where the server does not say)."""


def fetch(file: File, folder: Path, progress: Progress | None = None) -> Path:
    """Return the path of ``file`` in ``folder``, downloading what is not there yet.

    A cached file is verified each time. A partial download is continued if the server still has the same version,
    else begun again. Only a complete and verified file gets its final name.

    Raises:
        DataError: no connection, the server refuses, the bytes are not those expected, or the disk is full.
    """
    target = folder / file.name
    if target.is_file() and _accepted(file, target):
        return target
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{file.name}.part"
    with _locked(folder / f"{file.name}.lock"), _explained(file, target):
        if target.is_file() and _accepted(file, target):  # another process was faster
            return target
        _download(file, part, progress)
        _verify(file, part, target)
        part.replace(target)
        part.with_suffix(".version").unlink(missing_ok=True)
    return target


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the hexadecimal digest of a file."""
    with path.open("rb") as stream:
        return _digest(stream, algorithm)


def _digest(stream: Any, algorithm: str) -> str:
    return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def _holds(path: Path, content: str) -> bool:
    algorithm, _, wanted = content.partition(":")
    try:
        with gzip.open(path) as stream:
            return bool(wanted) and _digest(stream, algorithm) == wanted
    except (OSError, EOFError, zlib.error):  # no gzip file, or half of one
        return False


def recorded(folder: Path) -> dict[str, dict[str, Any]]:
    """Return what the cache's manifest says about each file: url, sha256, bytes, and how it was verified."""
    try:
        return dict(json.loads((folder / MANIFEST).read_text("utf-8")))
    except (OSError, ValueError):
        return {}


def _download(file: File, part: Path, progress: Progress | None) -> None:
    done, version = _resumable(part)
    request = urllib.request.Request(file.url, headers={"User-Agent": "accord"})
    if done:
        request.add_header("Range", f"bytes={done}-")
        request.add_header("If-Range", version)
    with urllib.request.urlopen(request, timeout=_SECONDS) as reply:
        if getattr(reply, "status", None) != http.HTTPStatus.PARTIAL_CONTENT:
            done = 0
        total = done + int(reply.headers.get("Content-Length") or 0)
        # Only a strong validator can tell that the rest belongs to the same version.
        strong = reply.headers.get("ETag", "")
        part.with_suffix(".version").write_text("" if strong.startswith("W/") else strong, "utf-8")
        with part.open("ab" if done else "wb") as out:
            while block := reply.read(_CHUNK):
                out.write(block)
                done += len(block)
                if progress:
                    progress(done, total)
    if total and done < total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")


def _resumable(part: Path) -> tuple[int, str]:
    try:
        version = part.with_suffix(".version").read_text("utf-8")
        return (part.stat().st_size, version) if version else (0, "")
    except OSError:
        return 0, ""


def _verify(file: File, part: Path, target: Path) -> None:
    known = recorded(target.parent).get(target.name, {})
    expected = file.checksum or (f"sha256:{known['sha256']}" if known.get("url") == file.url else "")
    algorithm, _, wanted = expected.partition(":")
    if wanted and (found := digest(part, algorithm)) != wanted and not _holds(part, file.content):
        part.unlink()
        since = "" if file.checksum else " that was recorded at the first download"
        raise DataError(
            f"{file.url} is not the file it should be: its {algorithm} is {found}, not {wanted}{since}. "
            "It was deleted; if the source has changed on purpose, download it by hand."
        )
    manifest = recorded(target.parent)
    manifest[target.name] = {
        "url": file.url,
        "sha256": digest(part),
        "bytes": part.stat().st_size,
        "verified": "published checksum" if file.checksum else "first use",
    }
    with replacing(target.parent / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest, indent=2, sort_keys=True), "utf-8")


def _accepted(file: File, target: Path) -> bool:
    algorithm, _, wanted = file.checksum.partition(":")
    if wanted:
        return digest(target, algorithm) == wanted or _holds(target, file.content)
    known = recorded(target.parent).get(target.name)
    # A file that someone put there by hand is theirs to vouch for.
    return known is None or known["sha256"] == digest(target)


@contextmanager
def _explained(file: File, target: Path) -> Iterator[None]:
    by_hand = f"Run again to resume, or download it by hand and save it as {target}"
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise DataError(f"{file.url}: the server answers {error.code} {error.reason}. {by_hand}") from error
    except (urllib.error.URLError, ConnectionError, TimeoutError, http.client.HTTPException) as error:
        host = urlparse(file.url).hostname or "the file"
        raise DataError(f"cannot reach {host} for {file.url}: {getattr(error, 'reason', error)}. {by_hand}") from error
    except OSError as error:
        raise DataError(f"cannot write {target}: {error}. ACCORD_CACHE names another folder") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    # Two processes appending to one partial file would spoil it; the lock goes with the process, even when killed.
    with path.open("w") as stream:
        if os.name == "posix":
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
