#!/usr/bin/env bash
# Captum 0.9.0 (torch 2.14.1): where one module that DeepLift has a rule for stands
# directly behind another, such as ReLU and then MaxPool, the rule of the second is lost
# on the way back, and the attributions do not add up to the change of the score.
#
# Input: max(relu(x)) of two numbers, from the baseline [0, 3] to [2, 1]. The score falls
# from 3 to 2, and by the max-pool rule the second number did it. DeepLift credits the
# first one with +2: wrong place, wrong sign. No warning is given; only the convergence
# delta, which has to be asked for, says 3.0. A module between the two that multiplies by
# 1 changes no score, and the answer becomes right.
#
# Who is hurt: anyone who explains a convolutional network, where ReLU before MaxPool is
# the usual order, and trusts that DeepLift's map adds up.
#
# Seen:
#   change of the score: -1.0
#   ReLU, MaxPool      : [2.0, -0.0] delta 3.0
#   ReLU, x * 1, MaxPool: [0.0, -1.0] delta 0.0
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet captum==0.9.0 torch==2.14.1 numpy==2.4.6
HOME="$scratch" "$scratch/env/bin/python" -W ignore - <<'PYTHON'
import torch
from captum.attr import DeepLift
from torch import nn


class TimesOne(nn.Module):
    def forward(self, x):
        return x * 1


def explained(*between):
    net = nn.Sequential(nn.ReLU(), *between, nn.MaxPool1d(2), nn.Flatten())
    change = (net(x) - net(baseline)).item()
    parts, delta = DeepLift(net).attribute(x, baseline, target=0, return_convergence_delta=True)
    return change, parts.flatten().tolist(), delta.item()


x, baseline = torch.tensor([[[2.0, 1.0]]]), torch.tensor([[[0.0, 3.0]]])
change, together, delta_together = explained()
_, apart, delta_apart = explained(TimesOne())
print("change of the score:", change)
print("ReLU, MaxPool      :", together, "delta", delta_together)
print("ReLU, x * 1, MaxPool:", apart, "delta", delta_apart)
assert change == -1
assert together == [2, 0] and delta_together == 3
assert apart == [0, -1] and delta_apart == 0
PYTHON
