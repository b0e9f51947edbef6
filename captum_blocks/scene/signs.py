"""How far what is shown is to be believed: a small mark, and the words behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from captum_blocks.errors import InvalidArgument

Level = Literal["clear", "doubtful", "refuted", "unknown"]


@dataclass(frozen=True)
class Sign:
    """How far an icon or a panel is to be believed.

    Attributes:
        level: "clear": nothing speaks against it, which is no proof; "doubtful"; "refuted";
            "unknown".
        name: the level in words, such as "no sign of forgery".
        words: what it is said by, or what is missing.

    Raises:
        InvalidArgument: there is no such level.

    >>> Sign("unknown", "unknown", "no photographs to compare it with").told
    'unknown: no photographs to compare it with'
    """

    level: Level
    name: str
    words: str

    def __post_init__(self) -> None:
        if self.level not in get_args(Level):
            raise InvalidArgument(f"a sign is one of {', '.join(get_args(Level))}: {self.level!r}")

    @property
    def told(self) -> str:
        """All of it in one line."""
        return f"{self.name}: {self.words}"
