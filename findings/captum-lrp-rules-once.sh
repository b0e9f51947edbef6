#!/usr/bin/env bash
# Captum 0.9.0 (torch 2.14.1): LRP deletes the rules that the caller put on the modules.
# The first call uses them; a second, identical call of the same object silently uses the
# default rule and gives other numbers.
#
# Input: one linear layer with weights [2, -1], x = [1, 1], and the rule Alpha1_Beta0,
# which counts positive contributions only. LRP and LayerLRP both do it.
#
# Who is hurt: anyone who explains more than one picture in a loop: the first map is by
# the chosen rules, all others are not, and nothing says so.
#
# Seen:
#   LRP      first [1.0, 0.0] second [2.0, -1.0] rule left: False
#   LayerLRP first [1.0, 0.0] second [2.0, -1.0] rule left: False
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet captum==0.9.0 torch==2.14.1 numpy==2.4.6
HOME="$scratch" "$scratch/env/bin/python" -W ignore - <<'PYTHON'
import torch
from captum.attr import LRP, LayerLRP
from captum.attr._utils.lrp_rules import Alpha1_Beta0_Rule
from torch import nn

linear = nn.Linear(2, 1, bias=False)
linear.weight.data = torch.tensor([[2.0, -1.0]])
net, x = nn.Sequential(linear).eval(), torch.ones(1, 2)
methods = {
    "LRP     ": (LRP(net), {}),
    "LayerLRP": (LayerLRP(net, linear), {"attribute_to_layer_input": True}),
}
for name, (method, options) in methods.items():
    linear.rule = Alpha1_Beta0_Rule()
    calls = [method.attribute(x, target=0, **options).flatten().tolist() for _ in range(2)]
    print(name, "first", calls[0], "second", calls[1], "rule left:", hasattr(linear, "rule"))
    assert calls == [[1, 0], [2, -1]]
    assert not hasattr(linear, "rule")
PYTHON
