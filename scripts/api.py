"""Prefect's API, as every script reaches it: a server of one's own or Prefect Cloud, with errors to act on."""

import asyncio
import json
import os
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, NoReturn, TypeVar

os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
warnings.filterwarnings("ignore")  # Prefect warns of every class that its next version lacks; we pin this one
import httpx  # noqa: E402
from prefect import get_client  # noqa: E402
from prefect.client.orchestration import PrefectClient  # noqa: E402
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL, PREFECT_UI_URL, temporary_settings  # noqa: E402

from scripts.environment import read_environment  # noqa: E402
from scripts.settings import UserError, settings  # noqa: E402

PAGE = 200  # as much as the API gives at once
REFUSED = {
    401: "does not accept the key: set PREFECT_API_KEY to a valid one",
    403: "does not let this key in: PREFECT_API_KEY must be of this workspace, with the right to use it",
    404: "has no such workspace, or is no Prefect API: PREFECT_API_URL ends with /api, or with "
    "/api/accounts/ACCOUNT/workspaces/WORKSPACE on Prefect Cloud",
}
OWN = "does not accept the password. That of `make up` is PREFECT_PASSWORD in .env: is this .env the running stack's?"
Found = TypeVar("Found")


def here() -> dict[str, str]:
    """The settings, with those of environments/NAME.toml where ENVIRONMENT is set."""
    found = settings()
    return read_environment(found["ENVIRONMENT"]).settings() if found.get("ENVIRONMENT") else found


def api_settings(env: Mapping[str, str]) -> AbstractContextManager[Any]:
    """Prefect's own settings for the API that `env` names; a key in .env counts like one of the environment."""
    key = {PREFECT_API_KEY: env["PREFECT_API_KEY"]} if env.get("PREFECT_API_KEY") else {}
    return temporary_settings({PREFECT_API_URL: env["PREFECT_API_URL"], **key})


def end_with(work: Callable[[], Coroutine[Any, Any, int]]) -> NoReturn:
    """End the program with what the work returns, its API being `here`; 2 for a UserError, 130 for Ctrl-C."""
    try:
        with api_settings(here()):
            sys.exit(asyncio.run(work()))
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


@asynccontextmanager
async def connected() -> AsyncIterator[PrefectClient]:
    """A client whose server has answered, and let us in. UserError where it did not."""
    async with get_client() as client:
        await check(client)
        yield client


async def need_api() -> None:
    """Fail with advice where no Prefect API answers, or not to us."""
    async with connected():
        pass


async def check(client: PrefectClient) -> None:
    """Ask something that needs the right address and the right key; a health page may need neither."""
    url = shown(str(PREFECT_API_URL.value()))
    try:
        await client.read_work_pools(limit=1)
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        advice = REFUSED.get(status, "answers, but with an error")
        if status == 401 and "/accounts/" not in url:  # not Prefect Cloud's
            advice = OWN
        raise UserError(f"{url} {advice} (HTTP {status}).") from None
    except (json.JSONDecodeError, TypeError, ValueError):
        raise UserError(f"{url} {REFUSED[404]}.") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        advice = "Start one with `make up`, or set PREFECT_API_URL (and PREFECT_API_KEY)."
        raise UserError(f"no Prefect API at {url} ({type(error).__name__}). {advice}") from None


def shown(url: str) -> str:
    """The address without a user and a password that it may hold."""
    try:
        return str(httpx.URL(url).copy_with(userinfo=b""))
    except httpx.InvalidURL:
        return "PREFECT_API_URL"


def page(*parts: object) -> str:
    """Address of a page of Prefect's UI, such as page("flow-runs", "flow-run", ID): a server's own, or the Cloud's."""
    return "/".join([shown(str(PREFECT_UI_URL.value())).rstrip("/"), *map(str, parts)])


async def every(read: Callable[..., Awaitable[list[Found]]], *given: Any, **named: Any) -> list[Found]:
    """All that a read_… of the client finds, page by page."""
    found: list[Found] = []
    while True:
        got = await read(*given, limit=PAGE, offset=len(found), **named)
        found += got
        if len(got) < PAGE:
            return found
