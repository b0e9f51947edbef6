"""Looking into a module while it runs, and leaving no trace.

The only room in the package that registers hooks. Everything is a context manager, so hooks are
gone after success, an error and Ctrl-C alike; and a thread has the modules it looks at to itself.
"""

from captum_blocks.hooks.claims import alone, own_weights_change
from captum_blocks.hooks.finding import find_layer
from captum_blocks.hooks.modes import evaluation_mode, module_of, on_copies, running
from captum_blocks.hooks.structures import (
    described,
    element,
    exchanged,
    first_tensor,
    rows_of,
    tensors_in,
    together,
)
from captum_blocks.hooks.watching import (
    called,
    capture,
    count_calls,
    noted,
    replace,
    returned,
    run_until,
    tapped,
)

__all__ = [
    "alone",
    "called",
    "capture",
    "count_calls",
    "described",
    "element",
    "evaluation_mode",
    "exchanged",
    "find_layer",
    "first_tensor",
    "module_of",
    "noted",
    "on_copies",
    "own_weights_change",
    "replace",
    "returned",
    "rows_of",
    "run_until",
    "running",
    "tapped",
    "tensors_in",
    "together",
]
