"""What all that speaks HTTP shares: certificates, and how a URL is named without its secrets."""

import ssl
from functools import cache
from hashlib import sha256
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit


@cache
def tls() -> ssl.SSLContext:
    """The certificates that this machine trusts; SSL_CERT_FILE names others."""
    return ssl.create_default_context()  # reading the authorities takes longer than a small file


def public_url(url: str) -> str:
    """The URL without what may be secret: login and the values of its query."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "&".join(f"{quote(name)}=…" for name, _ in parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def address(url: str) -> str:
    """A name for the file at a URL: its public form, with a hash for what is not shown of it."""
    query = urlsplit(url).query
    return f"{public_url(url)} {sha256(query.encode()).hexdigest()[:12]}" if query else public_url(url)


def file_name(url: str) -> str:
    """The last part of a URL, as logs call the file."""
    return public_url(url).rsplit("/", 1)[-1]
