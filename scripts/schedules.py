"""Schedules as data and as Prefect has them, and how both are said."""

from datetime import timedelta
from typing import Any

import pendulum
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

from workpools.job import Cron, Every, Schedule

# Any fixed time: by default it would be the time of the deploy, and each deploy would move the schedule.
ANCHOR = pendulum.datetime(2020, 1, 1)


def as_prefect(schedule: Schedule) -> CronSchedule | IntervalSchedule:
    """Prefect's own. ValueError: it would not take it."""
    if isinstance(schedule, Every):
        return IntervalSchedule(
            interval=timedelta(seconds=schedule.seconds),  # type: ignore[arg-type]
            anchor_date=ANCHOR,
            timezone="UTC",
        )
    return CronSchedule(cron=schedule.cron, timezone=schedule.timezone)


def said(schedule: Any) -> str:
    """One of Prefect's schedules, in the words of ours."""
    if hasattr(schedule, "interval"):
        return str(Every(int(schedule.interval.total_seconds())))
    return str(Cron(schedule.cron, schedule.timezone))
