"""A GTFS zip as a source of text columns: what is read, and what is refused and how."""

import struct
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from random import Random
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.late_buses import gtfs_csv
from longshore.errors import LoadError
from longshore.sources import zip as zips
from longshore.sources.zip import opened
from tests.unit.gtfs_files import FILES, packed

CENTRAL = b"PK\x01\x02"  # begins a member's entry in the zip's directory


def read(file: BinaryIO | Path, member: str, *required: str, optional: tuple[str, ...] = ()) -> list[dict[str, object]]:
    with opened(file, "bench.zip") as gtfs:
        rows: list[dict[str, object]] = gtfs_csv.table(gtfs, member, required, optional).to_pylist()
        return rows


def stops(text: str | bytes) -> list[dict[str, object]]:
    return read(packed({"stops.txt": text}), "stops.txt", "stop_id", "stop_name", optional=("stop_code",))


def row(stop_id: str | None, name: str | None, code: str | None = None) -> dict[str, object]:
    return {"stop_id": stop_id, "stop_name": name, "stop_code": code}


@pytest.mark.parametrize("folder", ["", "feed/", "a/b/"])
def test_files_are_found_by_name_also_below_one_folder(folder: str) -> None:
    with opened(packed({}, folder), "f") as gtfs:
        assert gtfs.members == sorted(FILES)
        assert "shapes.txt" not in gtfs


def test_what_a_mac_adds_to_a_zip_is_no_file_of_it() -> None:
    with opened(packed({"__MACOSX/feed/._agency.txt": "x"}), "f") as gtfs:
        assert gtfs.members == sorted(FILES)


def test_a_zip_on_disk_is_read_as_one_in_memory_and_unpacked_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    path = tmp_path / "f.zip"
    path.write_bytes(packed({}).getvalue())
    with tempfile.SpooledTemporaryFile(max_size=100) as spooled:
        spooled.write(path.read_bytes())
        for file in (path, cast(BinaryIO, spooled)):
            assert read(file, "agency.txt", "agency_name") == read(packed({}), "agency.txt", "agency_name")
    assert [file.name for file in tmp_path.iterdir()] == ["f.zip"]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("stop_id,stop_name\n1,a\n", [row("1", "a")]),
        ("stop_id,stop_name\r\n1,a\r\n", [row("1", "a")]),
        (b"\xef\xbb\xbfstop_id,stop_name\n1,a", [row("1", "a")]),
        ('"stop_id","stop_name"\n"1","a ""b"", c"\n', [row("1", 'a "b", c')]),
        ("stop_name,x,stop_id\na,9,007\n", [row("007", "a")]),
        ('stop_id,stop_name,stop_code\n1,,c\n,"",\n', [row("1", None, "c"), row(None, None)]),
        (" stop_id , stop_name,\n1,a,\n", [row("1", "a")]),
        ("stop_id,stop_name\n1,NULL\n", [row("1", "NULL")]),
        ('stop_id,stop_name\n1,6" pipe\n', [row("1", '6" pipe')]),
        ("stop_id,stop_name\n", []),
        ("stop_id,stop_name", []),
        ("stop_id,stop_name\n1,a\n\n\n", [row("1", "a")]),
    ],
)
def test_columns_are_text_and_an_empty_field_is_null(text: str | bytes, rows: list[dict[str, object]]) -> None:
    assert stops(text) == rows


def test_rows_of_many_blocks_all_arrive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gtfs_csv, "BLOCK", 1000)
    lines = [f'{number},"name,\n{number}"' for number in range(5000)]
    found = stops("stop_id,stop_name\n" + "\n".join(lines))
    assert found == [row(str(number), f"name,\n{number}") for number in range(5000)]


def test_the_row_of_an_error_is_counted_over_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gtfs_csv, "BLOCK", 1000)
    with pytest.raises(LoadError, match=r"stops.txt, row 4,001: Expected 2 columns, got 1: short"):
        stops("stop_id,stop_name\n" + "1,a\n" * 4000 + "short\n" + "1,a\n" * 1000)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "stops.txt is empty"),
        ("stop_id,name\n1,a\n", "stops.txt lacks the column stop_name; it has stop_id, name"),
        ("stop_id,stop_name,stop_id\n1,a,2\n", "stops.txt has the column 'stop_id' twice"),
        ("stop_id,stop_name\n1,a\n2\n", "stops.txt, row 2: Expected 2 columns, got 1: 2"),
        ("stop_id,stop_name\n1,a\n2,b,c\n", "stops.txt, row 2: Expected 2 columns, got 3: 2,b,c"),
        (b"stop_id,stop_name\n1,caf\xe9\n", "stops.txt, row 1: .*invalid UTF8"),
        ("stop_id,stop_name\r1,a\r", "stops.txt: the header cannot be read: .* End each line with LF or CRLF"),
        ("stop_id,stop_name\n1,a\n".encode("utf-16"), "stops.txt is not UTF-8"),
        ('stop_id,stop_name\n1,a\n2,"b\n3,c\n4,d\n', "stops.txt, row 2: a quoted field has no end"),
    ],
)
def test_a_file_that_is_no_csv_is_refused_with_what_is_wrong(text: str | bytes, says: str) -> None:
    with pytest.raises(LoadError, match=f"bench.zip: {says}"):
        stops(text)


def test_a_file_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(LoadError, match=r"zip has no stops.txt; it holds agency.txt, calendar.txt, .* the right file"):
        read(packed({"stops.txt": None}), "stops.txt", "stop_id")


@pytest.mark.parametrize("name", ["../agency.txt", "/etc/agency.txt", "a/../../b.txt", "..\\b.txt", "C:\\b.txt"])
def test_a_name_that_leads_out_of_the_zip_is_refused(name: str) -> None:
    with pytest.raises(LoadError, match="leads out of the zip"):
        read(packed({name: "x"}), "agency.txt", "agency_name")


def test_a_file_that_is_there_twice_is_refused() -> None:
    file = packed({})
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("agency.txt", "other")
    with pytest.raises(LoadError, match=r"holds agency.txt twice"):
        read(file, "agency.txt", "agency_name")


def test_a_zip_bomb_is_refused_by_its_ratio() -> None:
    with pytest.raises(LoadError, match=r"stops.txt would unpack to 20,000,018 bytes from .* a zip bomb"):
        stops("stop_id,stop_name\n" + "0" * 20_000_000)


def test_a_zip_bomb_is_refused_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zips, "MOST_BYTES", 100)
    monkeypatch.setitem(gtfs_csv.MOST_BYTES, "stop_times.txt", 300)
    assert read(packed({}), "stop_times.txt", "trip_id")  # has a limit of its own
    with pytest.raises(LoadError, match=r"calendar.txt would have .* bytes; more than 100 are refused as a zip bomb"):
        read(packed({}), "calendar.txt", "service_id")
    with pytest.raises(LoadError, match=r"stop_times.txt would have .* more than 300"):
        read(packed({"stop_times.txt": FILES["stop_times.txt"] * 2}), "stop_times.txt", "trip_id")


def patched(member: str, offset: int, form: str, value: int) -> BytesIO:
    """FILES, with a number in the member's directory entry changed: what the zip declares is a lie."""
    data = bytearray(packed({}).getvalue())
    at = data.rindex(member.encode(), 0, len(data)) - 46
    assert data[at : at + 4] == CENTRAL
    struct.pack_into(form, data, at + offset, value)
    return BytesIO(bytes(data))


@pytest.mark.parametrize(
    ("offset", "form", "value", "says"),
    [
        (8, "<H", 1, "is encrypted. Publish it without a password"),
        (10, "<H", 14, "is packed by method 14. Use deflate"),
        (16, "<L", 1, "is damaged in the zip: Bad CRC-32"),
        (20, "<L", 1 << 30, "is damaged in the zip: it ends behind the end"),
        (24, "<L", 30, "is damaged in the zip: Bad CRC-32"),  # more comes than is declared
        (42, "<L", 5, "is damaged in the zip: Bad magic number"),
    ],
)
def test_a_zip_whose_directory_lies_is_refused(offset: int, form: str, value: int, says: str) -> None:
    with pytest.raises(LoadError, match=f"bench.zip: agency.txt {says}"):
        read(patched("agency.txt", offset, form, value), "agency.txt", "agency_name")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "f is empty"),
        (b"\n<!DOCTYPE html><p>Sign in", "f is a web page"),
        (b"route_id,agency_id\n", "f is not a zip: it begins with b'route_id,age'"),
    ],
)
def test_what_is_no_zip_is_refused_with_what_it_is(data: bytes, says: str) -> None:
    with pytest.raises(LoadError, match=says), opened(BytesIO(data), "f"):
        pass


def test_a_zip_cut_at_any_byte_is_an_error() -> None:
    whole = packed({}).getvalue()
    for at in range(4, len(whole) - 1, 7):
        with pytest.raises(LoadError, match="f is a zip that is cut off"), opened(BytesIO(whole[:at]), "f"):
            pass


def everything(file: BytesIO) -> Mapping[str, bytes]:
    with opened(file, "f") as gtfs:
        found = {}
        for member in gtfs.members:
            with gtfs.open(member) as unpacked:
                found[member] = unpacked.read()
        return found


@settings(deadline=None)
@given(seed=st.integers(0, 1 << 32), count=st.integers(1, 4))
def test_damaged_bytes_are_an_error_or_do_no_harm(seed: int, count: int) -> None:
    random, data = Random(seed), bytearray(packed({}).getvalue())
    for _ in range(count):
        data[random.randrange(len(data))] = random.randrange(256)
    with suppress(LoadError):  # or what was hit says nothing of the contents: a time, a name, a comment
        assert set(everything(BytesIO(bytes(data))).values()) <= {text.encode() for text in FILES.values()}


def test_errors_in_the_middle_of_a_file_reach_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gtfs_csv, "BLOCK", 1 << 12)
    random = Random(1)
    text = "stop_id,stop_name\n" + "".join(f"{n},{random.getrandbits(256):x}\n" for n in range(5000))
    data = bytearray(packed({"stops.txt": text}).getvalue())
    middle = data.index(b"stops.txt") + 100_000
    data[middle : middle + 40] = bytes(40)
    with pytest.raises(LoadError, match=r"stops.txt(, row \d,\d+: Expected 2 columns| is damaged in the zip)"):
        read(BytesIO(bytes(data)), "stops.txt", "stop_id")
