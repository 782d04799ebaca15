"""Every way a download can fail, caused by the stand-in of the website: it is resumed, or refused with a reason."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from longshore.backoff import Backoff
from longshore.errors import LoadError
from longshore.sources import web
from longshore.sources.web import open_url
from standins.web.server import HTML, Fault, Site, serve

DATA = bytes(range(256)) * 8192  # 2 MiB
PATH = "/files/x.csv"
LOG = logging.getLogger("test-web")
QUICK = Backoff(attempts=3, first=0.01)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "x.csv").write_bytes(DATA)
    with serve(tmp_path) as site:
        yield site


def download(site: Site, path: str = PATH) -> bytes:
    with open_url(site.url + path, LOG, QUICK) as remote:
        return b"".join(remote.chunks())


def refusal(site: Site, path: str = PATH) -> LoadError:
    with pytest.raises(LoadError) as caught:
        download(site, path)
    assert site.url + path in str(caught.value)
    return caught.value


def test_through_the_redirect_to_a_signed_url_that_is_not_shown(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    release = "/nyc-tlc-data/releases/download/yellow/x.csv"
    site.faults["/objects/yellow/x.csv"] = [Fault(cut_after=1000), Fault(status=500)]
    with caplog.at_level(logging.WARNING):
        assert download(site, release) == DATA
    assert "sig=" not in caplog.text
    assert [r.status for r in site.asked(release)] == [302, 302, 302]


def test_a_link_that_expires_is_asked_for_anew(site: Site) -> None:
    site.signed_for = 0.3
    site.faults["/objects/yellow/x.csv"] = [Fault(cut_after=1000, wait=0.4)]
    assert download(site, "/nyc-tlc-data/releases/download/yellow/x.csv") == DATA


@pytest.mark.parametrize("reset", [False, True])
def test_a_broken_connection_goes_on_where_it_broke(site: Site, reset: bool) -> None:
    site.faults[PATH] = [Fault(cut_after=700_000, reset=reset), Fault(cut_after=700_000, reset=reset)]
    assert download(site) == DATA
    asked = site.asked(PATH)
    assert len(asked) == 3
    assert asked[0].range is None
    for request in asked[1:]:
        assert request.range is not None
        assert int(request.range.removeprefix("bytes=").rstrip("-")) > 0
        assert request.if_range is not None
        assert request.if_range.startswith('"')
        assert request.status == 206
    if not reset:  # by RST bytes are lost on the way, and sent again
        assert sum(r.sent for r in asked) == len(DATA)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_statuses_are_tried_again(site: Site, status: int) -> None:
    site.faults[PATH] = [Fault(status=status), Fault(status=status)]
    assert download(site) == DATA
    assert len(site.asked(PATH)) == 3


def test_retry_after_is_kept(site: Site) -> None:
    site.faults[PATH] = [Fault(status=429, headers={"Retry-After": "1"})]
    began = time.monotonic()
    assert download(site) == DATA
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(("status", "asked"), [(403, 1), (404, 1), (500, 3), (503, 3)])
def test_statuses_for_good(site: Site, status: int, asked: int) -> None:
    site.faults[PATH] = [Fault(status=status, times=None)]
    error = refusal(site)
    assert str(status) in str(error)
    assert len(site.asked(PATH)) == asked
    assert error.retryable == (status >= 500)


def test_missing_file(site: Site) -> None:
    assert "404" in str(refusal(site, "/nyc-tlc-data/releases/download/yellow/yellow_tripdata_2031-01.csv.gz"))


def test_a_connection_that_dies_for_good(site: Site) -> None:
    site.faults[PATH] = [Fault(cut_at=1_000_000, times=None)]
    error = refusal(site)
    assert "1,000,000" in str(error)
    assert error.retryable
    assert len(site.asked(PATH)) == 3


def test_nobody_there(site: Site) -> None:
    with (
        pytest.raises(LoadError, match=r"http://127\.0\.0\.1:1/x\.csv") as caught,
        open_url("http://127.0.0.1:1/x.csv", LOG, QUICK),
    ):
        pass
    assert caught.value.retryable


def test_silence_is_a_broken_connection(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "TIMEOUT", httpx.Timeout(0.3))
    site.faults[PATH] = [Fault(stall_after=500_000)]
    assert download(site) == DATA
    assert site.asked(PATH)[1].range == "bytes=500000-"


def test_slow_is_not_broken(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "TIMEOUT", httpx.Timeout(0.3))
    site.faults[PATH] = [Fault(bytes_per_second=2_500_000)]
    assert download(site) == DATA
    assert len(site.asked(PATH)) == 1


@pytest.mark.parametrize(
    "second",
    [
        Fault(etag='"new"', times=None),
        Fault(etag='"new"', ignore_if_range=True, times=None),
    ],
    ids=["answers 200", "answers 206 of the new file"],
)
def test_a_file_that_changes_in_between_is_refused(site: Site, second: Fault) -> None:
    site.faults[PATH] = [Fault(cut_after=1000), second]
    assert "changed" in str(refusal(site))


def test_a_file_that_is_replaced_in_between_is_refused(site: Site) -> None:
    with open_url(site.url + PATH, LOG, QUICK) as remote:
        (site.root / "y").write_bytes(DATA[:5000])
        chunks = remote.chunks()
        first = next(chunks)
        (site.root / "y").replace(site.root / "x.csv")
        with pytest.raises(LoadError, match="changed"):
            remote.read_at(len(first), 100_000)


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_without_a_strong_tag_the_date_stands_in(site: Site, tag: str) -> None:
    site.faults[PATH] = [Fault(etag=tag, cut_after=1000), Fault(etag=tag)]
    assert download(site) == DATA
    condition = site.asked(PATH)[1].if_range
    assert condition is not None
    assert condition.endswith("GMT")


def test_a_server_that_never_serves_parts(site: Site) -> None:
    site.faults[PATH] = [Fault(cut_after=700_000, ignore_range=True), Fault(ignore_range=True)]
    assert download(site) == DATA


def test_a_wrong_content_range_is_refused(site: Site) -> None:
    site.faults[PATH] = [Fault(cut_after=1000), Fault(content_range="bytes 0-9/10", times=None)]
    assert "Range" in str(refusal(site))


def test_no_length_told(site: Site) -> None:
    site.faults[PATH] = [Fault(chunked=True)]
    assert download(site) == DATA
    site.faults[PATH] = [Fault(chunked=True, cut_after=700_000), Fault(chunked=True)]
    assert download(site) == DATA


def test_a_web_page_or_nothing_instead_of_data(site: Site) -> None:
    site.faults[PATH] = [Fault(body=HTML)]
    assert "web page" in str(refusal(site))
    site.faults[PATH] = [Fault(body=b"")]
    assert "empty" in str(refusal(site))


def test_one_part(site: Site) -> None:
    with open_url(site.url + PATH, LOG, QUICK) as remote:
        assert remote.size == len(DATA)
        site.faults[PATH] = [Fault(cut_after=50_000)]
        assert remote.read_at(1_000_000, 100_000) == DATA[1_000_000:1_100_000]
    assert [r.range for r in site.asked(PATH)[1:]] == ["bytes=1000000-1099999", "bytes=1050000-1099999"]


def test_what_is_secret_in_a_url_is_not_said(site: Site) -> None:
    url = site.url.replace("http://", "http://me:hunter2@") + "/files/none.csv?token=hunter3"
    with pytest.raises(LoadError) as caught, open_url(url, LOG, QUICK):
        pass
    assert "none.csv" in str(caught.value)
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y.csv", "x.csv", ""])
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(LoadError, match="http"), open_url(url, LOG, QUICK):
        pass
