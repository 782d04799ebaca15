"""URL -> byte stream: resumes where it broke, retries with back-off, refuses what is not the file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from longshore.backoff import RETRY_STATUS, Backoff, Broken, Log
from longshore.errors import LoadError
from longshore.formats.file import Format, NoRanges, format_of
from longshore.http import file_name, public_url, tls
from longshore.sources.source import OpenedFile, opened_file

TIMEOUT = httpx.Timeout(30, connect=10)
ADVICE = {
    401: "it asks for a login.",
    403: "access is refused: is a key missing, or has the link expired?",
    404: "there is no such file: check the address, or the month may not be published yet.",
    410: "the file was removed.",
}


class RemoteFile:
    """One version of one file on the web. Made by `open_url`; not for two threads at once.

    size: bytes, None when the server does not say. fingerprint: changes when the file does, None when
    the server sends no validator.
    """

    def __init__(
        self, url: str, client: httpx.Client, backoff: Backoff, log: Log, advice: Mapping[int, str] | None = None
    ) -> None:
        self.url, self.name = url, public_url(url)
        self._client, self._backoff, self._log = client, backoff, log
        self._advice = {**ADVICE, **(advice or {})}
        self.bytes_received = 0
        self._first: httpx.Response | None = self._retrying(0, lambda: self._request(None))
        self.etag = self._first.headers.get("etag")
        self.modified = self._first.headers.get("last-modified")
        length = self._first.headers.get("content-length")
        self.size = int(length) if length else None
        self.fingerprint = self.etag or (f"{self.modified} {self.size}" if self.modified else None)
        if self.size == 0:
            raise LoadError(f"{self.name} is empty (0 bytes).")
        if "text/html" in self._first.headers.get("content-type", ""):
            raise LoadError(
                f"{self.name} answered with a web page (text/html), not with data."
                " Does the address need a login or another path?"
            )

    def chunks(self) -> Iterator[bytes]:
        """The file's bytes from the start. A break is resumed at the byte it came at."""
        position = failures = 0
        while True:
            progress = position
            try:
                response = self._first or self._request((position, None))
                skip = position if response.status_code == 200 else 0
                self._first = None
                for chunk in self._body(response):
                    kept = chunk[skip:] if skip else chunk
                    skip = max(0, skip - len(chunk))
                    if kept:
                        position += len(kept)
                        yield kept
                if self.size is not None and position < self.size:
                    raise Broken("the connection was closed early")
                return
            except Broken as broken:
                failures = 1 if position > progress else failures + 1
                self._wait(broken, failures, position)

    def read_at(self, start: int, length: int) -> bytes:
        """`length` bytes from `start`: one Range request, resumed when it breaks."""
        data = bytearray()
        failures = 0
        while len(data) < length:
            progress = len(data)
            try:
                response = self._request((start + progress, start + length - 1))
                if response.status_code == 200:
                    response.close()
                    raise NoRanges
                for chunk in self._body(response):
                    data += chunk
                if len(data) < length:
                    raise Broken("the connection was closed early")
            except Broken as broken:
                failures = 1 if len(data) > progress else failures + 1
                self._wait(broken, failures, start + len(data))
        return bytes(data[:length])

    def close(self) -> None:
        if self._first is not None:
            self._first.close()
            self._first = None

    def _body(self, response: httpx.Response) -> Iterator[bytes]:
        try:
            for chunk in response.iter_raw():
                self.bytes_received += len(chunk)
                yield chunk
        except httpx.TransportError as error:
            raise Broken(str(error) or type(error).__name__) from error
        finally:
            response.close()

    def _request(self, span: tuple[int, int | None] | None) -> httpx.Response:
        """An open response: 200 with the whole file or 206 with the span, of the version first seen."""
        headers = {"Accept-Encoding": "identity"}
        if span and (span[0] > 0 or span[1] is not None):
            headers["Range"] = f"bytes={span[0]}-{'' if span[1] is None else span[1]}"
            strong = self.etag if self.etag and not self.etag.startswith("W/") else self.modified
            if strong:
                headers["If-Range"] = strong
        try:
            response = self._client.send(self._client.build_request("GET", self.url, headers=headers), stream=True)
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
            raise LoadError(f"{self.name} or where it redirects to is no usable address: {error}") from error
        except httpx.TransportError as error:
            raise Broken(str(error) or type(error).__name__) from error
        status = response.status_code
        if status in (200, 206):
            if span:
                self._check_version(response, span[0])
            return response
        response.close()
        if status in RETRY_STATUS:
            raise Broken.by_status(status, response.reason_phrase, response.headers.get("retry-after"))
        if status == 416:
            raise LoadError(f"{self.name} changed while it was being read (now shorter). Run it again.")
        raise LoadError(
            f"{self.name} answered HTTP {status} {response.reason_phrase}:"
            f" {self._advice.get(status, 'not what was asked for.')}"
        )

    def _check_version(self, response: httpx.Response, start: int) -> None:
        """Raise LoadError unless the response is of the version first seen, and begins at `start` if it is partial."""
        version = response.headers.get("etag"), response.headers.get("last-modified")
        total = response.headers.get("content-length")
        if response.status_code == 206:
            unit, _, span = response.headers.get("content-range", "").partition(" ")
            first, _, total = span.partition("/")
            if unit != "bytes" or not first.startswith(f"{start}-"):
                response.close()
                raise LoadError(
                    f"{self.name}: asked for the bytes from {start:,}, the server sent “{unit} {span}”."
                    " Its Range support is broken."
                )
        size = int(total) if total and total.isdigit() else None
        if version != (self.etag, self.modified) or (size is not None and self.size is not None and size != self.size):
            response.close()
            raise LoadError(f"{self.name} changed while it was being read (another ETag, date or size). Run it again.")

    def _retrying(self, failures: int, request: Any) -> httpx.Response:
        while True:
            try:
                response: httpx.Response = request()
                return response
            except Broken as broken:
                failures += 1
                self._wait(broken, failures, 0)

    def _wait(self, broken: Broken, failures: int, position: int) -> None:
        self._backoff.wait(self.name, broken, failures, position, self._log)


@contextmanager
def open_url(
    url: str, log: Log, backoff: Backoff | None = None, advice: Mapping[int, str] | None = None
) -> Iterator[RemoteFile]:
    """The file at an http(s) URL, its headers read. Raises LoadError when it is not to be had.

    advice: what to do, by HTTP status, where more is known than usual.
    """
    if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
        raise LoadError(f"{public_url(url)!r} is not an http or https address.")
    with httpx.Client(timeout=TIMEOUT, follow_redirects=True, verify=tls()) as client:
        remote = RemoteFile(url, client, backoff or Backoff(), log, advice)
        try:
            yield remote
        finally:
            remote.close()


@dataclass(frozen=True)
class WebFile:
    """A csv, json, jsonl or parquet file at an http(s) URL, gzipped or not. file_format: None, by the URL's ending.

    advice: see `open_url`.
    """

    url: str
    file_format: Format | None = None
    advice: Mapping[int, str] | None = None

    @property
    def title(self) -> str:
        return file_name(self.url)

    @contextmanager
    def open(self, log: Log, backoff: Backoff) -> Iterator[OpenedFile]:
        """The file as it is now."""
        with (
            open_url(self.url, log, backoff, self.advice) as remote,
            opened_file(remote, self.file_format or format_of(self.url)) as opened,
        ):
            yield opened
