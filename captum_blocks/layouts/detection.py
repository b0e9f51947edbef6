"""The likely layout of a layer's output, from its shape, its module and the picture's size."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

from torch import Tensor, nn

from captum_blocks.errors import InvalidArgument
from captum_blocks.layouts.layout import Kind, Layout

MOST_PREFIX_TOKENS = 8
CHANNELS_FIRST = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._NormBase,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.GroupNorm,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.Softmax2d,
    nn.Upsample,
)


def kind_of(module: nn.Module | None) -> Kind | None:
    """Where a module keeps the channels of four axes, where its own class says so.

    >>> kind_of(nn.Conv2d(3, 4, 1)), kind_of(nn.Linear(3, 4)), kind_of(nn.ReLU())
    ('NCHW', 'NHWC', None)
    """
    if isinstance(module, CHANNELS_FIRST):
        return "NCHW"
    return "NHWC" if isinstance(module, nn.Linear) else None


def detect(
    shape: Sequence[int],
    image: tuple[int, int] | None = None,
    module: nn.Module | None = None,
) -> Layout:
    """The likely layout of a layer's output from its shape, batch axis included.

    Four axes of a module whose class says where its channels are (``nn.Conv2d``, ``nn.Linear``)
    are laid out so. Others are NCHW unless those behind the batch are a grid of the picture's
    proportions and the last two are not (Swin's NHWC); three axes are tokens, with the fewest
    prefix tokens that leave a grid of square patches.

    Args:
        shape: of the output.
        image: (height, width) of what the network was given; square unless told.
        module: what returned it.

    Raises:
        InvalidArgument: no layout fits, with what to declare instead.

    >>> detect((1, 197, 768))
    Layout(kind='tokens', prefix=1, grid=(14, 14))
    >>> detect((1, 25, 768), image=(64, 96))
    Layout(kind='tokens', prefix=1, grid=(4, 6))
    """
    shape = tuple(shape)
    image = image or (1, 1)
    if len(shape) == 2:
        return Layout("NCHW")
    if len(shape) == 4 and (known := kind_of(module)) is not None:
        return Layout(known)
    if len(shape) == 4:
        last = _proportionate(shape[1:3], image) and not _proportionate(shape[2:], image)
        return Layout("NHWC" if last else "NCHW")
    if len(shape) == 3:
        for prefix in range(min(MOST_PREFIX_TOKENS, shape[1] - 1) + 1):
            grid = patch_grid(shape[1] - prefix, image)
            if grid is not None:
                return Layout("tokens", prefix, grid)
    if len(shape) == 5:
        raise InvalidArgument(
            f"no layout fits an output of shape {shape}: five axes are those of a volume or a "
            "film, whose places a picture cannot show; look at slices or frames with a network "
            "of pictures"
        )
    raise InvalidArgument(
        f"no layout fits an output of shape {shape}; declare one, "
        "e.g. Layout('tokens', prefix=1, grid=(12, 16))"
    )


def _proportionate(grid: Sequence[int], image: tuple[int, int]) -> bool:
    """Whether cells of a grid over a picture are square, up to what is lost at the edges."""
    (rows, columns), (height, width) = grid, image
    if height == width:
        return rows == columns
    return abs(rows * width - columns * height) <= max(height, width)


def patch_grid(patches: int, image: tuple[int, int]) -> tuple[int, int] | None:
    """(rows, columns) that so many square patches of a picture make; None if they make none."""
    height, width = image
    if height == width:
        side = isqrt(patches)
        return (side, side) if side * side == patches else None
    for patch in range(1, min(height, width) + 1):
        rows, columns = height // patch, width // patch
        exact = height % patch == 0 and width % patch == 0
        if exact and rows * columns == patches:
            return (rows, columns)
    return None


def resolve(
    layout: Layout | Kind | None,
    shape: Sequence[int],
    image: tuple[int, int] | None = None,
    module: nn.Module | None = None,
) -> Layout:
    """The layout an engine was told, or the one its tensor's shape suggests.

    Args:
        layout: what was told; None: nothing.
        shape: of the output, batch axis included.
        image: (height, width) of what the network was given; square unless told.
        module: what returned it.

    >>> resolve("NHWC", (1, 4, 4, 8)).kind
    'NHWC'
    >>> resolve(None, (1, 6, 10, 8), image=(12, 20)).kind
    'NHWC'
    """
    if isinstance(layout, Layout):
        return layout
    if layout is None:
        return detect(shape, image, module)
    if layout == "tokens":
        found = detect(shape, image) if len(shape) == 3 else None
        if found is None:
            raise InvalidArgument(f"an output of shape {tuple(shape)} is not made of tokens")
        return found
    return Layout(layout)


def picture_size(inputs: object) -> tuple[int, int] | None:
    """(height, width) of the pictures that a network is given; None where it is given none.

    >>> import torch
    >>> picture_size((torch.zeros(1, 3, 12, 20), 0.5))
    (12, 20)
    """
    first = inputs[0] if isinstance(inputs, tuple) and inputs else inputs
    if not isinstance(first, Tensor) or first.ndim != 4:
        return None
    return (first.shape[2], first.shape[3])
