"""Make a new job: a folder of jobs/ that runs at once and passes the contract test, its extra, its image's check."""

import argparse
import io
import keyword
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.settings import ROOT, UserError

TEMPLATES = ROOT / "scripts/templates/job"
PATTERN = "web-to-postgres"  # its packages and its place in the compose file are the new job's too
EXTRAS = "[project.optional-dependencies]\n"
NEXT = """\
jobs/{folder} loads a file of the web into Postgres. Make it yours:
  jobs/{folder}/flow.py          what is loaded, and the parameters
  jobs/{folder}/deployment.py    when, with how much memory, which settings; a trial for the contract test
  pyproject.toml, extra {name}   what its image holds; then .venv/bin/uv lock
Try it:
  .venv/bin/python -m jobs.{folder} --help
  .venv/bin/python -m pytest tests/contract -k {folder}
  make up run JOB={name}"""


def check_name(name: str) -> None:
    """Refuse a name that cannot be a folder, a function, an extra and an image at once."""
    folder = name.replace("-", "_")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > 40:
        raise UserError(f"NAME={name}: give lower-case words with dashes between them, such as late-buses")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    if (ROOT / "jobs" / folder).exists() or name in extras:
        raise UserError(f"NAME={name}: there is one already")
    code = io.StringIO((TEMPLATES / "flow.py.txt").read_text())
    words = {token.string for token in tokenize.generate_tokens(code.readline) if token.type == tokenize.NAME}
    if keyword.iskeyword(folder) or folder in words - {"my_job"}:
        raise UserError(f"NAME={name}: {folder} means something else in the job's own code; add a word")


@contextmanager
def all_or_nothing(folder: Path, *files: Path) -> Iterator[None]:
    """Take the folder away and put the files back when anything goes wrong within."""
    before = {file: file.read_bytes() for file in files}
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        for file, content in before.items():
            file.write_bytes(content)
        raise


def renamed(text: str, old: str, name: str) -> str:
    """The text with another job's name, with dashes and with underscores."""
    return text.replace(old, name).replace(old.replace("-", "_"), name.replace("-", "_"))


def write_folder(folder: Path, name: str) -> None:
    """The job's code, from the templates."""
    folder.mkdir()
    (folder / "__init__.py").touch()
    for template in TEMPLATES.glob("*.txt"):
        (folder / template.stem).write_text(renamed(template.read_text(), "my-job", name))
    # The name decides where an import is sorted.
    subprocess.run([sys.executable, "-m", "ruff", "check", "-q", "--fix", str(folder)], cwd=ROOT, check=True)


def add_extra(project: Path, name: str) -> None:
    """The packages of the job's image."""
    line = f'{name} = ["longshore[{PATTERN}]"]\n'
    project.write_text(project.read_text().replace(EXTRAS, EXTRAS + line, 1))


def add_check(compose: Path, name: str) -> None:
    """After each entry check-web-to-postgres one like it: the image's service, and what waits for it."""
    entry = re.compile(rf"^( +)check-{PATTERN}:.*\n(?:\1 .*\n|\n)*", re.MULTILINE)
    compose.write_text(entry.sub(lambda found: found[0] + renamed(found[0], PATTERN, name), compose.read_text()))


def lock() -> None:
    """Bring uv.lock up to date: without the package index where uv's cache suffices."""
    for offline in (["--offline"], []):
        done = subprocess.run([sys.executable, "-m", "uv", "lock", *offline], cwd=ROOT, capture_output=True, text=True)
        if not done.returncode:
            return
    raise UserError(f"uv.lock could not be made; does the package index answer?\n{done.stderr}")


def make(name: str) -> None:
    """Make the job, or leave everything as it was."""
    check_name(name)
    folder = ROOT / "jobs" / name.replace("-", "_")
    project, compose = ROOT / "pyproject.toml", ROOT / "docker-compose.yml"
    with all_or_nothing(folder, project, compose, ROOT / "uv.lock"):
        write_folder(folder, name)
        add_extra(project, name)
        add_check(compose, name)
        lock()


def main() -> None:
    """Parse the command line, make the job, say what to do next."""
    parser = argparse.ArgumentParser(prog="python -m scripts.new_job", description=__doc__)
    parser.add_argument("name", help="lower-case words with dashes between them, such as late-buses")
    name = parser.parse_args().name
    try:
        make(name)
    except UserError as error:
        sys.exit(str(error))
    print(NEXT.format(name=name, folder=name.replace("-", "_")))


if __name__ == "__main__":
    main()
