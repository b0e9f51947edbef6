"""Icons of whole layers on the command line: drawn, written into a pack, taken from one."""

from __future__ import annotations

from pathlib import Path

import click

from captum_blocks import _options
from captum_blocks.compose import quality_named
from captum_blocks.compose.pictures.packs import Pack
from captum_blocks.errors import InvalidArgument, legible
from captum_blocks.explanation import writable
from captum_blocks.icons import PACKS, LayerIcons, channel_count
from captum_blocks.store import Store
from captum_blocks.zoo import load_network


def draw(
    network: str, layer: str, channels: str, quality: str, pack: str | None, quiet: bool
) -> None:
    """Draw the icons of a layer, and write them into a pack where one is named.

    Args:
        network, layer, channels, quality, pack: as the options say.
        quiet: tell nothing.
    """
    chosen = quality_named(quality)
    if pack is not None:
        writable(pack, endings=PACKS)
    store = Store()
    store.check_writable()
    net = load_network(network)
    name = net.name_of(layer)
    wanted = _options.indices(channels, channel_count(net, name))
    icons = LayerIcons(net, name, wanted, quality=chosen, progress=not quiet, store=store)
    if not quiet:
        click.echo(legible(icons.cost), err=True)
    new = icons.draw() if pack is None else icons.export(pack)
    if not quiet:
        place = store.folder if pack is None else f"{store.folder} and {pack}"
        click.echo(legible(f"{len(wanted)} icons of {name} ({new} new) in {place}"))


def take(network: str, layer: str | None, pack: str, quiet: bool) -> None:
    """Take the icons that a pack has of a network.

    Args:
        network, layer, pack: as the options say.
        quiet: tell nothing.
    """
    with Pack(Path(pack)) as read:  # before a network is loaded
        held, many = read.about.layer, len(read.about.scores)
    store = Store()
    store.check_writable()
    net = load_network(network)
    if layer is not None and net.name_of(layer) != held:
        raise InvalidArgument(f"{pack} has icons of the layer {held[:80]!r}, not of {layer!r}")
    icons = LayerIcons.of_pack(pack, net, progress=not quiet, store=store)
    new, damaged = icons.take(pack)
    if not quiet:
        count = len(icons.channels)
        click.echo(
            legible(
                f"{new} icons taken of {many} in {pack}: "
                f"{count - len(icons.missing)} of {count} of {held} are in {store.folder}"
            )
        )
    if damaged:
        click.echo(f"{damaged} icons in {legible(pack)} are damaged and were left out", err=True)
