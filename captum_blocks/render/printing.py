"""The scene that paper shows: the photograph chosen by default, and no other."""

from __future__ import annotations

from dataclasses import replace

from captum_blocks.scene import Below, Beside, Cells, Layout, Panel, Scene, Section

Extent = tuple[float, float, float, float]


def printed(scene: Scene) -> Scene:
    """The scene with one photograph, that of the default state.

    The grids of a scene are given on its first photograph. On another one they lie on the same
    part of what the network saw of it.

    >>> from captum_blocks.scene import Scene
    >>> printed(Scene("Why?", "Because.", None, ())).photos
    ()
    """
    if scene.pictured is None or scene.photo is None:
        return scene
    photo = scene.photos[scene.selection(scene.pictured).default]
    ends = (scene.photo.seen, photo.seen)
    return replace(
        scene,
        photo=photo,
        others=(),
        pictured=None,
        chapters=tuple(replace(each, body=_moved(each.body, *ends)) for each in scene.chapters),
        selections=tuple(replace(s, extent=moved(s.extent, *ends)) for s in scene.selections),
    )


def moved(extent: Extent, before: Extent, after: Extent) -> Extent:
    """The part of the extent ``after`` that ``extent`` is of ``before``.

    >>> moved((0.0, 0.25, 1.0, 0.75), (0.0, 0.25, 1.0, 0.75), (0.0, 0.0, 1.0, 1.0))
    (0.0, 0.0, 1.0, 1.0)
    """
    if before == after:
        return extent
    edges = (_edge(extent[i], before[i % 2 :: 2], after[i % 2 :: 2]) for i in range(4))
    top, left, bottom, right = edges
    return top, left, bottom, right


def _edge(edge: float, before: tuple[float, ...], after: tuple[float, ...]) -> float:
    share = (edge - before[0]) / (before[1] - before[0])
    return after[0] + share * (after[1] - after[0])


def _moved(layout: Layout, before: Extent, after: Extent) -> Layout:
    if isinstance(layout, Cells):
        return replace(layout, extent=moved(layout.extent, before, after))
    if isinstance(layout, Panel):
        return layout
    if isinstance(layout, Section):
        return replace(layout, body=_moved(layout.body, before, after))
    parts = tuple(_moved(part, before, after) for part in layout.parts)
    return Below(parts) if isinstance(layout, Below) else Beside(parts)
