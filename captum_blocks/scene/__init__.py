"""What is drawn: panels, sprites, fields and selections, and nothing of how.

``compose`` makes a scene, every renderer draws it. It is frozen NumPy and plain Python. Two pools
hold what many marks share and name: ``sprites`` (icons) and ``fields`` (numbers on a grid over the
photograph, shown there when a mark is pointed at).
"""

from captum_blocks.scene.galleries import Band, Crop, Gallery
from captum_blocks.scene.page import (
    LARGEST_PAGE,
    Below,
    Beside,
    Chapter,
    Layout,
    Scene,
    Section,
    first_frame,
    panels_of,
)
from captum_blocks.scene.panels import (
    Bars,
    Cell,
    Cells,
    Flow,
    Flows,
    Framed,
    Histogram,
    Lent,
    Mark,
    Matrix,
    Multiples,
    Overlay,
    Panel,
    Role,
    Sankey,
    marks_in,
    marks_of,
)
from captum_blocks.scene.pools import Field, Pairs, Photo, Sprite
from captum_blocks.scene.selections import Gesture, Selection
from captum_blocks.scene.signs import Sign
from captum_blocks.scene.switched import Switched
from captum_blocks.scene.versus import Contest, Versus

__all__ = [
    "LARGEST_PAGE",
    "Band",
    "Bars",
    "Below",
    "Beside",
    "Cell",
    "Cells",
    "Chapter",
    "Contest",
    "Crop",
    "Field",
    "Flow",
    "Flows",
    "Framed",
    "Gallery",
    "Gesture",
    "Histogram",
    "Layout",
    "Lent",
    "Mark",
    "Matrix",
    "Multiples",
    "Overlay",
    "Pairs",
    "Panel",
    "Photo",
    "Role",
    "Sankey",
    "Scene",
    "Section",
    "Selection",
    "Sign",
    "Sprite",
    "Switched",
    "Versus",
    "first_frame",
    "marks_in",
    "marks_of",
    "panels_of",
]
