"""How much more two groups do together than each alone, as numbers of the grammar."""

from __future__ import annotations

from captum_blocks.compose.evaluation.contents import evaluate_content
from captum_blocks.compose.evaluation.looking import Looking
from captum_blocks.compose.evaluation.session import Session
from captum_blocks.compose.evaluation.subsets import table_of
from captum_blocks.compose.evaluation.values import Value, spans
from captum_blocks.errors import InvalidArgument
from captum_blocks.grammar import Interaction, Out


@evaluate_content.register
def _interaction(content: Interaction, session: Session) -> Value:
    source, look = content.source, session.of(content.source)
    if session.of(content.target) is not look:
        raise InvalidArgument(f"{content!r} goes from one network to another")
    table = table_of(source, look)
    index = _only_class(content, look)
    data = table.interactions(index)[:, :-1, :-1].float().cpu()
    groups, every = data.shape[1], len(look.directions(source))
    coords = spans(image=len(data), to_group=groups, group=groups)
    return Value(
        data,
        ("image", "to_group", "group"),
        {**coords, "to_group": table.groups, "group": table.groups},
        f"{look.unit} of “{look.net.label(index)}”",
        source,
        source,
        additive=False,
        said=(f"the {groups} strongest of {every} groups",) if groups < every else (),
    )


def _only_class(content: Interaction, look: Looking) -> int:
    """The class whose score it is about.

    Raises:
        InvalidArgument: there are several.
    """
    assert isinstance(content.target.layer, Out)
    classes = look.classes(content.target.layer)
    if len(classes) != 1:
        raise InvalidArgument(
            f"{content!r}: pairs of groups are looked at for one class, e.g. Out(207) or "
            f"Out(top=1), not for {len(classes)}"
        )
    return classes[0]
