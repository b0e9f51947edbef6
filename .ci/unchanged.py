"""Refuse if installing this checkout would change the version of anything that is installed.

    python .ci/unchanged.py demo,widget

asks the pip of the running environment what it would do; nothing is installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def planned(extras: str) -> dict[str, str]:
    """What pip would install, by name."""
    wanted = f"{PROJECT}[{extras}]" if extras else str(PROJECT)
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--report", "-"]
    done = subprocess.run([*command, wanted], check=True, stdout=subprocess.PIPE, text=True)
    items = (item["metadata"] for item in json.loads(done.stdout)["install"])
    return {item["name"]: item["version"] for item in items}


def installed(name: str) -> str | None:
    """The version that is here."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    plan = planned(sys.argv[1] if len(sys.argv) > 1 else "")
    changes = {
        name: (installed(name), new)
        for name, new in plan.items()
        if installed(name) not in (None, new) and name != "captum-blocks"
    }
    if changes:
        said = ", ".join(f"{name} {old} -> {new}" for name, (old, new) in changes.items())
        sys.exit(f"installing would change {said}")
    print(f"{len(plan)} packages would be added, none changed")
