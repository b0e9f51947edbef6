#!/usr/bin/env bash
# Captum 0.9.0, timm 1.0.31 (torch 2.14.1): LayerGradCam takes axis 1 of a layer's answer
# for the channels, whatever the layer is. A stage of a Swin transformer answers
# (picture, y, x, channel), so the gradients are averaged over x and channels and what
# comes out is a "map" of places by channels. Nothing is refused, and `interpolate` makes a
# picture of 224 x 224 of it that looks like any other.
#
# Input: timm's swin_tiny_patch4_window7_224 (weights drawn from a seed), its last stage of
# 7 x 7 places and 768 channels. A module behind the stage that moves the channels in front
# gives the map of 7 x 7 that was meant.
#
# Who is hurt: anyone who lays that picture over a photograph: its horizontal axis is the
# number of the channel.
#
# Seen:
#   layer answers     (1, 7, 7, 768)
#   map               (1, 1, 7, 768)
#   interpolated      (1, 1, 224, 224)
#   channels in front (1, 1, 7, 7)
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet captum==0.9.0 timm==1.0.31 torch==2.14.1 torchvision==0.29.1 numpy==2.4.6
HOME="$scratch" "$scratch/env/bin/python" -W ignore - <<'PYTHON'
import timm
import torch
from captum.attr import LayerAttribution, LayerGradCam
from torch import nn


class ChannelsInFront(nn.Module):
    def forward(self, x):
        return x.permute(0, 3, 1, 2)


class ChannelsBehind(nn.Module):
    def forward(self, x):
        return x.permute(0, 2, 3, 1)


torch.manual_seed(0)
net = timm.create_model("swin_tiny_patch4_window7_224").eval()
picture, answers = torch.rand(1, 3, 224, 224), []
last = net.layers[-1]
hook = last.register_forward_hook(lambda module, given, answer: answers.append(answer))
net(picture)
hook.remove()
seen = LayerGradCam(net, last).attribute(picture, target=0)
large = LayerAttribution.interpolate(seen, (224, 224))
front = ChannelsInFront()
net.layers.append(front).append(ChannelsBehind())
meant = LayerGradCam(net, front).attribute(picture, target=0)
print("layer answers    ", tuple(answers[0].shape))
print("map              ", tuple(seen.shape))
print("interpolated     ", tuple(large.shape))
print("channels in front", tuple(meant.shape))
assert answers[0].shape == (1, 7, 7, 768)
assert seen.shape == (1, 1, 7, 768) and large.shape == (1, 1, 224, 224)
assert meant.shape == (1, 1, 7, 7)
PYTHON
