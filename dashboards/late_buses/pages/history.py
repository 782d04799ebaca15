"""Late buses an hour and route, of what the warehouse keeps."""

import os
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import streamlit as st

from dashboards.late_buses import charts, warehouse
from dashboards.late_buses.labels import plain
from dashboards.late_buses.settings import Settings
from longshore.errors import LoadError

PERIODS = {"24 hours": 1, "7 days": 7, "30 days": 30}

st.set_page_config(page_title="History of late buses", page_icon="🚍", layout="wide")


@st.cache_data(ttl=60, show_spinner="Asking the warehouse")
def history(settings: Settings, days: int, now: datetime) -> pa.Table:
    """What all visitors share; one question a minute and period. now: to the minute."""
    return warehouse.history(settings, now, timedelta(days=days))


def show(settings: Settings) -> None:
    """The charts, then the table."""
    left, right = st.columns([5, 1], vertical_alignment="center")
    left.title(f"{settings.agency}: late buses an hour")
    right.page_link("page.py", label="Now", icon=":material/map:")
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    period = left.segmented_control("The last", list(PERIODS), default="24 hours", required=True)
    right.button("Refresh", on_click=history.clear, width="stretch")
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    found = history(settings, PERIODS[period], now + timedelta(minutes=1))
    if not found.num_rows:
        st.caption(f"The warehouse has no late bus of the last {period}.")
        return
    zone = settings.timezone
    first, last = found["hour"][0].as_py(), found["hour"][-1].as_py()
    axis = charts.hours(first, last, zone)
    st.caption(f"A trip counts once in each hour in which it was late. Times of {zone.key}.")
    st.altair_chart(charts.per_hour(found, axis, zone), width="stretch")
    st.subheader("By route")
    st.altair_chart(charts.per_route(found, axis, zone), width="stretch")
    st.table([row | {"Route": plain(row["Route"])} for row in charts.totals(found)])


try:
    show(Settings.of(os.environ))
except LoadError as error:
    st.error(plain(str(error)))
