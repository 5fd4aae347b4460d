"""Which engine should be under tables? Read, look at and encode the same data with Arrow, DuckDB, polars, and Accord.

Every measurement runs in a fresh process and prints one JSON line: seconds and CPU seconds (imports not counted), peak
resident megabytes (everything counted), and a checksum that shows that all did the same work.

    python benchmarks/tables.py                        # all of it; writes about 1.6 GB of scratch data
    python benchmarks/tables.py --rows 1000000         # a smaller wide table
    python benchmarks/tables.py --engine arrow --job census

Two jobs: ``census`` reads Census-Income (199,523 rows), counts distinct and missing values of each column, then
encodes: numbers standardised by median and quartiles to float32, everything else as int16 codes by frequency. ``wide``
reads and encodes 40 columns (20 float64, 10 int32, 10 text) of 10 million rows, quantiles from a sample of 200,000.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

CENSUS = Path(__file__).parent.parent / "src/accord/data/census_income/train.parquet"
SAMPLE = 200_000
BATCH = 131_072
Encoded = tuple[np.ndarray, np.ndarray]


def kinds(path: Path) -> tuple[list[str], list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(path)
    text = [f.name for f in schema if pa.types.is_dictionary(f.type) or pa.types.is_string(f.type)]
    return [name for name in schema.names if name not in text], text


def standardise(values: np.ndarray, quartiles: np.ndarray) -> np.ndarray:
    spread = quartiles[2] - quartiles[0]
    return ((values - quartiles[1]) / (spread or 1.0)).astype(np.float32)


def by_frequency(counts: dict[str, int]) -> dict[str, int]:
    return {text: code for code, text in enumerate(sorted(counts, key=lambda t: (-counts[t], t)), 1)}


def arrow(path: Path, profile: bool) -> Encoded:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    numeric, text = kinds(path)
    read = ds.ParquetReadOptions(dictionary_columns=set(text))
    scan = ds.ParquetFragmentScanOptions(pre_buffer=False, use_buffered_stream=True)
    data = ds.dataset(path, format=ds.ParquetFileFormat(read_options=read, default_fragment_scan_options=scan))
    rows = data.count_rows()
    if profile:
        table = data.to_table()
        for name in table.column_names:
            len(pc.unique(table[name])), table[name].null_count

    def batches() -> Iterator[pa.RecordBatch]:
        return data.scanner(batch_size=BATCH, batch_readahead=2, fragment_readahead=1).to_batches()

    picked = np.sort(np.random.default_rng(0).choice(rows, min(SAMPLE, rows), replace=False))
    held: dict[str, list[np.ndarray]] = {name: [] for name in numeric}
    counts: dict[str, dict[str, int]] = {name: {} for name in text}
    start = 0
    for batch in batches():
        low, high = np.searchsorted(picked, [start, start + batch.num_rows])
        for name in numeric:
            values = batch.column(name).to_numpy(zero_copy_only=False)
            held[name].append(values[picked[low:high] - start].astype(float))
        for name in text:
            column = batch.column(name)
            tally = np.bincount(column.indices.fill_null(-1).to_numpy() + 1, minlength=len(column.dictionary) + 1)
            for value, count in zip(column.dictionary.to_pylist(), tally[1:].tolist(), strict=True):
                counts[name][value] = counts[name].get(value, 0) + count
        start += batch.num_rows
    quartiles = {name: np.nanquantile(np.concatenate(held[name]), [0.25, 0.5, 0.75]) for name in numeric}
    places = {name: by_frequency(counts[name]) for name in text}
    numbers = np.empty((rows, len(numeric)), np.float32)
    codes = np.empty((rows, len(text)), np.int16)
    start = 0
    for batch in batches():
        stop = start + batch.num_rows
        for i, name in enumerate(numeric):
            numbers[start:stop, i] = standardise(batch.column(name).to_numpy(zero_copy_only=False), quartiles[name])
        for i, name in enumerate(text):
            column = batch.column(name)
            lookup = np.array([places[name][v] for v in column.dictionary.to_pylist()] + [0], np.int16)
            codes[start:stop, i] = lookup[column.indices.fill_null(-1).to_numpy()]
        start = stop
    return numbers, codes


def duckdb(path: Path, profile: bool) -> Encoded:
    import duckdb as engine

    numeric, text = kinds(path)
    con = engine.connect()
    con.execute(f"CREATE VIEW data AS SELECT * FROM '{path}'")
    rows = con.execute("SELECT count(*) FROM data").fetchone()[0]
    if profile:
        con.execute(
            "SELECT " + ", ".join(f'count(DISTINCT "{n}"), count("{n}")' for n in numeric + text) + " FROM data"
        )
        con.fetchall()
    some = f"(FROM data USING SAMPLE reservoir({SAMPLE} ROWS) REPEATABLE (0))"
    query = ", ".join(f'quantile_cont("{n}", [0.25, 0.5, 0.75])' for n in numeric)
    quartiles = [np.array(q, float) for q in con.execute(f"SELECT {query} FROM {some}").fetchone()]
    for i, name in enumerate(text):
        order = f'SELECT "{name}" FROM data WHERE "{name}" IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC, 1'
        con.execute(f"CREATE TYPE e{i} AS ENUM ({order})")
    numbers = np.empty((rows, len(numeric)), np.float32)
    codes = np.empty((rows, len(text)), np.int16)
    columns = [f'"{n}"::DOUBLE AS n{i}' for i, n in enumerate(numeric)]
    columns += [f'coalesce(enum_code("{n}"::e{i})::SMALLINT + 1, 0)::SMALLINT AS c{i}' for i, n in enumerate(text)]
    start = 0
    for batch in con.sql(f"SELECT {', '.join(columns)} FROM data").to_arrow_reader(BATCH):
        stop = start + batch.num_rows
        for i in range(len(numeric)):
            numbers[start:stop, i] = standardise(batch.column(i).to_numpy(zero_copy_only=False), quartiles[i])
        for i in range(len(text)):
            codes[start:stop, i] = batch.column(len(numeric) + i).to_numpy(zero_copy_only=False)
        start = stop
    return numbers, codes


def polars(path: Path, profile: bool) -> Encoded:
    import polars as pl

    numeric, text = kinds(path)
    lazy = pl.scan_parquet(path).with_columns(pl.col(text).cast(pl.String))
    rows = lazy.select(pl.len()).collect().item()
    if profile:
        lazy.select(pl.all().n_unique().name.prefix("u_"), pl.all().null_count().name.prefix("m_")).collect()
    step = max(rows // SAMPLE, 1)
    some = lazy.select(numeric).gather_every(step).collect(engine="streaming")
    quartiles = {n: np.nanquantile(some[n].to_numpy().astype(float), [0.25, 0.5, 0.75]) for n in numeric}
    enums = {}
    for name in text:
        tally = lazy.group_by(name).len().collect(engine="streaming").drop_nulls()
        counts = dict(zip(tally[name].to_list(), tally["len"].to_list(), strict=True))
        enums[name] = pl.Enum(list(by_frequency(counts)))
    numbers = np.empty((rows, len(numeric)), np.float32)
    codes = np.empty((rows, len(text)), np.int16)
    coded = [(pl.col(n).cast(e).to_physical().cast(pl.Int16) + 1).fill_null(0) for n, e in enums.items()]
    start = 0
    for frame in lazy.select(pl.col(numeric), *coded).collect_batches(chunk_size=BATCH, maintain_order=True):
        stop = start + len(frame)
        for i, name in enumerate(numeric):
            numbers[start:stop, i] = standardise(frame[name].to_numpy(), quartiles[name])
        for i, name in enumerate(text):
            codes[start:stop, i] = frame[name].to_numpy()
        start = stop
    return numbers, codes


def accord(path: Path, profile: bool) -> Encoded:
    from accord.data import FeatureEncoder, infer_schema, open_table

    del profile  # the schema is always inferred
    table = open_table(path)
    numeric, _ = kinds(path)
    schema = infer_schema(table, overrides=dict.fromkeys(numeric, "numeric"))
    features = FeatureEncoder.fit(table, schema).transform(table)
    return features.numeric.numpy(), features.categorical.numpy()


ENGINES: dict[str, Callable[[Path, bool], Encoded]] = {
    "arrow": arrow,
    "duckdb": duckdb,
    "polars": polars,
    "accord": accord,
}
IMPORTS = {"arrow": "pyarrow.dataset", "duckdb": "duckdb", "polars": "polars", "accord": "accord.data.encoder"}


def generate(path: Path, rows: int) -> None:
    """Write the wide table in row groups of a million rows, without ever holding more than one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    words = [pa.array([f"value {j} of column {i}" for j in range(10 ** (1 + i % 3))]) for i in range(10)]
    writer = None
    for start in range(0, rows, 1_000_000):
        n = min(1_000_000, rows - start)
        columns = {f"x{i}": np.round(rng.normal(i, i + 1, n), 3) for i in range(20)}
        columns |= {f"k{i}": rng.integers(0, 1000 * (i + 1), n, dtype=np.int32) for i in range(10)}
        for i, word in enumerate(words):
            # Skewed, as categories are.
            index = np.minimum(rng.exponential(len(word) / 5, n).astype(np.int32), len(word) - 1)
            columns[f"c{i}"] = word.take(pa.array(index))
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def measure(engine: str, path: Path, profile: bool) -> dict[str, object]:
    """Run in the child process."""
    __import__(IMPORTS[engine])
    __import__("pyarrow.parquet")
    begun, used = time.perf_counter(), time.process_time()
    numbers, codes = ENGINES[engine](path, profile)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "engine": engine,
        "rows": len(codes),
        "columns": numbers.shape[1] + codes.shape[1],
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu, 2),
        "peak_mb": round(peak),
        "result_mb": round((numbers.nbytes + codes.nbytes) / 2**20),
        "checksum": int(codes[::997].astype(np.int64).sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--job", choices=("census", "wide"))
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the fastest is kept")
    parser.add_argument("--wide", type=Path, help="the wide table, if it has been written before")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        engine, path, profile = options.child
        print(json.dumps(measure(engine, Path(path), profile == "True")))
        return
    with tempfile.TemporaryDirectory() as folder:
        for job in [options.job] if options.job else ("census", "wide"):
            path = CENSUS if job == "census" else options.wide or Path(folder) / "wide.parquet"
            if not path.exists():
                generate(path, options.rows)
            for engine in [options.engine] if options.engine else ENGINES:
                command = [sys.executable, __file__, "--child", engine, str(path), str(job == "census")]
                runs = [json.loads(subprocess.check_output(command)) for _ in range(options.repeat)]
                print(json.dumps({"job": job, **min(runs, key=lambda run: run["seconds"])}), flush=True)


if __name__ == "__main__":
    main()
