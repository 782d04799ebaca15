"""Lay out the packages of every image as layers, so that what several images hold is made, stored and pushed once.

The packages of all images are installed together, then each image gets links to the files of its own extra: the third
layer. What a group holds in common lies in layers below it.
"""

import argparse
import subprocess
import sysconfig
import tomllib
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distributions
from importlib.util import cache_from_source
from os import link
from pathlib import Path

from packaging.requirements import Requirement  # one of those installed
from select_code import PARTS
from slim import left_out, stubs

Files = dict[Path, Path]  # place in the venv -> the file that goes there
DEPTH = 3


def groups(images: Iterable[str]) -> list[set[str]]:
    """Images that share a layer; a group comes before those within it."""
    jobs = set(images) - set(PARTS)
    return [jobs | {"orchestration"}, jobs, set(PARTS) - {"orchestration"}]


def split(files: Mapping[str, Files]) -> dict[str, list[Files]]:
    """The layers of each image: what its groups share, then the rest; as many for each, empty ones where need be."""
    found = {}
    for image, rest in files.items():
        layers: list[Files] = []
        rest = dict(rest)
        for group in groups(files):
            if image in group:
                shared = dict(set.intersection(*(set(files[one].items()) for one in group)) & rest.items())
                layers.append(shared)
                rest = {path: rest[path] for path in rest.keys() - shared.keys()}
        layers += [{}] * (DEPTH - 1 - len(layers))
        found[image] = [*layers, rest]
    return found


def normal(name: str) -> str:
    """A package's name as the lock writes it."""
    return name.lower().replace("_", "-").replace(".", "-")


def wanted(extra: str, project: Path) -> set[str]:
    """Names of the packages that an extra brings on this system."""
    export = "uv export --quiet --frozen --no-default-groups --no-emit-project --no-hashes --no-annotate --no-header"
    lines = subprocess.check_output([*export.split(), "--extra", extra], cwd=project, text=True).splitlines()
    packages = [Requirement(line) for line in lines]
    return {normal(package.name) for package in packages if not package.marker or package.marker.evaluate()}


def files_of(package: Distribution) -> set[Path]:
    """Absolute paths of the files that a package installed, with their byte code."""
    listed = {Path(str(package.locate_file(file))).resolve() for file in package.files or []}
    compiled = {Path(cache_from_source(str(path))) for path in listed if path.suffix == ".py"}
    return {path for path in listed | compiled if path.exists()}


def files_of_images(extras: Iterable[str], project: Path, venv: Path) -> dict[str, Files]:
    """Which files of the venv each image holds: those of its packages, and the venv's own."""
    installed = {normal(package.metadata["Name"]): files_of(package) for package in distributions()}
    everything = {path for path in venv.rglob("*") if path.is_symlink() or not path.is_dir()}
    own = everything - set().union(*installed.values())
    packages = Path(sysconfig.get_path("purelib"))
    found = {}
    for image in extras:
        held = own.union(*(installed[name] for name in wanted(image, project))) - left_out(image, packages)
        found[image] = {path.relative_to(venv): path for path in held}
        found[image] |= {path.relative_to(venv): stub for path, stub in stubs(image, packages).items()}
    return found


def put(layer: Files, place: Path) -> None:
    """Link a layer's files to a folder."""
    for folder in {place, *((place / path).parent for path in layer)}:
        folder.mkdir(parents=True, exist_ok=True)
    for path, source in layer.items():
        link(source, place / path, follow_symlinks=False)
    if not layer:
        (place / ".none").touch()  # the legacy builder fails on an empty layer: "layer does not exist"


def main() -> None:
    """Link the files of every extra's layers to TARGET/IMAGE/1, 2, 3; print their sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("project", type=Path, help="where pyproject.toml and uv.lock are")
    parser.add_argument("venv", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    extras = tomllib.loads((args.project / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    made: list[tuple[Files, Path]] = []
    for image, layers in split(files_of_images(extras, args.project, args.venv)).items():
        for number, layer in enumerate(layers, 1):
            place = args.target / image / str(number)
            place.parent.mkdir(parents=True, exist_ok=True)
            if same := next((path for other, path in made if other == layer), None):
                place.symlink_to(same)
                continue
            made.append((layer, place))
            put(layer, place)
        sizes = [sum(path.lstat().st_size for path in layer.values()) / 1e6 for layer in layers]
        print(f"{image:16}", *(f"{size:6.1f}" for size in sizes), "MB")


if __name__ == "__main__":
    main()
