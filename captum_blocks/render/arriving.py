"""Icons that are finished while the page is read: each as a message of its own."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Collection
from typing import Any

from captum_blocks.render.payload import pack_words
from captum_blocks.render.pictures import sprite_bytes
from captum_blocks.scene import Scene

Message = dict[str, Any]


def arrivals(scene: Scene, known: Collection[str]) -> list[tuple[Message, bytes]]:
    """Drawn icons that a page does not have yet.

    Args:
        scene: as far as it is drawn.
        known: names of the icons that the page has.

    Returns:
        Of each what the page's script is told of it, and the picture as a file.

    >>> import numpy as np
    >>> from captum_blocks.scene import Scene, Sprite
    >>> icon = Sprite(np.zeros((8, 8, 3), np.uint8), "bn2 : 7")
    >>> scene = Scene("Why?", "", None, (), sprites={"a": icon, "b": Sprite.blank(8, "bn2 : 9")})
    >>> [told["name"] for told, picture in arrivals(scene, ())], arrivals(scene, {"a"})
    (['a'], [])
    """
    fresh = [(name, one) for name, one in scene.sprites.items() if one.drawn and name not in known]
    made = []
    for name, sprite in fresh:
        height, width = sprite.pixels.shape[:2]
        told = {"name": name, "words": pack_words(sprite), "width": width, "height": height}
        made.append((told, sprite_bytes(sprite)))
    return made


def as_text(told: Message, picture: bytes) -> Message:
    """A message whose picture is text, for channels that carry no bytes."""
    return {**told, "picture": b64encode(picture).decode("ascii")}
