"""What a wheel must hold: every module, every static file, and the marker of typed packages.

python .ci/contents.py captum_blocks-0.1.0-py3-none-any.whl
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "captum_blocks"


def expected() -> set[str]:
    """The files of the checkout that a user needs."""
    found = (path for path in PACKAGE.rglob("*") if path.is_file())
    kept = (path for path in found if "__pycache__" not in path.parts)
    return {path.relative_to(PACKAGE.parent).as_posix() for path in kept}


def held(wheel: Path) -> set[str]:
    """The files of a wheel, metadata left out."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


if __name__ == "__main__":
    inside, wanted = held(Path(sys.argv[1])), expected()
    if missing := sorted(wanted - inside):
        sys.exit(f"the wheel lacks {', '.join(missing)}")
    if strange := sorted(inside - wanted):
        sys.exit(f"the wheel also holds {', '.join(strange)}")
    for ending in (".py", ".js", ".css", ".j2", "py.typed"):
        if not any(name.endswith(ending) for name in inside):
            sys.exit(f"the wheel holds no {ending}")
    print(f"{Path(sys.argv[1]).name}: {len(inside)} files")
