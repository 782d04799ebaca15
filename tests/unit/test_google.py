"""Which errors of Google's clients are worth another try, and what is said of them."""

import pytest
from google.api_core.exceptions import Forbidden, NotFound, ServiceUnavailable, TooManyRequests
from google.auth.exceptions import RefreshError, TransportError
from requests.exceptions import ConnectTimeout

from longshore.errors import LoadError
from longshore.google import explained, is_retryable


@pytest.mark.parametrize(
    ("error", "retryable", "says"),
    [
        (TransportError("HTTPConnectionPool(host='gcs', port=9024): connection refused"), True, "access tokens"),
        (RefreshError("invalid_grant"), False, "the Google Cloud credentials do not work"),
        (ServiceUnavailable("busy"), True, "Is the service up?"),
        (TooManyRequests("slow down"), True, "slow down"),
        (ConnectTimeout("nobody"), True, "nobody"),
        (Forbidden("no"), False, "access is refused"),
        (NotFound("no"), False, "there is no bucket b"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_what_may_succeed_later_is_tried_again(error: Exception, retryable: bool, says: str) -> None:
    assert is_retryable(error) == retryable
    with pytest.raises(LoadError, match=r"^gs://b/o: ") as caught, explained("gs://b/o"):
        raise error
    assert caught.value.retryable == retryable
    assert says in str(caught.value)
