#!/usr/bin/env bash
# Captum 0.9.0 (torch 2.14.1): when LRP refuses a network since a module has no rule, it
# leaves marks on the modules before that one. Doing what the message asks for, setting a
# rule on that module, then does not help: the next call dies of an AttributeError about
# None, raised at a ReLU that nobody touched.
#
# Input: Linear, ReLU, Linear, Softplus, Linear. The same rule on the same kind of network
# works if it is set before the first call, and also after `del` of the left-over `rule`
# of the ReLU.
#
# Who is hurt: anyone who works in a notebook and follows the error message: the model
# seems to be beyond LRP until it is built anew.
#
# Seen:
#   1 no rule yet      TypeError
#   2 rule set as told AttributeError: 'NoneType' object has no attribute 'relevance_input'
#   3 ReLU cleaned     works
#   4 rule from start  works
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet captum==0.9.0 torch==2.14.1 numpy==2.4.6
HOME="$scratch" "$scratch/env/bin/python" -W ignore - <<'PYTHON'
import torch
from captum.attr import LRP
from captum.attr._utils.lrp_rules import IdentityRule
from torch import nn


def build():
    torch.manual_seed(0)
    layers = [nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Softplus(), nn.Linear(4, 2)]
    return nn.Sequential(*layers).eval()


def outcome(net):
    try:
        LRP(net).attribute(torch.ones(1, 4), target=0)
    except Exception as error:
        return error
    return "works"


net = build()
refusal = outcome(net)
print("1 no rule yet     ", type(refusal).__name__)
net[3].rule = IdentityRule()
second = outcome(net)
print("2 rule set as told", f"{type(second).__name__}: {second}")
del net[1].rule
third = outcome(net)
print("3 ReLU cleaned    ", third)
fresh = build()
fresh[3].rule = IdentityRule()
fourth = outcome(fresh)
print("4 rule from start ", fourth)
assert isinstance(refusal, TypeError) and "rule" in str(refusal)
assert isinstance(second, AttributeError) and "NoneType" in str(second)
assert third == fourth == "works"
PYTHON
