"""Which packages' files lie in which layer of which image."""

from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from scripts.settings import ROOT

Images = dict[str, dict[Path, Path]]
JOBS = ("late-buses", "web-to-gcs")


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """docker/layers.py, which runs beside its neighbours."""
    monkeypatch.syspath_prepend(str(ROOT / "docker"))
    return import_module("layers")


def files(*names: str) -> dict[Path, Path]:
    """Files that lie in the image where they were installed."""
    return {Path(name): Path("/opt/venv", name) for name in names}


@pytest.fixture
def held() -> Images:
    """What six images hold."""
    return {
        "late-buses": files("prefect", "arrow", "gtfs"),
        "web-to-gcs": files("prefect", "arrow", "google"),
        "orchestration": files("prefect", "google", "kubernetes"),
        "sources": files("arrow", "numpy"),
        "dashboards": files("arrow", "numpy", "pandas"),
        "emulators": files("arrow", "numpy", "duckdb"),
    }


def test_the_layers_of_an_image_are_what_it_holds_and_nothing_twice(layers: ModuleType, held: Images) -> None:
    for image, parts in layers.split(held).items():
        assert sorted(path for part in parts for path in part) == sorted(held[image])


def test_what_a_group_holds_is_the_same_layer_in_each_of_its_images(layers: ModuleType, held: Images) -> None:
    found = layers.split(held)
    assert [found[image][0] for image in (*JOBS, "orchestration")] == [files("prefect")] * 3
    assert [found[image][1] for image in JOBS] == [files("arrow")] * 2
    assert [found[image][0] for image in ("sources", "dashboards", "emulators")] == [files("arrow", "numpy")] * 3
    assert [len(parts) for parts in found.values()] == [layers.DEPTH] * 6


def test_a_file_that_differs_between_images_is_not_shared(layers: ModuleType, held: Images) -> None:
    held["late-buses"][Path("prefect")] = Path("/build/stub.py")
    found = layers.split(held)
    assert found["web-to-gcs"][0] == {}
    assert found["late-buses"][2][Path("prefect")] == Path("/build/stub.py")


def test_a_layer_is_never_empty_for_the_builder(layers: ModuleType, tmp_path: Path) -> None:
    layers.put({}, tmp_path / "empty")
    assert list((tmp_path / "empty").iterdir())


def test_what_is_left_out_is_said_by_a_stub_where_prefect_looks_for_it(layers: ModuleType, tmp_path: Path) -> None:
    slim = import_module("slim")
    for name in ("kubernetes/client/api.py", "grpc/__init__.py", "prefect/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    assert tmp_path / "kubernetes/client/api.py" in slim.left_out("late-buses", tmp_path)
    assert tmp_path / "prefect/__init__.py" not in slim.left_out("late-buses", tmp_path)
    assert slim.left_out("orchestration", tmp_path) & set(tmp_path.rglob("*.py")) == {tmp_path / "grpc/__init__.py"}
    (place, stub), *more = slim.stubs("late-buses", tmp_path).items()
    assert (place, more) == (tmp_path / "kubernetes/__init__.py", [])
    assert "left out of this image" in stub.read_text()
    assert slim.stubs("orchestration", tmp_path) == {}
