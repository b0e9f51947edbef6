"""The command line: ``captum-blocks demo | explain | layers | icons | index | cache``."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from captum_blocks import __version__, _options, _pages
from captum_blocks._waiting import sleep_while_waiting
from captum_blocks.errors import BlocksError, InvalidArgument, legible

if TYPE_CHECKING:
    from captum_blocks.examples import ExampleIndex

DEMO_PAGE = "captum-blocks-demo.html"
INTERRUPTED = 130


class _Commands(click.Group):
    """Every deliberate error in one line and exit code 2; Ctrl-C gives 130."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        sleep_while_waiting()  # torch is imported by the commands
        kwargs["standalone_mode"] = False
        try:
            return sys.exit(super().main(*args, **kwargs) or 0)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except BlocksError as error:
            click.echo(f"captum-blocks: {error}", err=True)
            sys.exit(2)
        except (KeyboardInterrupt, click.Abort):
            click.echo("captum-blocks: interrupted; finished icons are kept", err=True)
            sys.exit(INTERRUPTED)
        except click.exceptions.Exit as done:
            sys.exit(done.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="captum-blocks")
def main() -> None:
    """See what a vision network detects, how it puts that together and why it decided."""


_QUALITY = click.option(
    "--quality",
    default="standard",
    show_default=True,
    metavar="draft|standard|high",
    help="How many icons, and how carefully they are drawn.",
)
_QUIET = click.option("--quiet", is_flag=True, help="Write nothing but errors.")
_OPEN = click.option(
    "--open",
    "opened",
    is_flag=True,
    help="Show the page in the browser at once with all its numbers; icons come as they are drawn.",
)


@main.command()
@click.option(
    "-o",
    "--output",
    default=DEMO_PAGE,
    show_default=True,
    help="Where the page goes (.html, .png, .svg, .pdf, .npz).",
)
@_OPEN
@_QUALITY
@_QUIET
def demo(output: str, opened: bool, quality: str, quiet: bool) -> None:
    """Explain the shipped photograph with the demo network (EfficientNet-Lite0)."""
    start = time.perf_counter()
    target = _checked(output, quality, opened=opened)
    from captum_blocks._demo import MISSING, demo_index
    from captum_blocks.zoo import demo_photo, load_network

    net, photo = load_network("demo"), demo_photo()
    index = demo_index(net, progress=not quiet)
    if index is None and not quiet:
        click.echo(MISSING)
    _pages.explain_to(
        target,
        net,
        photo,
        start,
        examples=index,
        short=True,
        opened=opened,
        quality=quality,
        quiet=quiet,
    )


@main.command()
@click.argument("photo")
@click.option("-o", "--output", required=True, help="page.html, or .png, .svg, .pdf, .npz.")
@click.option(
    "--network",
    default="demo",
    show_default=True,
    help="demo, torchvision:NAME or timm:NAME; NAME:FILE takes weights from a file.",
)
@click.option(
    "--layers",
    default="",
    help="From early to late, with commas: the dictionary at the one before the last, groups at "
    "the last.",
)
@click.option(
    "--classes", default="", help="Indices or names, with semicolons; the top two unless given."
)
@click.option(
    "--method",
    default=None,
    help="Any attribution class of captum.attr, with options as in 'LayerConductance(n_steps=8)'; "
    "unless given, LayerGradientXActivation, and exact Shapley values of neuron groups.",
)
@click.option(
    "--groups", type=int, default=None, help="How many neuron groups; a slider unless given."
)
@click.option(
    "--others",
    default=None,
    metavar="FOLDER",
    help="At least eight other photographs: what becomes of the answer with theirs in the place of "
    "a layer that part of it goes around.",
)
@click.option(
    "--examples",
    default=None,
    metavar="INDEX",
    help="An index of photographs, made by captum-blocks index: those that excite a channel or a "
    "group stand beside its picture.",
)
@click.option(
    "--photos", default=None, metavar="FOLDER", help="Where the photographs of --examples are now."
)
@click.option("--short", is_flag=True, help="Only the answer, groups, dictionary and channels.")
@_OPEN
@_QUALITY
@_QUIET
def explain(
    photo: str,
    output: str,
    network: str,
    layers: str,
    classes: str,
    method: str | None,
    groups: int | None,
    others: str | None,
    examples: str | None,
    photos: str | None,
    short: bool,
    opened: bool,
    quality: str,
    quiet: bool,
) -> None:
    """Explain what a network saw in PHOTO and write a page."""
    start = time.perf_counter()
    _check_photo(photo)
    target = _checked(output, quality, photo, *_in_folder(others), opened=opened)
    from captum_blocks.zoo import load_network

    index = _index(examples, photos)
    how = None if method is None else _options.method(method)
    options = {"layers": _options.parts(layers, ","), "classes": _options.parts(classes, ";")}
    _pages.explain_to(
        target,
        load_network(network),
        photo,
        start,
        method=how,
        groups=groups,
        others=others,
        examples=index,
        short=short,
        opened=opened,
        quality=quality,
        quiet=quiet,
        **options,
    )


@main.command()
@click.argument("network")
@click.option(
    "--carries/--no-carries",
    default=True,
    show_default=True,
    help="Whether to test which layers carry the whole answer: a pass or two for each.",
)
@_QUIET
def layers(network: str, carries: bool, quiet: bool) -> None:
    """List the layers of NETWORK that can be looked at, and which carry the whole answer."""
    from captum_blocks.zoo import load_network

    table = load_network(network).layers()
    if carries:
        table = table.with_carrying(progress=not quiet)
    click.echo(legible(repr(table)))


@main.command()
@click.argument("network")
@click.argument("layer", required=False)
@click.option("--channels", default=None, help="all, or e.g. 0-15,31.  [default: all]")
@click.option(
    "--quality",
    default=None,
    metavar="draft|standard|high",
    help="How carefully they are drawn, as on the pages that are to show them.  "
    "[default: standard]",
)
@click.option(
    "--export", "exported", default=None, metavar="PACK.zip", help="Also write them into a pack."
)
@click.option(
    "--import",
    "imported",
    default=None,
    metavar="PACK.zip",
    help="Draw nothing: take the icons that a pack has of this very network.",
)
@_QUIET
def icons(
    network: str,
    layer: str | None,
    channels: str | None,
    quality: str | None,
    exported: str | None,
    imported: str | None,
    quiet: bool,
) -> None:
    """Draw the icons of a LAYER of NETWORK into the icon store; resumes where it stopped.

    A pack takes them to another machine: captum-blocks icons demo bn2 --export bn2.zip here,
    captum-blocks icons demo --import bn2.zip there.
    """
    from captum_blocks import _icons

    if imported is None:
        if layer is None:
            raise click.UsageError("Missing argument 'LAYER'.")
        _icons.draw(network, layer, channels or "all", quality or "standard", exported, quiet)
    elif exported is not None or channels is not None or quality is not None:
        raise InvalidArgument(
            "--import takes what the pack has: leave out --export, --channels and --quality"
        )
    else:
        _icons.take(network, layer, imported, quiet)


@main.command()
@click.argument("network")
@click.argument("folder")
@click.option("-o", "--output", required=True, help="A folder for the index, e.g. birds.blocks.")
@click.option("--layers", default="", help="With commas; those that are recommended unless given.")
@click.option(
    "--keep",
    default="activations",
    show_default=True,
    metavar="activations|extremes",
    help="activations: later directions are found without looking at all photographs again.",
)
@click.option(
    "--budget",
    type=float,
    default=2.0,
    show_default=True,
    help="GB that activations may take, in all layers together.",
)
@click.option(
    "--sources",
    default=None,
    metavar="folder",
    help="folder: pictures in one folder were cut from one photograph.",
)
@click.option("--thumbnails", is_flag=True, help="Keep a small copy of each photograph.")
@_QUIET
def index(
    network: str,
    folder: str,
    output: str,
    layers: str,
    keep: str,
    budget: float,
    sources: str | None,
    thumbnails: bool,
    quiet: bool,
) -> None:
    """Index the photographs in FOLDER by what excites NETWORK; goes on where it stopped.

    FOLDER may also be a WebDataset tar or an address that fsspec knows; subfolders are labels.
    """
    from captum_blocks.examples import ExampleIndex
    from captum_blocks.zoo import load_network

    made = ExampleIndex.build(
        load_network(network),
        folder,
        _options.parts(layers, ",") or None,
        output,
        keep=keep,
        budget=budget * 1e9,
        sources=sources,  # type: ignore[arg-type]
        thumbnails=thumbnails,
        progress=not quiet,
    )
    if not quiet:
        click.echo(legible(f"{made.report}; in {made.folder}"))


@main.group()
def cache() -> None:
    """Look at, or empty, the icon store."""


@cache.command()
def info() -> None:
    """How many icons the store holds, and where."""
    from captum_blocks.store import Store

    held = Store().info()
    click.echo(f"{held.entries} icons, {held.bytes / 1e6:.1f} MB in {held.folder}")


@cache.command()
def clear() -> None:
    """Remove every icon from the store."""
    from captum_blocks.store import Store

    store = Store()
    click.echo(f"{store.clear()} icons removed")
    if left := store.info().entries:
        click.echo(f"{left} icons in {store.folder} are left: they may not be removed", err=True)


def _checked(output: str, quality: str, *photos: str, opened: bool = False) -> Path:
    """The output path, refused at once where it cannot be written."""
    from captum_blocks.compose import quality_named
    from captum_blocks.explanation import PAGES, writable

    quality_named(quality)
    target = writable(output, [Path(photo) for photo in photos])
    if opened and target.suffix.lower() not in PAGES:
        raise InvalidArgument(f"--open shows a page: {target.name} is none, give -o page.html")
    return target


def _check_photo(photo: str) -> None:
    """Refuse an unreadable picture before anything that takes seconds to import."""
    from captum_blocks._pictures import open_picture

    open_picture(photo)


def _in_folder(others: str | None) -> list[str]:
    """The other photographs; a folder without enough is refused before a network is loaded."""
    from captum_blocks.compose.evaluation.others import listed

    return [] if others is None else [str(file) for file in listed(others).values()]


def _index(examples: str | None, photos: str | None) -> ExampleIndex | None:
    """The index of --examples; one that cannot be is refused before a network is loaded."""
    from captum_blocks.examples import ExampleIndex

    if examples is None:
        if photos is not None:
            raise InvalidArgument(
                "--photos says where the photographs of --examples are: give both"
            )
        return None
    if photos is None:
        raise InvalidArgument("--examples needs --photos, the folder that its photographs are in")
    return ExampleIndex.load(examples, photos)


if __name__ == "__main__":
    main()
