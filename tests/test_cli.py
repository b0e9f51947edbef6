"""The command line as a person meets it: a real process, real exit codes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

import captum_blocks as cb
from captum_blocks._demo import demo_index
from captum_blocks.cli import main
from captum_blocks.errors import InvalidArgument
from captum_blocks.store import Store
from captum_blocks.zoo import tiles

Run = Callable[..., Result]
# For what is not about the network that is shown: 160 pixels, random weights, ImageNet's classes.
SMALL = ("--network", "timm:test_resnet:none")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("CAPTUM_BLOCKS_CACHE_DIR", str(tmp_path / "icons"))
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(main, [str(part) for part in arguments])


@pytest.fixture
def rough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draft quality with the fewest steps: the whole walk, seconds instead of a minute."""
    from captum_blocks.compose.pictures import quality

    few = quality.Quality(size=48, n_steps=2, budget=2, cell=16, cell_steps=1)
    monkeypatch.setitem(quality.QUALITIES, "draft", few)  # type: ignore[arg-type]


@pytest.mark.usefixtures("rough")
def test_explain_says_what_it_saw(run: Run, photo_file: Path, tmp_path: Path) -> None:
    arguments = ["-o", "page.html", "--quality", "draft", "--layers", "bn2"]
    result = run("explain", photo_file, *arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "Egyptian cat (285)" in lines[0]
    assert re.fullmatch(r"EfficientNet-Lite0 is \d+% sure of “Egyptian cat”\.", lines[-2])
    assert lines[-1].startswith("page.html  (")
    assert (tmp_path / "page.html").stat().st_size > 50_000


@pytest.mark.usefixtures("rough")
def test_options_reach_the_page(run: Run, photo_file: Path, tmp_path: Path) -> None:
    arguments = ["--classes", "tabby; 285", "--method", "LayerGradientShap", "--layers", "layer4"]
    arguments += ["--groups", "3", "--short", "--quality", "draft", "--quiet", *SMALL]
    result = run("explain", photo_file, "-o", "page.html", *arguments)
    assert (result.exit_code, result.output) == (0, "")
    page = (tmp_path / "page.html").read_text()
    assert "LayerGradientShap" in page
    assert "group 3" in page
    assert "group 4" not in page


@pytest.mark.usefixtures("rough")
def test_a_method_takes_the_options_that_errors_advise(run: Run, photo_file: Path) -> None:
    arguments = ["-o", "page.html", "--quality", "draft", "--groups", "3", *SMALL, "--method"]
    refused = run("explain", photo_file, *arguments, "LayerGradCam")
    advised = refused.stderr.rpartition("as in ")[2].strip()
    result = run("explain", photo_file, *arguments, advised)
    assert result.exit_code == 0, result.output
    assert advised in Path("page.html").read_text()


@pytest.mark.usefixtures("rough")
def test_other_photographs_reach_the_page(run: Run, photo_file: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "others").mkdir()
    for place, colour in enumerate(
        ("red", "blue", "green", "gold", "grey", "pink", "navy", "teal")
    ):
        Image.new("RGB", (40, 30), colour).save(folder / f"{place}.png")
    arguments = ["--others", "others", "--layers", "layer4.0.act1", "--short", *SMALL]
    result = run("explain", photo_file, "-o", "page.html", "--quality", "draft", *arguments)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "page.html").read_text()
    assert page.count("With its output taken from 8 other photographs, the log-odds of “") == 1


@pytest.fixture
def two_photographs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's tiles of two photographs alone: seconds less."""
    monkeypatch.setattr(tiles, "PHOTOGRAPHS", {"skimage": ("data", ("coffee", "rocket"))})


@pytest.mark.usefixtures("rough", "two_photographs")
def test_demo_writes_into_the_current_folder(run: Run, tmp_path: Path) -> None:
    result = run("demo", "--quality", "draft")
    assert result.exit_code == 0
    assert "tiger cat (282)" in result.stdout.splitlines()[0]
    page = (tmp_path / "captum-blocks-demo.html").read_text()
    assert re.search(r"From “tiles”, \d\d pictures cut from 2 photographs\.", page)


@pytest.mark.usefixtures("two_photographs")
def test_the_demos_photographs_are_looked_at_once(
    demo: cb.Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAPTUM_BLOCKS_CACHE_DIR", str(tmp_path))
    first = demo_index(demo, progress=False)
    assert first is not None
    assert (first.folder, first.sources) == (tmp_path / "tiles.blocks", 2)
    written = (first.folder / "index.json").stat().st_mtime_ns
    again = demo_index(demo, progress=False)
    assert again is not None
    assert (again.folder / "index.json").stat().st_mtime_ns == written
    (first.folder / "index.json").write_text("{}")
    mended = demo_index(demo, progress=False)
    assert mended is not None
    assert mended.top(("bn2", [3]), k=1) == first.top(("bn2", [3]), k=1)
    assert [path.name for path in tmp_path.iterdir()] == ["tiles.blocks"], "nothing is left over"


def test_the_photograph_is_not_written_over(run: Run, tmp_path: Path) -> None:
    photo, link = tmp_path / "photo.png", tmp_path / "link.png"
    Image.new("RGB", (20, 20), "red").save(photo)
    link.symlink_to(photo)
    before = photo.read_bytes()
    for output in ("photo.png", "./photo.png", "link.png"):
        result = run("explain", "photo.png", "-o", output)
        assert result.exit_code == 2
        assert "that is a picture which it is made from; give another name" in result.stderr
    assert photo.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["explain", "none.jpg", "-o", "p.html"], "no such picture: none.jpg"),
        (["explain", "empty.jpg", "-o", "p.html"], "empty.jpg is empty (0 bytes)"),
        (["explain", "text.jpg", "-o", "p.html"], "text.jpg is not an image that Pillow can read"),
        (["explain", "PHOTO", "-o", "no/p.html"], "there is no folder no"),
        (["explain", "PHOTO", "-o", "p.doc"], "its ending is none of"),
        (
            ["explain", "PHOTO", "-o", "p.html", "--network", "demmo"],
            "no network 'demmo'; did you mean 'demo'?",
        ),
        (
            ["explain", "PHOTO", "-o", "p.html", "--layers", "bn22"],
            "no layer 'bn22' in EfficientNet; did you mean 'bn2'",
        ),
        (
            ["explain", "PHOTO", "-o", "p.html", "--method", "LayerGradientXActivatoin"],
            "did you mean 'LayerGradientXActivation'",
        ),
        (
            ["explain", "PHOTO", "-o", "p.html", "--classes", "egyptian catt"],
            "no class 'egyptian catt' in EfficientNet-Lite0; did you mean 'Egyptian cat'",
        ),
        (
            ["explain", "PHOTO", "-o", "p.html", "--classes", "1000"],
            "no class 1000: EfficientNet-Lite0 has classes 0 to 999",
        ),
        (
            ["explain", "PHOTO", "-o", "p.html", "--quality", "best"],
            "no quality 'best'; there are draft, standard, high",
        ),
        (["explain", "PHOTO", "-o", "p.html", "--groups", "0"], "at least one is needed"),
        (["explain", "PHOTO", "-o", "p.html", "--others", "no"], "others='no' is not there: give"),
        (["explain", "PHOTO", "-o", "p.html", "--others", "."], "and at least 8 are needed"),
        (
            ["explain", "PHOTO", "-o", "p.html", "--method", "LayerFeatureAblation"],
            "forward passes",
        ),
        (
            ["explain", "PHOTO", "-o", "p.html", "--method", "LayerGradCam"],
            "as in LayerGradCam(attr_dim_summation=False)",
        ),
        (
            ["explain", "PHOTO", "-o", "p.html", "--method", "LayerGradCam(open('x'))"],
            "give a name, or a name with options that are plain values",
        ),
        (
            ["explain", "PHOTO", "-o", "p.html", "--method", "LayerGradCam(attr_dim_sum=False)"],
            "attr_dim_sum",
        ),
        (["icons", "demo", "bn2", "--channels", "1280"], "the layer has channels 0 to 1279"),
        (["layers", "nothing"], "no network 'nothing'"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    run: Run, photo_file: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    before = sorted(tmp_path.iterdir())
    result = (
        run(*(str(photo_file) if part == "PHOTO" else part for part in arguments), "--quiet")
        if arguments[0] != "layers"
        else run(*arguments)
    )
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert sorted(path for path in tmp_path.iterdir() if path.name != "icons") == before


def test_an_expensive_method_is_refused_with_the_count(run: Run, photo_file: Path) -> None:
    result = run("explain", photo_file, "-o", "p.html", "--method", "LayerFeatureAblation")
    assert "62,7" in result.stderr or "125,4" in result.stderr


def test_a_folder_that_is_not_writable(run: Run, photo_file: Path) -> None:
    result = run("explain", photo_file, "-o", "/proc/page.html")
    assert result.exit_code == 2
    assert "is not writable" in result.stderr


@pytest.mark.parametrize("module", ["captum_blocks", "captum_blocks.cli"])
def test_the_command_line_runs_as_a_module(module: str) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    told = run("--help")
    assert told.returncode == 0
    assert f"Usage: python -m {module} " in told.stdout
    assert "explain" in told.stdout
    refused = run("explain", "no-such-photo.jpg", "-o", "page.html")
    assert refused.returncode == 2
    assert "captum-blocks: " in refused.stderr


def test_layers_lists_the_demo_network(run: Run) -> None:
    result = run("layers", "demo", "--no-carries")
    assert result.exit_code == 0
    assert "*  blocks.5.0.bn1 " in result.stdout
    assert "carries" not in result.stdout


def test_layers_tells_which_carry_the_whole_answer(run: Run) -> None:
    result = run("layers", SMALL[1], "--quiet")
    assert result.exit_code == 0
    assert result.stderr == ""
    header, *lines = result.stdout.splitlines()
    start = header.index("carries")
    rows = {line.lstrip("* ").split()[0]: line[start:] for line in lines if "NCHW" in line}
    # A residual block's inside has a way around it, its sum has none.
    assert rows["layer3.0.bn1"].startswith("not all  ")
    assert rows["layer3.0"].startswith("all  ")
    assert rows["layer4"].startswith("all  ")
    assert "carries all: with its output taken from another picture" in result.stdout


def test_icons_resume_and_cache_tells(run: Run, tmp_path: Path) -> None:
    from captum_blocks.compose.pictures import quality

    few = quality.Quality(size=32, n_steps=2, budget=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(quality.QUALITIES, "draft", few)  # type: ignore[arg-type]
        first = run("icons", "demo", "blocks.0.0.bn1", "--channels", "0-2", "--quality", "draft")
        more = run("icons", "demo", "blocks.0.0.bn1", "--channels", "0-4", "--quality", "draft")
    assert "3 icons of blocks.0.0.bn1 (3 new)" in first.stdout
    assert "5 icons of blocks.0.0.bn1 (2 new)" in more.stdout
    assert run("cache", "info").stdout.startswith("5 icons, ")
    assert run("cache", "clear").stdout == "5 icons removed\n"
    assert Store(tmp_path / "icons").info().entries == 0


def test_ctrl_c_is_130_and_leaves_no_page(photo_file: Path, tmp_path: Path) -> None:
    """A real interrupt of a real process while icons are being drawn."""
    cache = tmp_path / "icons"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from captum_blocks.cli import main; main()",
            *("explain", str(photo_file), "-o", str(tmp_path / "page.html")),
            *("--short", "--groups", "3", "--quality", "draft", *SMALL),
        ],
        env={**os.environ, "CAPTUM_BLOCKS_CACHE_DIR": str(cache)},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while not list(cache.rglob("*.png")):
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.rstrip().endswith("interrupted; finished icons are kept")
    assert "Traceback" not in errors
    assert not (tmp_path / "page.html").exists()
    assert Store(cache).info().entries >= 1


@pytest.fixture
def opening(monkeypatch: pytest.MonkeyPatch, photo_file: Path) -> list[object]:
    """The arguments of a page that is shown while it is drawn, an icon at a time."""
    from captum_blocks import serving
    from captum_blocks.compose.pictures import icons

    monkeypatch.setattr(serving, "PATIENCE", 0.1)
    monkeypatch.setattr(icons, "BATCH", 1)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    options = ("--short", "--groups", "3", "--quality", "draft", "--layers", "layer4")
    return ["explain", photo_file, "-o", "page.html", "--open", "--quiet", *options, *SMALL]


@pytest.mark.usefixtures("rough")
def test_a_page_is_shown_while_it_is_drawn(run: Run, opening: list[object]) -> None:
    """Without a display the address is told, also when nothing else is."""
    result = run(*opening)
    assert result.exit_code == 0, result.output
    assert re.fullmatch(r"while it is drawn: http://127\.0\.0\.1:\d+/[\w-]{32}/\n", result.stdout)
    assert "pictures are drawn<" not in Path("page.html").read_text()


def stopped_by(monkeypatch: pytest.MonkeyPatch, stop: Callable[[], object]) -> list[str]:
    """Have the third icon meet what stops the work; the pages on disk before each icon."""
    from captum_blocks import FeatureVisualizer

    original, pages = FeatureVisualizer.visualize, list[str]()

    def visualize(self: FeatureVisualizer, *objectives: Any, **recipe: Any) -> Any:
        pages.append(Path("page.html").read_text())
        if len(pages) == 3:
            stop()
        return original(self, *objectives, **recipe)

    monkeypatch.setattr(FeatureVisualizer, "visualize", visualize)
    return pages


@pytest.mark.usefixtures("rough")
def test_ctrl_c_leaves_what_is_drawn(
    run: Run, opening: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = stopped_by(monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    assert run(*opening).exit_code == 130
    assert re.search(r">0 of \d+ pictures are drawn<", pages[0])
    assert re.search(
        r">2 of \d+ pictures are drawn: drawing was stopped<", Path("page.html").read_text()
    )


@pytest.mark.usefixtures("rough")
@pytest.mark.parametrize("kind", [RuntimeError, InvalidArgument])
def test_a_network_that_fails_leaves_what_is_drawn(
    run: Run, opening: list[object], monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    def fail() -> None:
        raise kind("a fuse has blown")

    stopped_by(monkeypatch, fail)
    result = run(*opening)
    assert result.exit_code == 1
    assert "a fuse has blown" in f"{result.stderr} {result.exception}"
    said = f"2 of \\d+ pictures are drawn: drawing ended with {kind.__name__}: a fuse has blown<"
    assert re.search(said, Path("page.html").read_text())


def test_only_a_page_can_be_opened(run: Run, photo_file: Path) -> None:
    result = run("explain", photo_file, "-o", "page.png", "--open")
    assert result.exit_code == 2
    assert "--open shows a page: page.png is none, give -o page.html" in result.stderr


def test_what_cannot_be_removed_from_the_cache_is_told(run: Run, tmp_path: Path) -> None:
    store = Store(tmp_path / "icons")
    store.path("key", ".png").mkdir(parents=True)
    result = run("cache", "clear")
    assert result.stdout == "0 icons removed\n"
    assert result.stderr.startswith("1 icons in ")


def test_icons_for_a_cache_that_cannot_be_written_are_not_drawn(run: Run, tmp_path: Path) -> None:
    (tmp_path / "icons").write_text("in the way")
    result = run("icons", "demo", "bn2", "--channels", "0")
    assert result.exit_code == 2
    assert "cannot write to the cache folder" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["icons", "demo", "bn2", "--channels", "²"], "give all, or numbers like 0-15,31"),
        (["icons", "demo", "bn2", "--channels", "٣"], "give all, or numbers like 0-15,31"),
        (["icons", "demo", "bn2", "--channels", "5-3"], "5-3 runs backwards"),
        (["icons", "demo", "bn2", "--channels", "5-"], "give all, or numbers like 0-15,31"),
        (["icons", "demo", "bn2", "--channels", ","], "give all, or numbers like 0-15,31"),
        (["icons", "demo", "bn2", "--channels", "0-99999999"], "channels 0 to 1279"),
        (["icons", "demo", "bn2", "--channels", "9" * 5000], "give all, or numbers like"),
        (["layers", "timm:resnet18:~nobody-here/x.pt"], "no such file of weights"),
        (["layers", "timm:resnet18:" + "x" * 5000 + ".pt"], "no such file of weights"),
        (["layers", "x" * 5000], "no network 'xxx"),
        (["layers", "a\x1b[31mb"], r"no network 'a\x1b[31mb'"),
        (["explain", "p\x1b[31m.png", "-o", "p.html"], "no such picture: p?[31m.png"),
        (["explain", "PHOTO", "-o", "x" * 5000 + ".html"], "cannot write xxx"),
        (["explain", "PHOTO", "-o", "p.html", "--classes", "²"], "no class '²'"),
    ],
)
def test_odd_words_are_refused_in_one_line(
    run: Run, photo_file: Path, arguments: list[str], message: str
) -> None:
    result = run(*(str(photo_file) if part == "PHOTO" else part for part in arguments))
    assert result.exit_code == 2
    assert message in result.stderr
    assert "\x1b" not in result.stderr
    assert len(result.stderr) < 5000


@pytest.fixture
def indexed(run: Run, tmp_path: Path) -> Path:
    """An index of eight photographs at one layer of the smallest network."""
    (folder := tmp_path / "photos").mkdir()
    for place in range(8):
        Image.effect_noise((64, 48), 20 + 20 * place).convert("RGB").save(folder / f"{place}.png")
    small = ("timm:test_resnet:none", "photos", "-o", "few.blocks", "--layers", "layer4", "--quiet")
    result = run("index", *small)
    assert result.exit_code == 0, result.output
    return tmp_path / "few.blocks"


@pytest.mark.usefixtures("rough", "indexed")
def test_photographs_stand_beside_the_icons(run: Run, photo_file: Path, tmp_path: Path) -> None:
    arguments = ["--network", "timm:test_resnet:none", "--layers", "layer4", "--short", "--quiet"]
    arguments += ["--examples", "few.blocks", "--photos", "photos", "--quality", "draft"]
    result = run("explain", photo_file, "-o", "page.html", *arguments)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "page.html").read_text()
    assert "From “few”, 8 photographs." in page


@pytest.mark.usefixtures("indexed")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--examples", "few.blocks"],
            "--examples needs --photos, the folder that its photographs",
        ),
        (["--photos", "photos"], "--photos says where the photographs of --examples are"),
        (["--examples", "none.blocks", "--photos", "photos"], "none.blocks is not there"),
        (["--examples", "photos", "--photos", "photos"], "photos holds no index of photographs"),
        (["--examples", "few.blocks", "--photos", "few.blocks"], "if they have moved"),
        (["--examples", "few.blocks", "--photos", "photos", "--network", "demo"], "other weights"),
    ],
)
def test_photographs_that_cannot_be_shown(
    run: Run, photo_file: Path, arguments: list[str], message: str
) -> None:
    network = [] if "--network" in arguments else ["--network", "timm:test_resnet:none"]
    result = run("explain", photo_file, "-o", "page.html", "--quiet", *network, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
