"""Print the parameters of flows, read as in an image: with its code, and no packages but its own. For `python -I`."""

import importlib.metadata
import json
import sys
import sysconfig
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

SITE = sysconfig.get_path("purelib")
wanted: dict[str, Any] = json.loads(sys.argv[1])
installed = {
    found.name.lower().replace("_", "-").replace(".", "-"): found for found in importlib.metadata.distributions()
}
allowed = {
    str(Path(str(installed[name].locate_file(file))))
    for name in wanted["packages"]
    if name in installed  # else a package for another platform
    for file in installed[name].files or []
}


class OnlyAllowed(PathFinder):
    """Finds no module whose file belongs to another package."""

    @classmethod
    def find_spec(cls, fullname: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        spec = super().find_spec(fullname, path, target)
        if spec and spec.origin and spec.origin.startswith(SITE) and spec.origin not in allowed:
            return None
        return spec


sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not PathFinder]
sys.meta_path.append(OnlyAllowed)
sys.path.insert(0, wanted["code"])

from prefect.flows import load_flow_from_entrypoint  # noqa: E402

flows = [load_flow_from_entrypoint(name, use_placeholder_flow=wanted["from_source"]) for name in wanted["entrypoints"]]
print(json.dumps([vars(flow.parameters) for flow in flows]))
