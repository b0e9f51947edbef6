"""How threads wait is said before torch is loaded, and what was said already stays."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

# OpenMP tells on standard error what is in force when it is loaded, and it is loaded with torch.
PROGRAM = """
import sys
from captum_blocks import cli, _waiting
assert "torch" not in sys.modules
asked = _waiting.sleep_while_waiting
def ask():
    asked()
    print("asked", "torch" in sys.modules)
cli.sleep_while_waiting = ask
try:
    cli.main(["cache", "info"])
except SystemExit:
    import torch
    print(torch.ones(2).sum().item())
"""


@pytest.mark.parametrize("given", [None, "ACTIVE"])
def test_the_command_line_lets_waiting_threads_sleep_unless_told_otherwise(
    given: str | None,
) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_WAIT", "GOMP_"))}
    environment["OMP_DISPLAY_ENV"] = "TRUE"
    if given is not None:
        environment["OMP_WAIT_POLICY"] = given
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "asked False\n" in done.stdout
    assert done.stdout.endswith("2.0\n")
    told = re.findall(r"OMP_WAIT_POLICY ?= ?'(\w+)'", done.stderr)
    assert told
    assert set(told) == {given or "PASSIVE"}
