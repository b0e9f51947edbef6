#!/usr/bin/env bash
# torch 2.14.1: Ctrl-C during `with torch.no_grad():` may leave gradients off for the rest of
# the session. The context is entered and left by several Python instructions, and a
# KeyboardInterrupt between two of them keeps what the last of them had set.
#
# Input: a loop of `with torch.no_grad(): ...`, interrupted by 600 real SIGINTs at random moments,
# each caught as a notebook or a shell catches it; after each one `torch.is_grad_enabled()`.
#
# Who is hurt: anyone who stops an evaluation in a notebook and goes on. The next training step
# fails with "element 0 of tensors does not require grad", or, where only some parts are
# differentiated, quietly learns nothing; attributions by gradients fail or are of nothing. The
# more often and the shorter a loop opens the context, the likelier it is.
#
# Seen (the count varies from run to run), and a training step right behind one of them:
#   11 of 600 interrupts left gradients off
#   element 0 of tensors does not require grad and does not have a grad_fn
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/env"
"$scratch/env/bin/pip" install --quiet torch==2.14.1 numpy==2.4.6
HOME="$scratch" "$scratch/env/bin/python" -W ignore - <<'PYTHON'
import os
import random
import signal
import threading

import torch

draw, layer, left_off, said = random.Random(0), torch.nn.Linear(3, 1), 0, ""
for _ in range(600):
    press = (os.getpid(), signal.SIGINT)
    timer = threading.Timer(draw.uniform(0, 0.004), os.kill, press)
    try:
        timer.start()
        while True:
            with torch.no_grad():
                torch.ones(3).sum()
    except KeyboardInterrupt:
        pass
    timer.join()
    if not torch.is_grad_enabled():
        left_off += 1
        try:
            layer(torch.ones(1, 3)).sum().backward()
        except RuntimeError as error:
            said = str(error)
        torch.set_grad_enabled(True)
print(f"{left_off} of 600 interrupts left gradients off")
print(said)
assert left_off > 0
assert "does not require grad" in said
PYTHON
