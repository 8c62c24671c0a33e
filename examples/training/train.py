"""Train a small model of text on as many ranks as there are, with checkpoints that are never torn."""
import argparse
import os
import signal
import sys

import torch
import torch.distributed as dist
from torch import nn

p = argparse.ArgumentParser()
p.add_argument("--text", required=True)
p.add_argument("--checkpoint", required=True)
p.add_argument("--steps", type=int, default=100)
a = p.parse_args()
stop = torch.zeros(1)
signal.signal(signal.SIGTERM, lambda *_: stop.fill_(1))
torch.manual_seed(0)
torch.set_num_threads(1)
dist.init_process_group("gloo")  # RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT are in the environment
rank = dist.get_rank()
text = torch.tensor(list(open(a.text, "rb").read()))
model = nn.parallel.DistributedDataParallel(nn.Sequential(nn.Embedding(256, 32), nn.Flatten(), nn.Linear(32 * 8, 256)))
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
first = 0
if os.path.exists(a.checkpoint):
    saved = torch.load(a.checkpoint)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    first = saved["step"]


def save(step):
    if rank == 0:
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step}, a.checkpoint + ".tmp")
        os.replace(a.checkpoint + ".tmp", a.checkpoint)


for step in range(first, a.steps):
    draw = torch.Generator().manual_seed(step * 1000 + rank)
    at = torch.randint(0, len(text) - 9, (64,), generator=draw)
    loss = nn.functional.cross_entropy(model(torch.stack([text[i : i + 8] for i in at])), text[at + 8])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    stopping = stop.clone()
    dist.all_reduce(stopping)  # all ranks stop at the same step, or none
    if stopping.item() or (step + 1) % 20 == 0:
        save(step + 1)
        if rank == 0:
            print(f"step {step + 1}: loss {loss.item():.3f}")
    if stopping.item():
        sys.exit(75)  # saved: run me again
