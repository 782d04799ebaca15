"""The history page in a real Chromium, of a real Postgres."""

from datetime import UTC, datetime, timedelta

import pytest
from selenium.webdriver.common.by import By

from tests.browser.conftest import Open
from tests.browser.page import Page
from tests.conftest import Database

TABLE = """
CREATE TABLE raw_late_buses (trip_id text, start_date date, stop_sequence integer, timestamp timestamptz,
  route_id text, route_short_name text, route_long_name text, time_diff double precision, timezone text)
"""


@pytest.fixture
def kept(database: Database) -> Database:
    """Two hours of history: of route 2 two late trips in the one and one in the other, of route 10 one seen thrice."""
    database.run(TABLE)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    seen = [("A", "2", 1, 12.0), ("B", "2", 2, 31.4), ("C", "10", 3, 11.0), ("C", "10", 4, 15.0), ("C", "10", 5, 14.0)]
    seen += [("A", "2", 61, 18.0), ("OLD", "99", -60 * 48, 50.0)]
    for trip, route, minute, late in seen:
        moment = hour + timedelta(minutes=minute)
        database.run(
            f"INSERT INTO raw_late_buses VALUES ('{trip}', '{hour.date()}', {minute}, '{moment.isoformat()}',"
            f" 'R', '{route}', NULL, {late}, 'Europe/London')"
        )
    return database


def table(shown: Page) -> list[list[str]]:
    """The table below the charts."""
    rows = shown.browser.find_elements(By.CSS_SELECTOR, '[data-testid="stTable"] tbody tr')
    return [[cell.text for cell in row.find_elements(By.CSS_SELECTOR, "td")] for row in rows]


def drawn(shown: Page) -> int:
    """How many charts are drawn."""
    return len(shown.browser.find_elements(By.CSS_SELECTOR, '[data-testid="stVegaLiteChart"] canvas, svg.marks'))


def test_charts_late_buses_by_hour_and_route(kept: Database, page: Open) -> None:
    shown = page("/history", WAREHOUSE_URL=kept.url)
    shown.shows("late buses an hour")
    assert shown.until(lambda: table(shown)) == [["2", "3", "2", "31"], ["10", "1", "1", "15"]]
    shown.until(lambda: drawn(shown) == 2)
    assert shown.alerts("Error") == []
    assert shown.asked_elsewhere() == []
    shown.click("7 days")
    assert shown.until(lambda: len(table(shown)) == 3 and table(shown))[0][0] == "2"


def test_a_page_leads_to_the_other_and_back(kept: Database, page: Open) -> None:
    shown = page(WAREHOUSE_URL=kept.url)
    shown.click("History")
    shown.shows("late buses an hour")
    shown.click("Now")
    shown.shows("First Bus Leeds delays")


def test_says_that_there_was_no_late_bus(database: Database, page: Open) -> None:
    database.run(TABLE)
    page("/history", WAREHOUSE_URL=database.url).shows("The warehouse has no late bus of the last 24 hours.")


def test_a_missing_table_is_an_error(database: Database, page: Open) -> None:
    shown = page("/history", WAREHOUSE_URL=database.url)
    shown.shows("The table raw_late_buses cannot be read")
    shown.shows("Run the job late-buses, which makes it once a bus is late")
    assert "no late bus" not in shown.text()


def test_no_warehouse_is_an_error_that_says_how_to_set_one(page: Open) -> None:
    page("/history").shows("No warehouse is set. Set WAREHOUSE_URL=postgresql://USER:PASSWORD@HOST/DATABASE")


def test_a_password_is_not_shown(page: Open) -> None:
    shown = page("/history", WAREHOUSE_URL="postgresql://someone:hidden@127.0.0.1:1/nowhere")
    shown.shows("Postgres at 127.0.0.1/nowhere")
    assert "hidden" not in shown.text()
