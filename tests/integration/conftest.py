"""At the end of a session the messages of bad input become a page, when asked for."""

from tests.integration import bad_input_table


def pytest_sessionfinish() -> None:
    bad_input_table.write()
