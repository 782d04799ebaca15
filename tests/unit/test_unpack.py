"""gzip, whole or broken, and what is no data at all."""

import gzip
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.errors import LoadError
from longshore.formats.unpack import BOM, unpack


def unpacked(data: bytes, size: int = 1 << 16) -> bytes:
    return b"".join(unpack([data[i : i + size] for i in range(0, len(data), size)], "f"))


@given(
    members=st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    padding=st.integers(0, 20),
    size=st.integers(1, 700),
)
def test_members_and_zero_padding_are_unpacked(members: list[bytes], padding: int, size: int) -> None:
    plain = b"n\n" + b"".join(members)
    data = gzip.compress(b"n\n") + b"".join(gzip.compress(m) + b"\0" * padding for m in members)
    assert unpacked(data, size) == plain


def test_gzip_cut_at_any_byte_is_an_error() -> None:
    whole = gzip.compress(os.urandom(300).hex().encode())
    for at in range(2, len(whole)):
        with pytest.raises(LoadError, match="truncated gzip"):
            unpacked(whole[:at])


def test_any_wrong_byte_in_the_body_or_checksum_is_an_error() -> None:
    whole = gzip.compress(os.urandom(300).hex().encode())
    for at in range(20, len(whole), 7):
        with pytest.raises(LoadError, match=r"gzip"):
            unpacked(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert unpacked(BOM + b"n\n1\n") == b"n\n1\n"
    assert unpacked(gzip.compress(BOM + b"n\n1\n"), 1) == b"n\n1\n"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (gzip.compress(b"", mtime=0), "unpacked, is empty"),
        (b"<!DOCTYPE html><p>", "is a web page"),
        (b"\n <HTML>", "is a web page"),
        (b"PK\x03\x04", "is a zip archive"),
        (b"PAR1x", "is Parquet"),
        (gzip.compress(gzip.compress(b"n\n", mtime=0), mtime=0), "is gzip in gzip"),
        (b"\0" * 257 + b"ustar", "is a tar archive"),
    ],
)
def test_what_is_no_text_is_refused_by_its_name(data: bytes, says: str) -> None:
    with pytest.raises(LoadError, match=says):
        unpacked(data)
