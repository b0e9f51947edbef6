"""Model families of timm, small: every way in which a network may keep its places."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import nn

SHALLOW = {"depths": (1, 1, 1, 1)}
# name: size of the picture, what else it is built with.
FAMILIES: dict[str, tuple[int, dict[str, Any]]] = {
    "resnet18": (96, {}),
    "convnext_atto": (128, {}),
    "vit_tiny_patch16_224": (96, {"img_size": 96, "depth": 4}),
    "eva02_tiny_patch14_224": (112, {"img_size": 112, "depth": 4}),
    "vit_small_patch16_dinov3": (96, {"img_size": 96, "depth": 4}),
    "beit_base_patch16_224": (96, {"img_size": 96, "depth": 4}),
    "vit_pe_core_tiny_patch16_384": (96, {"img_size": 96, "depth": 4}),
    "deit_tiny_distilled_patch16_224": (96, {"img_size": 96, "depth": 4}),
    "xcit_nano_12_p16_224": (96, {"depth": 4}),
    "cait_xxs24_224": (96, {"img_size": 96, "depth": 4}),
    "convit_tiny": (96, {"img_size": 96, "depth": 6, "local_up_to_layer": 4}),
    "pit_ti_224": (224, {}),
    "twins_svt_small": (128, {**SHALLOW, "img_size": 128}),
    "mvitv2_tiny": (128, {"img_size": 128}),
    "pvt_v2_b0": (128, SHALLOW),
    "hieradet_small": (128, {"stages": (1, 1, 2, 1), "global_att_blocks": (3,)}),
    "focalnet_tiny_srf": (112, {}),
    "mixer_s32_224": (224, {}),
    "resmlp_12_224": (224, {}),
    "mambaout_femto": (128, {}),
    "fastvit_t8": (128, {}),
    "efficientformer_l1": (224, {}),
    "efficientformerv2_s0": (224, {}),
    "edgenext_xx_small": (224, {}),
    "botnet26t_256": (256, {}),
    "swin_tiny_patch4_window7_224": (112, {**SHALLOW, "img_size": 112}),
    "swinv2_tiny_window8_256": (128, {**SHALLOW, "img_size": 128}),
    "nest_tiny": (112, {"img_size": 112}),
    "hiera_tiny_224": (128, {"img_size": 128, "stages": (1, 1, 3, 1)}),
    "mobilevitv2_050": (128, {}),
    "mobilevit_xxs": (128, {}),
    "gcvit_xxtiny": (224, {}),
    "visformer_tiny": (224, {}),
    "levit_128s": (224, {}),
    "poolformer_s12": (128, {}),
    "mobilenetv3_small_050": (128, {}),
    "efficientvit_b0": (128, {}),
    "regnetx_002": (128, {}),
}


def family(name: str) -> tuple[nn.Module, int]:
    """The network in evaluation mode and the size of the picture it takes.

    Weights are random; those that start at nothing are drawn anew, as a branch that adds nothing
    shows nothing.
    """
    size, options = FAMILIES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = timm.create_model(name, pretrained=False, num_classes=5, **options).eval()
        for weights in module.parameters():
            first = weights.detach().flatten()[0]
            if bool((weights == first).all()) and abs(float(first)) < 0.01:
                nn.init.normal_(weights, std=0.1)
    return module, size
