"""The article's mixed4d figures, on the article's own network.

    python tutorials/article.py photo.jpg                            # weights by download
    python tutorials/article.py photo.jpg --weights googlenet.pth    # or from a file

``inception4d`` of torchvision's GoogLeNet is the layer that "The Building Blocks of
Interpretability" (Distill 2018) calls mixed4d; the weights are another training of the same
network. One page a figure, in the folder named by ``--output``.
"""

from __future__ import annotations

from pathlib import Path

import click

import captum_blocks as cb
from captum_blocks.errors import BlocksError

LOWER, LAYER = "inception4a", "inception4d"


def figures(first: int | str, second: int | str) -> dict[str, cb.Interface]:
    """The article's figures by name; two classes are compared as in its first one."""
    both = cb.Out(first, second)
    return {
        "compare_classes": cb.compare_classes(LAYER, first, second),
        "semantic_dictionary": cb.semantic_dictionary(LAYER),
        "activation_grids": cb.activation_grid(LOWER, LAYER),
        "spatial_attribution": cb.spatial_attribution(LOWER, LAYER, classes=both),
        "channel_attribution": cb.channel_attribution(LAYER, classes=both),
        "neuron_groups": cb.neuron_groups(LAYER, n=6, classes=both),
        "group_attribution": cb.group_attribution(LOWER, LAYER, classes=both),
    }


def article_network(weights: Path | None) -> cb.Network:
    """GoogLeNet with its ImageNet weights, downloaded or from a file.

    Raises:
        BlocksError: they can neither be downloaded nor read.
    """
    return cb.load_network("torchvision:googlenet" + (f":{weights}" if weights else ""))


@click.command(help=__doc__)
@click.argument("photo", type=click.Path(path_type=Path))
@click.option("--weights", type=click.Path(path_type=Path), help="A file with GoogLeNet's weights.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("article"))
@click.option("--quality", default="standard", help="Of the icons: draft, standard or high.")
def main(photo: Path, weights: Path | None, output: Path, quality: str) -> None:
    """Draw them all."""
    try:
        net = article_network(weights)
        first, second = (index for index, _, _ in net.predict(net.read(photo), top=2))
        output.mkdir(exist_ok=True)
        for name, interface in figures(first, second).items():
            page = cb.explain(interface, net, photo, quality=quality).save(output / f"{name}.html")
            click.echo(page)
    except BlocksError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main()
