"""What the README says can be added from outside is added so, by a script outside the package."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

import captum_blocks as cb
from captum_blocks.compose import Icon, PictureSource, picture_source
from captum_blocks.errors import InvalidArgument, UnknownName, WrongType
from tests.conftest import FEW_STEPS

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "README.md").read_text().split("## Add to it")[1].split("\n## ")[0]
SHORT, *LONGER = (
    re.findall(r"```python\n(.*?)```", part, re.DOTALL) for part in SECTION.split("\n### ")
)
SNIPPETS = SHORT

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

spelled = cb.InfoVis(cb.Activation(cb.Out(top=2)), mark="spelled")
ex = cb.explain(spelled, model, x, progress=False)
told = ", ".join(f"{n:.2f}" for n in ex.values[cb.Activation(cb.Out(top=2))].data.flatten())
page = ex.save("spelled.html").read_text()
assert told in page and "PANEL_KINDS.spelled" in page and ".spelled {" in page
assert told in [text.get_text() for text in ex.figure().axes[0].texts]

layer = cb.Hidden("layer3")
quadrants = cb.evaluate(cb.Activation(layer.atoms("quadrant")), net, x)
maps = next(net.activations("layer3", [x]))
assert quadrants.axes == ("image", "quadrant")
torch.testing.assert_close(quadrants.data[0, 3], maps[0, :, 2:, 2:].norm(dim=0).mean())
effect = cb.evaluate(cb.Attribution(layer.atoms("quadrant"), cb.Out(top=1)), net, x)
spatial = cb.evaluate(cb.Attribution(layer.spatial, cb.Out(top=1)), net, x)
torch.testing.assert_close(effect.data[0, 0, 1], spatial.data[0, 0, :2, 2:].sum())
torch.testing.assert_close(effect.total, spatial.total)
shown = cb.Attribution(layer.atoms("quadrant"), cb.Out(top=1)).filter(strongest=2)
page = cb.explain(cb.InfoVis(shown), model, x, progress=False).save("quadrants.html").read_text()
assert "showing 2 of 4 quadrants" in page
assert f"quadrant {int(effect.data.abs().argmax()) + 1}" in page

two = cb.FeatureVis(layer.channels[:2], recipe="where it fires")
assert cb.Interface.from_json(cb.Interface((two,)).to_json()).parts == (two,)
sprites = cb.explain(two, model, x, progress=False).scene.sprites
drawn = sprites["layer3/channel/1 where it fires"].pixels
grid = maps[0, 1].clamp_min(0)
assert drawn.shape == (4, 4, 3)
assert abs(drawn[..., 0] / 255 - (grid / maps[0, 1].abs().max()).numpy()).max() < 1 / 254
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "script.py").write_text(
        "\n".join([BEFORE, *SHORT, *(each for part in LONGER for each in part), AFTER])
    )
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


def test_a_source_of_pictures_is_short() -> None:
    *_, source = LONGER[-1]
    assert len(source.splitlines()) <= 40


def test_an_unknown_mark_is_refused_with_the_known_ones() -> None:
    content = cb.Activation(cb.Hidden("layer3").channels)
    with pytest.raises(
        UnknownName, match=r"no mark 'bar' among overlay, .*sankey.*; did you mean 'bars'"
    ):
        cb.InfoVis(content, mark="bar")


@picture_source("own map")
class OwnMap(PictureSource):
    """An atom's icon is the map of where it fires in the photograph, white where it fires most."""

    def plan(self, subjects):
        return super().plan([each for each in subjects if each.fires is not None])

    def draw(self, requests, renderer):
        return {request.keys[0]: self.icon(*request.subjects) for request in requests}

    def icon(self, subject):
        fires = subject.fires.clamp_min(0)
        grey = (255 * fires / fires.max().clamp_min(1e-12)).round().byte().numpy()
        details = (("layer", subject.layer), ("largest", f"{fires.max():.3g}"))
        return Icon(np.stack([grey] * 3, -1), subject.label, details)

    def told(self, drawn, wanted, quality):
        return "maps as icons", f"{drawn} of {wanted}"


def test_a_picture_source_from_outside_is_one_short_class() -> None:
    assert len(inspect.getsource(OwnMap).splitlines()) <= 40


@pytest.fixture
def layer(small, noise_picture) -> torch.Tensor:
    """What "late" answers to the picture, (image, channel, y, x), by the modules themselves."""
    with torch.no_grad():
        return small.module.late(small.module.early(small.read(noise_picture)))


@pytest.fixture
def explain(small, noise_picture, store):
    return partial(
        cb.explain,
        network=small,
        image=noise_picture,
        quality=FEW_STEPS,
        progress=False,
        store=store,
    )


def test_a_picture_source_from_outside_draws_the_icons_of_a_page(explain, layer) -> None:
    living = layer[0].amax((1, 2)).topk(2).indices.tolist()
    channels = cb.Hidden("late").channels[living]
    interface = cb.FeatureVis(channels, recipe="own map") | cb.FeatureVis(channels)
    assert cb.Interface.from_json(interface.to_json()) == interface
    ex = explain(interface)
    mapped, optimized = ex.scene.panels()
    for mark, channel in zip(mapped.frames[0], living, strict=True):
        sprite, grid = ex.scene.sprites[mark.sprite], layer[0, channel]
        expected = 255 * (grid / grid.max()).numpy()
        assert sprite.pixels.shape == (4, 4, 3)
        assert np.abs(sprite.pixels - expected[..., None]).max() <= 0.51
        assert sprite.label == f"late : {channel}"
        assert sprite.details == (("layer", "late"), ("largest", f"{grid.max():.3g}"))
    sides = [ex.scene.sprites[mark.sprite].pixels.shape[0] for mark in optimized.frames[0]]
    assert sides == [FEW_STEPS.size] * 2
    footer = dict(ex.scene.footer)
    assert footer["maps as icons"] == "2 of 2"
    assert footer["icons"].startswith("2 of 2 wanted, optimized")
    assert "maps as icons" in ex.html()


def test_a_group_fires_where_its_score_is(explain, layer) -> None:
    ex = explain(cb.FeatureVis(cb.Hidden("late").groups(2), recipe="own map"))
    scores = torch.as_tensor(cb.ChannelReducer(2).fit_transform(layer))[0]
    (panel,) = ex.scene.panels()
    for mark, score in zip(panel.frames[0], scores, strict=True):
        expected = 255 * (score / score.max()).numpy()
        pixels = ex.scene.sprites[mark.sprite].pixels
        assert np.abs(pixels - expected[..., None]).max() <= 1


def test_a_source_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"recipe='own mop' .*did you mean 'own map'"):
        cb.FeatureVis(cb.Hidden("late").channels, recipe="own mop")
    with pytest.raises(WrongType, match="a picture source is a subclass of PictureSource"):
        picture_source("of functions")(print)  # type: ignore[type-var]
    with pytest.raises(InvalidArgument, match="recipe='of functions'"):
        cb.FeatureVis(cb.Hidden("late").channels, recipe="of functions")
