"""The page of the command line: explained, shown while it is drawn, written, summed up."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from captum_blocks import _options
from captum_blocks.errors import legible

if TYPE_CHECKING:
    from captum_blocks.examples import ExampleIndex
    from captum_blocks.explanation import Explanation
    from captum_blocks.grammar import Method
    from captum_blocks.network import Network
    from captum_blocks.streaming import Stream


# Seconds that a browser has to show the page before anything else is done.
COMING = 2.0


def explain_to(
    target: Path,
    net: Network,
    photo: Any,
    start: float,
    *,
    layers: Sequence[str] = (),
    classes: Sequence[str] = (),
    method: Method | None = None,
    groups: int | None = None,
    others: str | None = None,
    examples: ExampleIndex | None = None,
    short: bool = False,
    opened: bool = False,
    quality: str = "standard",
    quiet: bool = False,
) -> None:
    """Explain a photograph, write the page, and sum up.

    Args:
        target: where the page goes.
        net: the network.
        photo: the photograph.
        start: when the command began, as ``time.perf_counter`` tells it.
        layers, classes, method, groups, others, examples, quality: as the options say.
        short: only the overview.
        opened: show it in a browser while it is drawn.
        quiet: tell nothing.
    """
    from captum_blocks.explaining import explain as explained
    from captum_blocks.grammar import Out
    from captum_blocks.presets import overview, report

    chosen = tuple(layers) or net.recommended()
    out = Out(*(_options.class_name(wanted) for wanted in classes)) if classes else Out(top=2)
    options = {} if groups is None else {"groups": groups}
    preset = overview if short else report
    interface = preset(*chosen, classes=out, method=method, **options)
    how = {"others": others, "examples": examples, "quality": quality, "progress": not quiet}
    stream = explained(interface, net, photo, stream=True, **how)  # type: ignore[call-overload]
    if opened:
        _shown_while_drawn(stream, target, quiet)
    else:
        stream.result().save(target)
    if not quiet:
        _summary(stream.now, net, target, time.perf_counter() - start)


def _shown_while_drawn(stream: Stream, target: Path, quiet: bool) -> None:
    """The page with its numbers, on disk and in the browser; whole on disk when it is drawn."""
    from captum_blocks import serving

    server = serving.PageServer(stream)
    opened = serving.show(server.address)
    if not opened or not quiet:
        click.echo(f"while it is drawn: {server.address}")
    try:
        if opened:
            server.wait_for_reader(COMING)  # whose page comes before the file
        stream.now.save(target)
        stream.result()
    except Exception as error:
        raise click.ClickException(f"{stream.now.scene.ended or error}; see {target}") from error
    finally:
        whole = not stream.now.scene.undrawn
        stream.close()
        try:
            stream.now.save(target)
        finally:
            read = server.close(expected=opened and whole)
    if opened and not read:
        serving.show(target.absolute().as_uri())


def _summary(found: Explanation, net: Network, target: Path, seconds: float) -> None:
    for prediction in found.predictions[:3]:
        said = net.said(prediction, len(found.predictions))
        click.echo(legible(f"{said:>6}  {prediction.label} ({prediction.index})"))
    click.echo(legible(found.scene.answer))
    click.echo(legible(f"{target}  ({seconds:.0f} s)"))
