"""Run a peer where packages are not found that it does not need: others import them only because they are there."""

import runpy
import sys
from importlib.abc import MetaPathFinder


class Without(MetaPathFinder):
    """First of sys.meta_path: says that these packages are not there."""

    def __init__(self, packages: list[str]) -> None:
        self.packages = packages

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname in self.packages:
            raise ModuleNotFoundError(fullname)


if __name__ == "__main__":
    _, packages, module, *arguments = sys.argv
    sys.meta_path.insert(0, Without(packages.split(",")))
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__")
