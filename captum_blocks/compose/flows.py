"""The mark "sankey": what the atoms of one layer gave to those of the next, or to the answers."""

from __future__ import annotations

from dataclasses import replace

from captum_blocks.compose import sentences
from captum_blocks.compose.build import Drawing, mark, wants
from captum_blocks.compose.pools import Pools, image_of, only_image, place_name
from captum_blocks.compose.states import Frames
from captum_blocks.compose.values import Value
from captum_blocks.compose.wanted import Wanted
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Element, Substrate
from captum_blocks.scene import Flow, Flows, Mark, Panel, Sankey


def _axes(value: Value) -> tuple[str, str]:
    """The source and the target axis."""
    if value.target is None or len(value.source_axes) != 1 or len(value.target_axes) != 1:
        raise InvalidArgument(
            f"a sankey shows flows from the groups or channels of a layer to those of another or "
            f"to classes, e.g. Attribution(a.groups(6), b.groups(4)), not {value!r}"
        )
    return value.source_axes[0], value.target_axes[0]


@wants("sankey")
def _wanted(element: Element, frames: Frames, wanted: Wanted, pools: Pools) -> None:
    for frame, value in enumerate(frames.values):
        sources, targets = _axes(value)
        flows = only_image(value.data).abs()
        assert value.target is not None
        for substrate, axis, sizes in (
            (value.source, sources, flows.sum(0)),
            (value.target, targets, flows.sum(1)),
        ):
            for index, size in zip(value.coords[axis], sizes.tolist(), strict=True):
                request = pools.request(substrate, index)
                if request is not None and size > 0:
                    wanted.add(request, size, at_once=frame == frames.default)


@mark("sankey")
def _sankey(drawing: Drawing) -> Panel:
    value = drawing.base
    return Sankey(
        **drawing.words(),
        left_out=sentences.left_out(drawing.frames.values, drawing.coverage, icons=True),
        titles=(place_name(value.source), _end_name(value)),
        frames=tuple(_frame(each, drawing.pools) for each in drawing.frames.values),
    )


def _frame(value: Value, pools: Pools) -> Flows:
    sources, targets = _axes(value)
    assert value.target is not None
    sizes, received = only_image(value.data), only_image(value.total).tolist()
    given = sizes.sum(0).tolist()
    left = _column(value.source, value.coords[sources], given, value, pools)
    right = _column(value.target, value.coords[targets], received, value, pools)
    flows = tuple(
        _flow(source, target, float(sizes[target, source]), Flows(left, right), value.unit)
        for target in range(len(right))
        for source in range(len(left))
    )
    frame = Flows(left, right, flows)
    for name, held in value.remainder.items():
        frame = _with_remainder(frame, name, only_image(held).tolist(), value, pools)
    return frame


def _end_name(value: Value) -> str:
    assert value.target is not None
    name = place_name(value.target)
    return "answers" if name == "out" else name


def _column(
    substrate: Substrate, atoms: tuple[int, ...], sums: list[float], value: Value, pools: Pools
) -> tuple[Mark, ...]:
    return tuple(
        Mark(
            key=pools.key(substrate, atom),
            label=pools.label(substrate, atom),
            values=(total,),
            sprite=pools.sprite(pools.key(substrate, atom)),
            field=pools.activation_field(substrate, atom, image_of(value)),
            hue=atom if substrate.atom == "group" else None,
            detail=f"{pools.label(substrate, atom)}: {sentences.number(total)} {value.unit} in all",
        )
        for atom, total in zip(atoms, sums, strict=True)
    )


def _flow(source: int, target: int, size: float, frame: Flows, unit: str) -> Flow:
    given, received = frame.left[source].label, frame.right[target].label
    return Flow(source, target, size, f"{given} to {received}: {sentences.number(size)} {unit}")


def _with_remainder(
    frame: Flows, name: str, held: list[float], value: Value, pools: Pools
) -> Flows:
    """What no atom of the source explains is a source of its own."""
    label = sentences.remainder_label(value, name)
    key = f"{pools.key(value.source, 0).rsplit('/', 1)[0]}/{name}"
    extra = Mark(key, label, (sum(held),), role="remainder", detail=label)
    longer = replace(frame, left=(*frame.left, extra))
    flows = tuple(
        _flow(len(frame.left), target, size, longer, value.unit) for target, size in enumerate(held)
    )
    return replace(longer, flows=(*frame.flows, *flows))
