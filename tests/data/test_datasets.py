"""Downloads from a real server on this machine; nothing here reaches the network."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import http.server
import io
import json
import struct
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from accord.data import FeatureEncoder, datasets, infer_schema, open_table
from accord.data.datasets import DATASETS, File, readers
from accord.data.datasets.fetch import fetch, recorded
from accord.errors import ConfigurationError, DataError

BODY = bytes(range(256)) * 4000


@dataclass
class Server:
    """What the server sends, how much of it before it hangs up, and what it was asked for."""

    url: str = ""
    body: bytes = BODY
    etag: str = '"v1"'
    stop_after: int | None = None
    status: int | None = None
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.ranges.append(asked)
            if state.status:
                self.send_error(state.status)
                return
            start = 0
            if asked and self.headers.get("If-Range") in (None, state.etag):  # as real servers do
                start = int(asked.removeprefix("bytes=").rstrip("-"))
            self.send_response(206 if start else 200)
            self.send_header("ETag", state.etag)
            self.send_header("Content-Length", str(len(state.body) - start))
            self.end_headers()
            self.wfile.write(state.body[start : state.stop_after])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as live:
        threading.Thread(target=live.serve_forever, daemon=True).start()
        state.url = f"http://127.0.0.1:{live.server_port}/data.bin"
        yield state
        live.shutdown()


def sha(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


def test_a_download_is_verified_recorded_and_kept(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch(File(server.url, sha(BODY)), tmp_path, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == BODY and seen[-1] == (len(BODY), len(BODY))
    entry = recorded(tmp_path)["data.bin"]
    assert entry["verified"] == "published checksum" and entry["bytes"] == len(BODY)
    fetch(File(server.url, sha(BODY)), tmp_path)
    assert len(server.ranges) == 1
    assert not list(tmp_path.glob("*.part"))


def test_an_interrupted_download_is_resumed(server: Server, tmp_path: Path) -> None:
    server.stop_after = 300_000
    with pytest.raises(DataError, match=r"ended after 300,000 of 1,024,000 bytes.*Run again to resume"):
        fetch(File(server.url, sha(BODY)), tmp_path)
    assert not (tmp_path / "data.bin").exists()
    server.stop_after = None
    assert fetch(File(server.url, sha(BODY)), tmp_path).read_bytes() == BODY
    assert server.ranges == [None, "bytes=300000-"]


def test_a_new_version_is_not_mixed_with_the_old(server: Server, tmp_path: Path) -> None:
    server.stop_after = 300_000
    with pytest.raises(DataError):
        fetch(File(server.url), tmp_path)
    server.stop_after, server.etag, server.body = None, '"v2"', b"new" * 200_000
    assert fetch(File(server.url), tmp_path).read_bytes() == server.body


def test_without_a_strong_version_a_download_begins_again(server: Server, tmp_path: Path) -> None:
    server.stop_after, server.etag = 1000, 'W/"weak"'
    with pytest.raises(DataError):
        fetch(File(server.url), tmp_path)
    server.stop_after = None
    assert fetch(File(server.url), tmp_path).read_bytes() == BODY
    assert server.ranges == [None, None]


def test_other_bytes_than_published_are_refused(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not the file it should be: its sha256 is"):
        fetch(File(server.url, sha(b"other")), tmp_path)
    assert not list(tmp_path.glob("data.bin*")) or {p.suffix for p in tmp_path.glob("data.bin*")} <= {
        ".lock",
        ".version",
    }
    md5 = "md5:" + hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    assert fetch(File(server.url, md5), tmp_path).is_file()


def test_the_same_content_packed_anew_is_as_good(server: Server, tmp_path: Path) -> None:
    labels = bytes(range(10)) * 50
    first, second = (gzip.compress(labels, mtime=time) for time in (0, 1_500_000_000))
    file = File(server.url, sha(first), content=sha(labels))
    server.body = second
    assert fetch(file, tmp_path).read_bytes() == second
    assert fetch(file, tmp_path).read_bytes() == second and len(server.ranges) == 1  # here, nothing is asked for again
    for spoilt in (gzip.compress(labels[:-1]), second[:-9], second[:20] + b"?" + second[21:], labels):
        (tmp_path / "data.bin").write_bytes(spoilt)
        server.body = spoilt
        with pytest.raises(DataError, match="is not the file it should be"):
            fetch(file, tmp_path)
    server.body = first
    assert fetch(file, tmp_path).read_bytes() == first
    with pytest.raises(DataError, match="is not the file it should be"):  # without a known content, bytes count
        server.body = second
        fetch(File(server.url, sha(first)), tmp_path / "other")


def test_the_first_download_is_trusted_and_later_ones_must_equal_it(server: Server, tmp_path: Path) -> None:
    path = fetch(File(server.url), tmp_path)
    assert recorded(tmp_path)["data.bin"]["verified"] == "first use"
    path.write_bytes(b"tampered")
    server.body = b"replaced"
    with pytest.raises(DataError, match="recorded at the first download"):
        fetch(File(server.url), tmp_path)
    server.body = BODY
    assert fetch(File(server.url), tmp_path).read_bytes() == BODY


def test_no_server_a_refusal_and_a_full_disk(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DataError, match=r"the server answers 404.*save it as .*data\.bin"):
        fetch(File(server.url), tmp_path)
    with pytest.raises(DataError, match=r"cannot reach 127\.0\.0\.1"):
        fetch(File("http://127.0.0.1:9/data.bin"), tmp_path)
    full = Path("/dev/full")
    if full.exists():
        (tmp_path / "data.bin.part").symlink_to(full)
        server.status = None
        with pytest.raises(DataError, match="ACCORD_CACHE names another folder"):
            fetch(File(server.url), tmp_path)


def test_a_file_put_there_by_hand_is_used(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"mine")
    assert fetch(File("http://127.0.0.1:9/data.bin"), tmp_path).read_bytes() == b"mine"


def test_the_registry_is_complete() -> None:
    overlaid = ["multi-mnist", "multi-fashion", "multi-fashion-and-mnist", "multi-mnist-3"]
    assert list(DATASETS) == ["census-income", "adult", "fashion-mnist", *overlaid, "qm9", "movielens-100k", "yeast"]
    for name, entry in DATASETS.items():
        assert name == entry.name and entry.description and entry.licence and entry.citation and entry.tasks
        assert entry.rows > 0 and entry.columns > 0 and entry.homepage.startswith("https://")
        assert all(file.url.startswith("http") for file in entry.files)
    assert "research only" in DATASETS["movielens-100k"].licence
    with pytest.raises(ConfigurationError, match="Did you mean 'census-income'"):
        datasets.describe("census-incom")


def test_the_cache_is_where_people_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path / "a"))
    assert datasets.cache_dir() == tmp_path / "a"
    monkeypatch.delenv("ACCORD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert datasets.cache_dir() == tmp_path / "b" / "accord"
    assert not datasets.is_available("adult") and datasets.is_available("census-income")


def test_census_income_ships_complete() -> None:
    table = open_table("census-income")
    assert table.num_rows == 199_523 and table.test is not None and table.test.num_rows == 99_762
    entry = DATASETS["census-income"]
    joined = table.joined()
    assert joined.num_rows == entry.rows and len(joined.names) == entry.columns and entry.bundled
    # The positive rates that the literature quotes for the two parts.
    for part, expected in ((table, 0.0621), (table.test, 0.0620)):
        codes, classes = part.codes("income")
        assert classes == ("- 50000.", "50000+.") and np.mean(codes == 1) == pytest.approx(expected, abs=5e-5)
    assert (datasets.folder_of("census-income") / "LICENSE.md").read_text("utf-8").count("CC BY 4.0") == 1


def test_census_income_is_understood() -> None:
    table = open_table("census-income")
    schema = infer_schema(table, ["income", "marital_stat"])
    assert [c.name for c in schema.dropped] == ["instance_weight"] and "sample weight" in schema.dropped[0].reason
    assert [c.name for c in schema.features if c.kind == "numeric"] == [
        "age",
        "wage_per_hour",
        "capital_gains",
        "capital_losses",
        "dividends_from_stocks",
        "num_persons_worked_for_employer",
        "weeks_worked_in_year",
    ]
    assert {c.kind for c in schema.features} == {"numeric", "categorical"} and len(schema.features) == 39
    # "?" is missing, "Not in universe" is an answer.
    assert schema["migration_prev_res_in_sunbelt"].missing == pytest.approx(0.5, abs=0.01)
    assert schema["class_of_worker"].missing == 0 and "Not in universe" in table.codes("class_of_worker")[1]
    assert infer_schema(table.head(500), overrides={"instance_weight": "numeric"})["instance_weight"].role == "feature"
    features = FeatureEncoder.fit(table, schema).transform(table)
    assert features.numeric.shape == (199_523, 7) and features.categorical.shape == (199_523, 32)
    assert features.nbytes < 25e6


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return out.getvalue()


def test_a_registered_set_is_downloaded_and_opened_by_name(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = "39, State-gov, 77516, Bachelors, 13, Never-married, Adm-clerical, Not-in-family, White, Male, 2174, 0, 40, "
    row += "{}, {}"
    train = row.format("United-States", "<=50K") + "\n" + row.format("?", ">50K") + "\n\n"
    test = "|1x3 Cross validator\n" + row.format("Cuba", "<=50K.") + "\n"
    server.body = zipped({"adult.data": train.encode(), "adult.test": test.encode()})
    entry = replace(DATASETS["adult"], files=(File(server.url.replace("data.bin", "adult.zip")),))
    monkeypatch.setitem(DATASETS, "adult", entry)
    monkeypatch.setenv("ACCORD_CACHE", str(tmp_path))
    table = open_table("adult").joined()
    assert table.num_rows == 3 and len(table.names) == DATASETS["adult"].columns
    assert table.codes("income")[1] == ("<=50K", ">50K") and table.codes("native_country")[0].tolist() == [1, -1, 0]
    assert json.loads((tmp_path / "adult" / "manifest.json").read_text())["adult.zip"]["verified"] == "first use"
    assert infer_schema(table)["fnlwgt"].role == "dropped"


def test_readers_of_the_other_sets(tmp_path: Path) -> None:
    def opened(pieces: dict[str, object], part: str = "train") -> dict[str, list[object]]:
        return pieces[part].to_table().to_pydict()  # type: ignore[attr-defined]

    for part in ("train", "t10k"):
        header = struct.pack(">HBBIII", 0, 8, 3, 2, 2, 2) + bytes(range(8))
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header))
        labels = struct.pack(">HBBI", 0, 8, 1, 2) + bytes([9, 3])
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    images = opened(readers.fashion_mnist(tmp_path), "test")
    assert images == {"pixel_0": [0, 4], "pixel_1": [1, 5], "pixel_2": [2, 6], "pixel_3": [3, 7], "label": [9, 3]}

    (tmp_path / "qm9.csv").write_text("mol_id,smiles,mu\ngdb_1,C,0.0\ngdb_2,N,1.6256\n")
    assert opened(readers.qm9(tmp_path))["mu"] == [0.0, 1.6256]

    genres = "|".join("1" if i in (1, 5) else "0" for i in range(19))
    (tmp_path / "ml-100k.zip").write_bytes(
        zipped(
            {
                "ml-100k/u.data": b"1\t7\t5\t874965758\n",
                "ml-100k/u.user": b"1|24|M|technician|85711\n",
                "ml-100k/u.item": f"7|Café (1995)|01-Jan-1995||http://x|{genres}\n".encode("latin-1"),
            }
        )
    )
    film = opened(readers.movielens_100k(tmp_path))
    assert len(film) == DATASETS["movielens-100k"].columns
    assert film["rating"] == [5] and film["release_year"] == ["1995"] and film["zip_code"] == ["85711"]
    assert [name for name, value in film.items() if name.startswith("genre_") and value == [True]] == [
        "genre_action",
        "genre_comedy",
    ]

    for part in ("train", "test"):
        (tmp_path / f"yeast_{part}.svm.bz2").write_bytes(bz2.compress(b"2,13 1:0.5 103:-1\n0 2:1\n"))
    genes = opened(readers.yeast(tmp_path))
    assert len(genes) == DATASETS["yeast"].columns
    assert genes["feature_1"] == [0.5, 0.0] and genes["feature_103"] == [-1.0, 0.0]
    assert [name for name in genes if name.startswith("label_") and genes[name][0]] == ["label_3", "label_14"]


def test_damaged_downloads_say_so(tmp_path: Path) -> None:
    (tmp_path / "adult.zip").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(DataError, match=r"adult\.zip is no complete zip archive"):
        readers.adult(tmp_path)
    (tmp_path / "x.gz").write_bytes(gzip.compress(struct.pack(">HBBI", 0, 8, 1, 100) + b"short"))
    with pytest.raises(DataError, match="is damaged"):
        readers.idx(tmp_path / "x.gz")
