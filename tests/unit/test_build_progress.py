"""What a person sees of a build, and of one that fails."""

import re
import sys
from pathlib import Path

import pytest

from scripts.build_progress import Build, Progress, clock, failure, read_step, side_by_side, status
from scripts.settings import UserError

LEGACY = """\
DEPRECATED: The legacy builder is deprecated and will be removed in a future release.
Sending build context to Docker daemon  3.012MB
Step 14/35 : COPY --from=lock /lock/ ./
 ---> Using cache
 ---> c01bb93c0c0a
Step 15/35 : RUN ./with_extra_ca.sh python3.11 get_uv.py uv.lock /usr/local/bin/uv
 ---> Running in 6f0e1c1b9a52
Step 18/35 : RUN ./with_extra_ca.sh uv sync --frozen --all-extras  && /opt/venv/bin/python layers.py . /opt/venv /layers
 ---> Running in 29ae1ddc82f9
\x1b[91m  × Failed to download `wrapt==2.5.2`
\x1b[0mThe command '/bin/sh -c ./with_extra_ca.sh uv sync' returned a non-zero code: 2
"""
BUILDKIT = """\
#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 4.5kB done
#1 DONE 0.0s

#5 [base 1/3] FROM docker.io/library/python:3.11.14-slim-bookworm
#5 DONE 0.1s

#6 [lock 1/2] COPY pyproject.toml uv.lock /all/
#6 CACHED

#9 [packages 7/7] RUN ./with_extra_ca.sh uv sync --frozen --all-extras
#9 1.204 Downloading wrapt (1.2MiB)

#10 [code 2/3] COPY . .
#9 3.611   × Failed to download `wrapt==2.5.2`
#9 ERROR: process "/bin/sh -c ./with_extra_ca.sh uv sync" did not complete successfully: exit code: 2
------
 > [packages 7/7] RUN ./with_extra_ca.sh uv sync --frozen --all-extras:
3.611   × Failed to download `wrapt==2.5.2`
------
ERROR: failed to solve: process "/bin/sh -c ./with_extra_ca.sh uv sync" did not complete successfully: exit code: 2
"""
DEBIAN = """\
I: automatically chosen mode: root
I: running apt-get update...
I: downloading packages with apt...
Setting up usr-is-merged (1) ...
I: installing essential packages...
"""


def steps(output: str) -> list[str]:
    """The steps that a builder's output goes through."""
    return [step for line in output.splitlines() if (step := read_step(line))]


def test_the_steps_of_the_legacy_builder_are_told() -> None:
    assert steps(LEGACY) == ["step 14 of 35", "step 15 of 35, fetching uv", "step 18 of 35, installing packages"]


def test_the_steps_of_buildkit_are_told_with_their_stage() -> None:
    assert steps(BUILDKIT) == [
        "step 1 of 3 of base",
        "step 1 of 2 of lock",
        "step 7 of 7 of packages, installing packages",
        "step 2 of 3 of code",
        "step 7 of 7 of packages, installing packages",
    ]


@pytest.mark.parametrize("line", ["now: storing the layers\n", "#9 41.20 now: storing the layers\n"])
def test_a_long_step_says_what_it_is_at(line: str) -> None:
    build = Build("late-buses", 1, 0)
    Progress(["late-buses"]).read(build, ["Step 18/35 : RUN ./with_extra_ca.sh uv sync\n", " + wrapt==2.5.2\n", line])
    assert build.step == "step 18 of 35, storing the layers"


def test_the_steps_of_mmdebstrap_are_told() -> None:
    assert steps(DEBIAN) == [
        "running apt-get update",
        "downloading packages with apt",
        "installing essential packages",
    ]


def test_a_line_says_what_is_on_for_how_long_and_what_is_next() -> None:
    names = ["etl-parent", "late-buses", "web-to-gcs", "sources"]
    on = [Build("late-buses", 2, 100, "step 18 of 35, installing packages"), Build("web-to-gcs", 3, 140)]
    assert status(on, names, 50, 148) == (
        " 1:38  image 2 of 4: late-buses · step 18 of 35, installing packages · 0:48"
        " | image 3 of 4: web-to-gcs · starting · 0:08; next: sources"
    )
    assert status([Build("sources", 4, 100)], names, 50, 101).endswith("sources · starting · 0:01")
    assert clock(3601) == "60:01"


@pytest.mark.parametrize("output", [LEGACY, BUILDKIT])
def test_a_failure_names_its_step_and_shows_the_last_lines_without_colours(output: str) -> None:
    build = Build("late-buses", 1, 0)
    Progress(["late-buses"]).read(build, ["noise\n"] * 100 + output.splitlines(keepends=True))
    said = failure(build)
    assert re.match(r"late-buses could not be built. It failed in step \d+ of .*, installing packages, after:\n", said)
    assert "× Failed to download `wrapt==2.5.2`" in said
    assert "\x1b" not in said
    assert len(said.splitlines()) == 41


def test_a_builder_is_silent_until_it_fails(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(["good", "bad"])
    with progress.build("good") as build:
        progress.run(build, [sys.executable, "-c", "print('chatter')"])
    assert re.fullmatch(r" *\d+:\d\d  image 1 of 2: good is built, in \d+:\d\d\n", capsys.readouterr().out)
    with pytest.raises(UserError, match=r"(?s)bad could not be built.*chatter"), progress.build("bad") as build:
        progress.run(build, [sys.executable, "-c", "print('chatter'); raise SystemExit(1)"])
    assert capsys.readouterr().out == ""


def test_the_first_failure_ends_what_is_on_and_what_is_to_come(tmp_path: Path) -> None:
    progress = Progress(["waits", "fails", "never"])
    code = {
        "waits": "import time; open('waits', 'w'); time.sleep(600)",
        "fails": "import os\nwhile not os.path.exists('waits'): pass\nraise SystemExit(3)",
        "never": "open('never', 'w')",
    }

    def work(name: str) -> None:
        with progress.build(name) as build:
            progress.run(build, [sys.executable, "-c", f"import os; os.chdir({str(tmp_path)!r})\n{code[name]}"])

    with pytest.raises(UserError, match="fails could not be built"):
        side_by_side(progress, work, progress.names)
    assert [path.name for path in tmp_path.iterdir()] == ["waits"]
    assert not progress.builds


def test_what_is_made_side_by_side_comes_back_in_order() -> None:
    assert side_by_side(Progress([]), str.upper, ["a", "b", "c"]) == ["A", "B", "C"]
