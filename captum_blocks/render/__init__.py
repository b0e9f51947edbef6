"""Renderers: each draws the same ``Scene`` and knows nothing of networks or tensors."""
