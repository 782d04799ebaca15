"""Text is cut where rows end, however it arrives."""

import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.errors import LoadError
from longshore.formats.blocks import delimiter_of, first_row, line_blocks, row_end

FIELDS = st.text(st.sampled_from('ab",;\n\r é'), max_size=6)
ROWS = st.lists(st.lists(FIELDS, min_size=3, max_size=3), min_size=1, max_size=12)
many = settings(max_examples=300, deadline=None)


def written(rows: list[list[str]], delimiter: str, end: str) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(rows)
    return text.getvalue().encode()


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in sizes:
        yield data[at : at + size]
        at += size
    yield data[at:]


def parsed(data: bytes, delimiter: str) -> list[list[str]]:
    return [row for row in csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter) if row]


@many
@given(
    rows=ROWS,
    delimiter=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n"]),
    sizes=st.lists(st.integers(1, 30)),
    size=st.integers(1, 60),
    last=st.booleans(),
)
def test_any_csv_cut_anywhere_has_the_same_rows(
    rows: list[list[str]], delimiter: str, end: str, sizes: list[int], size: int, last: bool
) -> None:
    data = written([["x", "y", "z"], *rows], delimiter, end)
    data = data if last else data.removesuffix(end.encode())
    blocks = list(line_blocks(pieces(data, sizes), "f", quoting=True, size=size))
    assert b"".join(blocks) == data
    assert [row for block in blocks for row in parsed(block, delimiter)] == parsed(data, delimiter)


@many
@given(lines=st.lists(st.text(st.sampled_from('ab",'), max_size=5), min_size=1), size=st.integers(1, 20))
def test_stray_quotes_end_rows_where_python_s_csv_ends_them(lines: list[str], size: int) -> None:
    data = "\n".join(["x,y", *lines, ""]).encode()
    if parsed(data + b"end", ",")[-1] != ["end"]:  # the file ends within a quote
        with pytest.raises(LoadError, match="never closed"):
            list(line_blocks([data], "f", quoting=True, size=size))
        return
    blocks = list(line_blocks([data], "f", quoting=True, size=size))
    assert [row for block in blocks for row in parsed(block, ",")] == parsed(data, ",")


@given(data=st.binary(max_size=200), size=st.integers(1, 50))
def test_without_quoting_every_line_end_counts(data: bytes, size: int) -> None:
    blocks = list(line_blocks([data[i : i + 7] for i in range(0, len(data), 7)], "f", quoting=False, size=size))
    assert b"".join(blocks) == data
    assert all(block.endswith(b"\n") for block in blocks[:-1])


def test_an_inch_sign_in_a_field_opens_no_quote() -> None:
    data = b'n,size\n1,5" pipe\n2,"a\nb"\n'
    assert row_end(data, ",") == len(data)
    assert row_end(data[:-3], ",") == len(b'n,size\n1,5" pipe\n')


def test_a_row_without_end_is_refused_before_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    from longshore.formats import blocks

    monkeypatch.setattr(blocks, "MAX_ROW_BYTES", 1 << 20)
    with pytest.raises(LoadError, match="no row ends within 1 MiB"):
        list(line_blocks((b"x" * 10_000 for _ in range(1_000)), "f", quoting=True, size=50_000))


@pytest.mark.parametrize(
    ("title", "delimiter"), [(b"a,b;c,d", ","), (b"a;b,c;d", ";"), (b"a\tb", "\t"), (b"a|b", "|"), (b'"x,y,z";b', ";")]
)
def test_the_delimiter_is_the_one_that_the_header_holds_most_of(title: bytes, delimiter: str) -> None:
    assert delimiter_of(title + b"\n1,1,1,1,1;;;;;;||||||") == delimiter


def test_a_header_may_hold_a_line_end_in_quotes() -> None:
    assert first_row(b'\r\n"a\nb",c\r\n1,2\r\n', ",") == ([b"a\nb", b"c"], b"1,2\r\n")
