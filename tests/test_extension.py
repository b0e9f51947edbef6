"""What the README says can be added from outside is added so, by a script outside the package."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "README.md").read_text().split("## Add to it")[1].split("\n## ")[0]
SNIPPETS = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)

BEFORE = """
import torch
from torchvision.models import resnet18
import captum_blocks as cb

torch.manual_seed(0)
model = resnet18(num_classes=5).eval()
x = torch.randn(1, 3, 64, 64)
"""

AFTER = """
assert images.shape == (2, 3, 128, 128)
red = (images[:, 0] - images[:, 2]).mean((1, 2))
assert red[1] > red[0] + 0.05, red

net = cb.Network(model)
assert cb.evaluate(loudest, net, x).data.shape == (1, 4)
every = cb.evaluate(cb.Activation(cb.Hidden("layer3").channels), net, x).data
four = cb.evaluate(loudest, net, x).data
torch.testing.assert_close(four.sort().values, every.topk(4).values.sort().values)

interface = at_a_glance("layer3")
assert cb.Interface.from_json(interface.to_json()) == interface
page = cb.explain(interface, model, x, progress=False).save("page.html").read_text()
effect = cb.evaluate(cb.Attribution(cb.Hidden("layer3").channels, cb.Out(top=1)), net, x)
first = int(effect.data.abs().argmax())
assert f"1. channel {first}" in page
assert "Where did it look, and with what?" in page
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "script.py").write_text("\n".join([BEFORE, *SNIPPETS, AFTER]))
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "CAPTUM_BLOCKS_CACHE_DIR": str(folder / "icons"),
    }
    return subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_additions_of_the_readme_work(script: subprocess.CompletedProcess[str]) -> None:
    assert script.returncode == 0, script.stderr


def test_each_addition_is_short() -> None:
    assert len(SNIPPETS) == 4
    for snippet in SNIPPETS:
        body = [line for line in snippet.splitlines() if line.strip() and "import" not in line]
        assert len(body) < 10, snippet


def test_an_unknown_mark_is_refused_with_the_known_ones() -> None:
    import captum_blocks as cb
    from captum_blocks.errors import UnknownName

    content = cb.Activation(cb.Hidden("layer3").channels)
    with pytest.raises(
        UnknownName, match=r"no mark 'bar' among overlay, .*sankey.*; did you mean 'bars'"
    ):
        cb.InfoVis(content, mark="bar")
