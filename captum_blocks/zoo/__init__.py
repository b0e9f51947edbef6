"""Networks by name: ``demo``, ``torchvision:NAME``, ``timm:NAME``, and families of one's own."""

from captum_blocks.zoo.demo import demo_photo, imagenet_labels
from captum_blocks.zoo.families import load_network

__all__ = ["demo_photo", "imagenet_labels", "load_network"]
