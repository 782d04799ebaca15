"""The stand-in of the taxi website answers as the real one does, and misbehaves when told to."""

import http.client
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from standins.web.server import HTML, Fault, Site, serve

DATA = bytes(range(256)) * 4096
PATH = "/files/x.csv"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "x.csv").write_bytes(DATA)
    with serve(tmp_path) as site:
        yield site


class Answer:
    """Status, headers and as much of the body as came."""

    def __init__(self, site: Site, path: str = PATH, method: str = "GET", **headers: str) -> None:
        line = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=2)
        line.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        answer = line.getresponse()
        self.status, self.headers, self.error = answer.status, answer.headers, ""
        try:
            self.body = answer.read()
        except http.client.IncompleteRead as error:
            self.body, self.error = error.partial, "cut"
        except (ConnectionError, TimeoutError) as error:
            self.body, self.error = b"", type(error).__name__
        line.close()


def test_whole_file_with_the_headers_of_the_real_site(site: Site) -> None:
    got = Answer(site)
    assert (got.status, got.body) == (200, DATA)
    assert got.headers["ETag"].startswith('"')
    assert got.headers["Last-Modified"].endswith("GMT")
    assert got.headers["Content-Type"] == "application/octet-stream"
    assert (got.headers["Accept-Ranges"], got.headers["Content-Length"]) == ("bytes", str(len(DATA)))
    head = Answer(site, method="HEAD")
    assert (head.status, head.body, head.headers["ETag"]) == (200, b"", got.headers["ETag"])
    assert site.asked(PATH)[0].sent == len(DATA)


def test_release_redirects_to_an_object_url_that_expires(site: Site) -> None:
    path = "/nyc-tlc-data/releases/download/yellow/x.csv"
    first, second = (Answer(site, path).headers["Location"] for _ in range(2))
    assert first != second
    place = first.removeprefix(site.url)
    assert Answer(site, place).body == DATA
    assert Answer(site, place.replace("se=", "se=1&old=")).status == 403
    missing = Answer(site, path.replace("x.csv", "y.csv"))
    assert (missing.status, missing.body) == (404, b"Not Found")


@pytest.mark.parametrize(
    ("asked", "status", "body", "span"),
    [
        ("bytes=10-19", 206, DATA[10:20], f"bytes 10-19/{len(DATA)}"),
        ("bytes=1000000-", 206, DATA[1_000_000:], f"bytes 1000000-{len(DATA) - 1}/{len(DATA)}"),
        ("bytes=0-", 206, DATA, f"bytes 0-{len(DATA) - 1}/{len(DATA)}"),
        ("bytes=-5", 206, DATA[-5:], f"bytes {len(DATA) - 5}-{len(DATA) - 1}/{len(DATA)}"),
        (f"bytes={len(DATA)}-", 416, b"", f"bytes */{len(DATA)}"),
        ("bytes=1-2,5-6", 200, DATA, None),
        ("lines=1-2", 200, DATA, None),
    ],
)
def test_ranges(site: Site, asked: str, status: int, body: bytes, span: str | None) -> None:
    got = Answer(site, Range=asked)
    assert (got.status, got.body, got.headers["Content-Range"]) == (status, body, span)


def test_if_range_continues_only_the_same_file(site: Site) -> None:
    tag = Answer(site).headers["ETag"]
    assert Answer(site, Range="bytes=5-", If_Range=tag).status == 206
    assert Answer(site, Range="bytes=5-", If_Range='"other"').body == DATA
    assert Answer(site, Range="bytes=5-", If_Range=f"W/{tag}").status == 200
    (site.root / "x.csv").write_bytes(DATA[::-1])
    assert Answer(site, Range="bytes=5-", If_Range=tag).body == DATA[::-1]


def test_faults_are_used_up_in_order(site: Site) -> None:
    site.faults[PATH] = [Fault(status=503, headers={"Retry-After": "1"}), Fault(status=500, times=2)]
    assert Answer(site, method="HEAD").status == 503
    got = [Answer(site) for _ in range(4)]
    assert [g.status for g in got] == [503, 500, 500, 200]
    assert got[0].headers["Retry-After"] == "1"
    assert [r.status for r in site.asked(PATH)] == [503, 500, 500, 200]
    site.faults[PATH] = [Fault(status=404, times=None)]
    assert {Answer(site).status for _ in range(3)} == {404}


def test_bodies_that_are_no_data(site: Site) -> None:
    site.faults[PATH] = [Fault(body=HTML), Fault(body=b"")]
    html, empty = Answer(site), Answer(site)
    assert (html.status, html.body) == (200, HTML)
    assert html.headers["Content-Type"].startswith("text/html")
    assert (empty.status, empty.body) == (200, b"")


def test_cuts(site: Site) -> None:
    site.faults[PATH] = [
        Fault(cut_after=70_000),
        Fault(cut_at=100_000, times=2),
        Fault(cut_after=9, reset=True),
    ]
    once = Answer(site)
    assert (once.error, once.body) == ("cut", DATA[:70_000])
    assert Answer(site, Range="bytes=70000-").body == DATA[70_000:100_000]
    assert Answer(site, Range="bytes=100000-").body == b""
    assert Answer(site).error in ("cut", "ConnectionResetError")
    assert Answer(site).body == DATA


def test_ranges_that_are_not_kept(site: Site) -> None:
    site.faults[PATH] = [
        Fault(ignore_range=True),
        Fault(content_range="bytes 0-9/10"),
        Fault(etag='"new"', ignore_if_range=True),
        Fault(etag="", chunked=True),
    ]
    assert Answer(site, Range="bytes=5-").status == 200
    assert Answer(site, Range="bytes=5-").headers["Content-Range"] == "bytes 0-9/10"
    changed = Answer(site, Range="bytes=5-", If_Range='"old"')
    assert (changed.status, changed.headers["ETag"]) == (206, '"new"')
    plain = Answer(site)
    assert (plain.headers["ETag"], plain.headers["Content-Length"], plain.body) == (None, None, DATA)


def test_slow_and_silent(site: Site) -> None:
    site.faults[PATH] = [Fault(bytes_per_second=5_000_000), Fault(stall_after=1000)]
    began = time.monotonic()
    assert Answer(site).body == DATA
    assert 0.15 < time.monotonic() - began < 1.5
    assert Answer(site).error == "TimeoutError"


def test_nothing_outside_root(site: Site) -> None:
    (site.root.parent / "secret").write_text("x")
    assert Answer(site, "/files/%2e%2e/secret").status == 404
    assert Answer(site, "/health").status == 200
    assert Answer(site, "/other").status == 404
