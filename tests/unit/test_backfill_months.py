"""Which months a backfill takes."""

from longshore.flows.backfill import months_between


def test_both_ends_are_included_and_years_follow_each_other() -> None:
    months = [f"{month:%Y-%m-%d}" for month in months_between("2020-11", "2021-02")]
    assert months == ["2020-11-01", "2020-12-01", "2021-01-01", "2021-02-01"]
    assert [month.month for month in months_between("2021-12", "2021-12")] == [12]
