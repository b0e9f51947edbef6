"""A page as an output of a notebook: in a frame, alone or standing in for a widget that is gone."""

from __future__ import annotations

from base64 import b64encode


def framed(page: str) -> str:
    """The page in a frame of its own, which neither styles nor scripts the notebook."""
    data = b64encode(page.encode()).decode("ascii")
    return (
        f'<iframe src="data:text/html;base64,{data}" style="width:100%;height:720px;border:0" '
        'sandbox="allow-scripts" loading="lazy" title="explanation"></iframe>'
    )


def standby(page: str, token: str) -> str:
    """The same, seen only where no widget of this token is alive.

    A notebook that is opened again has no widget, unless its state was saved. Its host then shows
    an error and no other form of the same output, so the page is an output of its own.
    """
    return (
        f'<style>body:has([data-blocks-widget="{token}"]) [data-blocks-standby="{token}"] '
        "{ display: none }</style>"
        f'<div data-blocks-standby="{token}"><p>The page as it was when the cell ran. Run the cell '
        f"again to have it answer to Python.</p>{framed(page)}</div>"
    )
