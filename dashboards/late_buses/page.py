"""`streamlit run dashboards/late_buses/page.py`: which buses are late now, on a map."""

import os
from collections.abc import Sequence
from datetime import UTC, datetime

import streamlit as st
from streamlit_folium import st_folium

from dashboards.late_buses import map as maps
from dashboards.late_buses import source
from dashboards.late_buses.labels import Row, local, offered, plain, route
from dashboards.late_buses.settings import Settings
from longshore.errors import LoadError

st.set_page_config(page_title="Late buses", page_icon="🚍", layout="wide")
try:
    settings = Settings.of(os.environ)
except LoadError as error:
    st.error(plain(str(error)))
    st.stop()


@st.cache_data(ttl=min(settings.refresh_seconds / 2, 10), show_spinner=False)
def latest(place: str) -> source.Latest:
    """What all visitors share: the bucket is read once in 10 s at most. An error is not kept."""
    return source.latest(place)


@st.fragment(run_every=settings.refresh_seconds or None)
def now_late() -> None:
    """All that changes. It runs again by itself, and alone."""
    wide, narrow = st.columns([5, 1], vertical_alignment="bottom")
    narrow.button("Refresh", on_click=latest.clear, width="stretch")
    try:
        found = latest(settings.late_buses)
    except LoadError as error:
        wide.subheader("It is not known which buses are late")
        st.error(plain(str(error)))
        return
    rows = found.rows.to_pylist()
    wide.subheader(f"Number of buses currently more than {settings.late_minutes:g} minutes late: {len(rows)}")
    tell_age(found)
    if not rows:
        st.caption("No bus is late.")
    draw(rows)


def tell_age(found: source.Latest) -> None:
    """When the data were written, and a warning when that is long ago."""
    minutes = found.minutes(datetime.now(UTC))
    if found.modified is None or minutes is None:
        st.warning("It is not known how old these data are: their source does not tell.")
        return
    zone = found.rows["timezone"][0].as_py() if found.rows.num_rows else settings.timezone.key
    age = f"{minutes * 60:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
    updated = f"Last updated {local(found.modified, zone)}, {age} ago"
    if minutes > settings.stale_minutes:
        st.warning(f"{updated}. These buses may have arrived by now. Is the job late-buses running?")
    else:
        st.caption(f"{updated}.")


def draw(rows: Sequence[Row]) -> None:
    """The map of the routes that are chosen."""
    left, right = st.columns([5, 1], vertical_alignment="bottom")
    routes = offered(rows, st.session_state.get("routes", []))
    chosen = left.multiselect("Routes", routes, key="routes", placeholder="All routes")
    own = right.toggle("The buses too", value=True, key="own")
    shown = [row for row in rows if not chosen or route(row) in chosen]
    if chosen:
        st.caption(f"The map shows {len(shown)} of {len(rows)}.")
    if missing := len(shown) - len(maps.placed(shown)):
        st.caption(f"Not on the map: {missing}, since the timetable does not say where their stops are.")
    first = st.session_state.setdefault("first", shown if settings.view is None else [])
    # The map stays as it is, and where it was moved to; only the layers are new.
    st_folium(
        maps.base(settings, first),
        key="map",
        feature_group_to_add=maps.layers(shown, own),
        returned_objects=[],
        height=600,
        use_container_width=True,
    )


left, right = st.columns([5, 1], vertical_alignment="center")
left.title(f"{settings.agency} delays 🚍")
right.page_link("pages/history.py", label="History", icon=":material/bar_chart:")
now_late()
