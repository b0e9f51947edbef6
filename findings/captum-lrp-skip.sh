#!/usr/bin/env bash
# Captum 0.9.0 (torch 2.14.1): LRP runs without a word on a network with a skip
# connection, and its relevances are then not a division of the score.
#
# Input: one number x through relu(x), and 2 * relu(x) + relu(x) after it, without biases.
# There is one input, so all of the score is due to it: relevance and score must be equal.
# Without the skip they are. With it LRP gives 6 for a score of 3, 18 for 6 and 60 for 12:
# not even a fixed factor, since what comes back over the skip is multiplied by the
# activation a second time. An untrained torchvision ResNet-18 is taken as well, since all
# its modules have rules: the relevances of a score of 0.2 sum up to more than a million
# times that, while those of an untrained VGG-11, which has no skips, sum up to its score.
#
# Who is hurt: anyone who runs LRP on a ResNet and takes the map for an LRP map.
#
# Seen (x, score, relevance):
#   chain [(1.0, 2.0, 2.0), (2.0, 4.0, 4.0), (4.0, 8.0, 8.0)]
#   skip  [(1.0, 3.0, 6.0), (2.0, 6.0, 18.0), (4.0, 12.0, 60.0)]
#   vgg11_bn score 0.020, relevances sum to 0.0204
#   resnet18 score 0.208, relevances sum to 1.15e+10
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet captum==0.9.0 torch==2.14.1 numpy==2.4.6 torchvision==0.29.1
HOME="$scratch" "$scratch/env/bin/python" -W ignore - <<'PYTHON'
import torch
from captum.attr import LRP
from torch import nn
from torchvision.models import resnet18, vgg11_bn


def weight(value):
    linear = nn.Linear(1, 1, bias=False)
    nn.init.constant_(linear.weight, value)
    return linear


class Net(nn.Module):
    def __init__(self, skip):
        super().__init__()
        self.first, self.relu, self.second, self.skip = weight(1.0), nn.ReLU(), weight(2.0), skip

    def forward(self, x):
        hidden = self.relu(self.first(x))
        return self.second(hidden) + hidden if self.skip else self.second(hidden)


def rows(skip):
    net = Net(skip).eval()
    inputs = [torch.tensor([[value]]) for value in (1.0, 2.0, 4.0)]
    relevances = [LRP(net).attribute(x, target=0).item() for x in inputs]
    return [(x.item(), net(x).item(), round(r, 4)) for x, r in zip(inputs, relevances)]


chain, skip = rows(False), rows(True)
print("chain", chain)
print("skip ", skip)
sums = {}
for build in (vgg11_bn, resnet18):
    torch.manual_seed(0)
    net, picture = build().eval(), torch.rand(1, 3, 64, 64)
    score, total = net(picture)[0, 0].item(), LRP(net).attribute(picture, target=0).sum().item()
    print(f"{build.__name__:8} score {score:.3f}, relevances sum to {total:.3g}")
    sums[build] = total / score
assert all(score == relevance for _, score, relevance in chain)
assert [relevance for _, _, relevance in skip] == [6, 18, 60]
assert abs(sums[vgg11_bn] - 1) < 1e-3 and abs(sums[resnet18]) > 1e6
PYTHON
