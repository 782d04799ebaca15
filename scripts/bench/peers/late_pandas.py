"""The published way to the late buses: pandas merges all of the timetable with the positions, then drops the rest.

Scheduled times are on UTC's midnight of today, as published; files lie on the disk.
"""

import json
import sys
import time
from datetime import datetime

import pandas as pd


def main(live: str, timetable: str, target: str, at: str) -> None:
    """Two Parquet files to a CSV of the late buses."""
    began = time.monotonic()
    now = pd.Timestamp(datetime.fromisoformat(at))
    positions, stops = pd.read_parquet(live), pd.read_parquet(timetable)
    frame = stops.merge(positions, left_on=["trip_id", "stop_sequence"], right_on=["trip_id", "current_stop"])
    due = now.normalize() + pd.to_timedelta(frame["arrival"], unit="s")
    frame["time_diff"] = (frame["timestamp"] - due).dt.total_seconds() / 60
    fresh = (now - frame["timestamp"]) <= pd.Timedelta(minutes=30)
    late = frame[fresh & (frame["time_diff"] > 10) & (frame["current_status"] != 1)]
    late.to_csv(target, index=False)
    print(json.dumps({"seconds": time.monotonic() - began, "rows": len(positions), "late": len(late)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
