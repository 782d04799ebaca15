"""The history as charts. Hours are text: on the day that the clocks go back, 01:00 comes twice."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import altair as alt
import pyarrow as pa

from dashboards.late_buses.labels import in_order

MOST_ROUTES = 20  # in a chart; the table has all
SHORT = "slice(datum.label, 4, 16)"  # on the axis; pointing at a bar tells the weekday and the zone


def clock(hour: datetime, zone: ZoneInfo) -> str:
    """Sat 21 Nov 14:00 GMT."""
    return f"{hour.astimezone(zone):%a %d %b %H:%M %Z}"


def hours(first: datetime, last: datetime, zone: ZoneInfo) -> list[str]:
    """Each hour from the one to the other, also those without late buses."""
    count = int((last - first) / timedelta(hours=1)) + 1
    return [clock(first + timedelta(hours=number), zone) for number in range(count)]


def totals(history: pa.Table) -> list[dict[str, Any]]:
    """A row a route, the worst first: late buses (once an hour), the hours in which it had any, most minutes."""
    rows = history.group_by("route").aggregate([("buses", "sum"), ("hour", "count"), ("minutes", "max")])
    rows = rows.sort_by([("buses_sum", "descending"), ("route", "ascending")])
    names = {"route": "Route", "buses_sum": "Late buses", "hour_count": "Hours with late buses"}
    return [
        {name: row[column] for column, name in names.items()} | {"Most minutes late": round(row["minutes_max"])}
        for row in rows.to_pylist()
    ]


def _values(history: pa.Table, zone: ZoneInfo, routes: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"hour": clock(row["hour"], zone), "route": row["route"], "buses": row["buses"], "minutes": row["minutes"]}
        for row in history.to_pylist()
        if row["route"] in routes
    ]


def per_hour(history: pa.Table, axis: list[str], zone: ZoneInfo) -> alt.Chart:
    """Bars: late buses an hour, of all routes together."""
    sums: Counter[str] = Counter()
    for row in history.to_pylist():
        sums[clock(row["hour"], zone)] += row["buses"]
    values = [{"hour": hour, "buses": count} for hour, count in sums.items()]
    return (
        alt.Chart(alt.Data(values=values), height=320)
        .mark_bar(color="#dc143c")
        .encode(
            x=_hours(axis),
            y=alt.Y("buses:Q", title="Late buses", axis=alt.Axis(tickMinStep=1, format="d")),
            tooltip=[alt.Tooltip("hour:N", title="Hour"), alt.Tooltip("buses:Q", title="Late buses")],
        )
    )


def per_route(history: pa.Table, axis: list[str], zone: ZoneInfo) -> alt.Chart:
    """A field an hour and route, the darker the more late buses. The routes with most of them."""
    routes = in_order([row["Route"] for row in totals(history)[:MOST_ROUTES]])
    return (
        alt.Chart(alt.Data(values=_values(history, zone, routes)), height=24 * len(routes) + 130)
        .mark_rect()
        .encode(
            x=_hours(axis),
            y=alt.Y("route:N", sort=routes, title="Route", axis=alt.Axis(labelLimit=0, labelOverlap=False)),
            color=alt.Color("buses:Q", title="Late buses", scale=alt.Scale(scheme="orangered"),
                            legend=alt.Legend(tickMinStep=1, format="d")),
            tooltip=[
                alt.Tooltip("route:N", title="Route"),
                alt.Tooltip("hour:N", title="Hour"),
                alt.Tooltip("buses:Q", title="Late buses"),
                alt.Tooltip("minutes:Q", title="Most minutes late", format=".0f"),
            ],
        )
    )  # fmt: skip


def _hours(axis: list[str]) -> alt.X:
    look = alt.Axis(labelExpr=SHORT, labelOverlap="greedy", labelAngle=-45, labelSeparation=8, labelLimit=0)
    return alt.X("hour:N", sort=axis, scale=alt.Scale(domain=axis), title=None, axis=look)
