"""A picture of how a scene begins, for where no script runs and no widget is shown."""

from __future__ import annotations

import warnings
from dataclasses import replace
from io import BytesIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from captum_blocks.errors import WrongType
from captum_blocks.render import mpl
from captum_blocks.scene import Scene

# Dots an inch, and how much of a scene: what is read on one screen or two.
DPI, HIGHEST = 110, 12.0
# Dots in a column, at most: the drawing board ends at 65,536.
TALLEST = 30_000
# The most bytes of a picture that is carried by every page.
LARGEST = 150_000
# (size, quality) of attempts at that, the best first.
_ATTEMPTS = ((1.0, 80), (1.0, 50), (1.0, 20), (0.7, 40), (0.5, 30), (0.25, 20))


def webp(scene: Scene) -> bytes:
    """The beginning of a scene as a picture of at most 150 kB, for a page; nothing where a panel
    has no printed form.

    >>> from captum_blocks.scene import Scene
    >>> webp(Scene("Why?", "Because.", None, ()))[8:12]
    b'WEBP'
    """
    try:
        shown = _drawn(scene)
    except (WrongType, ValueError):  # a panel that paper cannot show; the page can
        return b""
    for share, quality in _ATTEMPTS:
        wide, high = (max(1, round(share * side)) for side in shown.size)
        made = _encoded(shown.resize((wide, high)), "WEBP", quality=quality, method=2)
        if len(made) <= LARGEST:
            return made
    return b""


def png(scene: Scene) -> bytes:
    """The same for a notebook.

    >>> from captum_blocks.scene import Scene
    >>> png(Scene("Why?", "Because.", None, ()))[1:4]
    b'PNG'
    """
    return _encoded(_drawn(scene).quantize(256), "PNG", optimize=True)


def _encoded(shown: Image.Image, kind: str, **options: object) -> bytes:
    held = BytesIO()
    shown.save(held, kind, **options)
    return held.getvalue()


def _drawn(scene: Scene) -> Image.Image:
    """Title, answer and the first chapters, as many as there is room for, and at least one."""
    with warnings.catch_warnings():
        # Letters that no font here has are boxes in this picture, and letters on the page.
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure = mpl.figure(replace(scene, footer=()), highest=HIGHEST)
        canvas = FigureCanvasAgg(figure)
        # One chapter alone may be of any length: drawn coarser then, and cut.
        figure.set_dpi(min(DPI, TALLEST / figure.get_figheight()))
        canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[: round(2 * HIGHEST * DPI), :, :3]
    return Image.fromarray(np.ascontiguousarray(pixels))
