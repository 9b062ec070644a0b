"""A wheel that carries built kernels is for machines like the one that built them."""

import re
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Platform(BuildHookInterface):
    """Names the platform where `elman check --build` has left libraries in the tree."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it makes a wheel."""
        if any(Path(self.root, "elman/kernels/prebuilt").glob("*.so")):
            platform = re.sub(r"\W", "_", sysconfig.get_platform())
            build_data.update(pure_python=False, tag=f"py3-none-{platform}")
