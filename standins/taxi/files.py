"""Taxi months as files: csv, csv.gz and Parquet, made once and kept, with what a load must find in them."""

from __future__ import annotations

import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from standins.taxi.render import batches, lines
from standins.taxi.taxi import Month

MADE = 1_657_756_800  # 2022-07-14: the day of the real release
VERSION = 1  # raise it when the rows change, so that kept files are made again
ENDINGS = ("csv", "csv.gz", "parquet")
ROW_GROUP = 1 << 20
BLOCK = 4 << 20


@dataclass(frozen=True)
class Expected:
    """What a load of the file must find: counts, and sums that any lost or changed row moves."""

    rows: int
    zero_passengers: int
    blank_vendor: int
    total_cents: int  # sum of total_amount
    zones: int  # sum of PULocationID


def make(root: Path, month: Month, ending: str = "csv.gz", name: str = "") -> tuple[Path, Expected]:
    """The month's file below `root`, made if it is not there; the same bytes and times on every machine."""
    path = root / f"{name or month.name}.{ending}"
    note = path.with_name(f".{path.name}.expected.json")
    key = f"{VERSION} {month}"
    if path.exists() and note.exists():
        kept: dict[str, Any] = json.loads(note.read_text())
        if kept.pop("key") == key:
            return path, Expected(**kept)
    root.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    counts: Counter[str] = Counter()
    if ending == "parquet":
        checksum = _write_parquet(part, month, counts)
    else:
        checksum = _write_text(part, month, counts, packed=ending.endswith(".gz"))
    # ETag and Last-Modified come from this time: by content, so that a file made again is the same file.
    stamp = MADE + checksum % 86_400
    os.utime(part, (stamp, stamp))
    expected = Expected(**counts)
    part.replace(path)
    note.write_text(json.dumps({"key": key, **asdict(expected)}))
    return path, expected


def pack(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """gzip, one member, on all cores: each block is a deflate run of its own, primed by the one before."""
    yield b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"
    crc = size = 0
    before = b""
    waiting: list[Future[bytes]] = []
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores) as pool:
        for block in _blocks(blocks):
            crc, size = zlib.crc32(block, crc), size + len(block)
            waiting.append(pool.submit(_deflate, block, before[-32768:]))
            before = block
            if len(waiting) > 2 * cores:
                yield waiting.pop(0).result()
        for future in waiting:
            yield future.result()
    yield b"\x03\x00" + crc.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little")


def _deflate(block: bytes, before: bytes) -> bytes:
    # Level 1: 37 MB for the month of 126 MB, quick to make, and slower to unpack than level 6.
    packer = zlib.compressobj(1, zlib.DEFLATED, -15, 8, zlib.Z_DEFAULT_STRATEGY, before)
    return packer.compress(block) + packer.flush(zlib.Z_SYNC_FLUSH)


def _blocks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for at in range(0, len(piece), BLOCK):
            yield piece[at : at + BLOCK]


def _write_text(path: Path, month: Month, counts: Counter[str], packed: bool) -> int:
    text = lines(month, counts)
    crc = 0
    with path.open("wb") as file:
        for piece in pack(text) if packed else text:
            crc = zlib.crc32(piece, crc)
            file.write(piece)
    return crc


def _write_parquet(path: Path, month: Month, counts: Counter[str]) -> int:
    writer: pq.ParquetWriter | None = None
    group: list[pa.RecordBatch] = []
    for batch in batches(month, counts):
        writer = writer or pq.ParquetWriter(path, batch.schema, compression="snappy")
        group.append(batch)
        if sum(b.num_rows for b in group) >= ROW_GROUP:
            writer.write_table(pa.Table.from_batches(group), row_group_size=ROW_GROUP)
            group = []
    if writer:
        if group:
            writer.write_table(pa.Table.from_batches(group), row_group_size=ROW_GROUP)
        writer.close()
    return zlib.crc32(path.read_bytes())
