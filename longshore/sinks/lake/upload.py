"""Bytes -> one object in a bucket, by a resumable upload: it appears whole, or not at all.

Protocol: https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import google_crc32c
import httpx
from google.cloud import storage

from longshore.backoff import RETRY_STATUS, Backoff, Broken, Log
from longshore.errors import LoadError
from longshore.google import explained, retries
from longshore.http import tls

CHUNK_BYTES = 8 << 20  # must be a multiple of 256 KiB; smaller ones cost a round trip each
PIECE_BYTES = 256 << 10  # copies of whole chunks made the process grow by 100 MiB
TIMEOUT = httpx.Timeout(60, connect=10)
INCOMPLETE = 308


class Upload:
    """An upload under way. Made by `uploading`; not for two threads at once.

    resource: what the service says of the object, once it is there.
    """

    def __init__(self, name: str, session: str, client: httpx.Client, backoff: Backoff, log: Log) -> None:
        self.name, self.resource = name, dict[str, Any]()
        self._session, self._client, self._backoff, self._log = session, client, backoff, log
        self._held = bytearray()  # bytes from `_sent` on, which the service has not confirmed
        self._sent = 0
        self._checksum = google_crc32c.Checksum()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._sent + len(self._held)

    @property
    def crc32c(self) -> str:
        """Checksum of the bytes written so far, as the service states it."""
        return base64.b64encode(self._checksum.digest()).decode()

    def write(self, data: bytes) -> None:
        """Add bytes. Raises LoadError when the service does not take them."""
        self._checksum.update(data)
        self._held += data
        while len(self._held) >= CHUNK_BYTES + 1:  # the last chunk must not be empty
            self._send(CHUNK_BYTES, None)

    def finish(self) -> None:
        """Send the rest: now the object is there. The service refuses it when the checksum differs."""
        self._send(len(self._held), self.size)

    def cancel(self) -> None:
        """Forget the upload; the service would after a week."""
        try:
            self._client.delete(self._session)
        except httpx.HTTPError as error:
            self._log.debug("%s: the upload could not be cancelled: %s", self.name, error)

    def _send(self, length: int, total: int | None) -> None:
        """Send held bytes until the service has them; total: the object's size, with the last of them."""
        end = self._sent + length
        failures, unsure = 0, False
        while not (self.resource if total else self._sent == end):
            before = self._sent
            try:
                if unsure:  # what did it keep of the broken attempt?
                    self._confirm(self._request({"Content-Range": f"bytes */{total or '*'}"}), total)
                    unsure = False
                else:
                    self._confirm(self._put(end - before, total), total)
                    if self._sent == before and not self.resource:
                        raise Broken("the service took none of the bytes")
            except Broken as broken:
                failures, unsure = failures + 1, True
                self._backoff.wait(self.name, broken, failures, self._sent, self._log)
            if self._sent > before:
                failures = 0

    def _put(self, length: int, total: int | None) -> httpx.Response:
        span = f"{self._sent}-{self._sent + length - 1}" if length else "*"
        headers = {"Content-Range": f"bytes {span}/{total or '*'}"}
        if total:
            headers["X-Goog-Hash"] = f"crc32c={self.crc32c}"
        return self._request(headers, length)

    def _request(self, headers: dict[str, str], length: int = 0) -> httpx.Response:
        pieces = (bytes(self._held[i : min(i + PIECE_BYTES, length)]) for i in range(0, length, PIECE_BYTES))
        try:
            response = self._client.put(
                self._session, content=pieces, headers={**headers, "Content-Length": str(length)}
            )
        except httpx.TransportError as error:
            raise Broken(str(error) or type(error).__name__) from error
        status = response.status_code
        if status in RETRY_STATUS:
            raise Broken.by_status(status, response.reason_phrase, response.headers.get("retry-after"))
        if status in (404, 410, 412):
            why = "another run wrote the object meanwhile" if status == 412 else "the service has forgotten the upload"
            raise LoadError(f"{self.name}: {why}; nothing was written. Run it again.", retryable=True)
        if status not in (200, 201, INCOMPLETE):
            raise LoadError(
                f"{self.name}: the upload was refused with HTTP {status} {response.reason_phrase}: {_said(response)}."
                " Nothing was written."
            )
        return response

    def _confirm(self, response: httpx.Response, total: int | None) -> None:
        """Let go of the bytes that the service says it has."""
        if response.status_code != INCOMPLETE:
            self.resource = response.json()
        last = response.headers.get("range", "").rpartition("-")[2]
        there = (total or 0) if self.resource else int(last) + 1 if last.isdigit() else 0
        if there <= 1:  # some say 0-0 where they have nothing
            there = 0
        if not self._sent <= there <= self.size:
            raise LoadError(
                f"{self.name}: the service says that it has {there:,} bytes, not {self._sent:,} to {self.size:,}."
                " Nothing was written; run it again.",
                retryable=True,
            )
        del self._held[: there - self._sent]
        self._sent = there


def _said(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return response.text[:200]


@contextmanager
def uploading(
    blob: storage.Blob, content_type: str, generation: int, log: Log, backoff: Backoff | None = None
) -> Iterator[Upload]:
    """An upload into the blob, with the blob's metadata; finished where the block ends, cancelled by any error.

    generation: of the object that it replaces, 0 where there is none; another run in between makes it fail.
    """
    backoff = backoff or Backoff()
    name = f"gs://{blob.bucket.name}/{blob.name}"
    with explained(name):
        session = blob.create_resumable_upload_session(
            content_type=content_type, if_generation_match=generation, checksum=None, retry=retries(backoff)
        )
    with httpx.Client(timeout=TIMEOUT, verify=tls()) as client:
        upload = Upload(name, session, client, backoff, log)
        try:
            yield upload
            upload.finish()
        except BaseException:
            upload.cancel()
            raise
