"""Trains a small model of text with PyTorch's DistributedDataParallel over gloo.

One rank; it finds the others by its environment. The batch is a function of (step, rank) and
everything is deterministic, so that a run that was killed and goes on from its checkpoint
logs what an undisturbed one logs, bit for bit. SIGTERM makes all ranks save the same step and
end with 75 (EX_TEMPFAIL).
"""

import argparse
import hashlib
import io
import json
import os
import signal
import sys
import threading
import time

import torch
import torch.distributed as dist
import torch.nn as nn
from torch.nn.parallel import DistributedDataParallel

p = argparse.ArgumentParser()
p.add_argument("--text", default="/usr/share/common-licenses/GPL-3")
p.add_argument("--dir", required=True, help="where checkpoint, log and events are kept")
p.add_argument("--steps", type=int, default=80)
p.add_argument("--every", type=int, default=10, help="steps between checkpoints")
p.add_argument("--lr", type=float, default=3e-3)
p.add_argument("--slow-save", type=float, default=0, help="seconds to pause in the middle of each checkpoint")
a = p.parse_args()
rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
epoch = int(os.environ["CARAVAN_EPOCH"])
with open("pid", "w") as f:
    f.write(str(os.getpid()))


def note(kind, **what):
    line = json.dumps({"kind": kind, "rank": rank, "epoch": epoch, "ns": time.time_ns(), **what}) + "\n"
    fd = os.open(os.path.join(a.dir, "events"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, line.encode())
    os.close(fd)


def live():
    while True:
        note("alive")
        time.sleep(0.05)


note("start", env=dict(os.environ))
threading.Thread(target=live, daemon=True).start()
stop = [0]
signal.signal(signal.SIGTERM, lambda *_: stop.__setitem__(0, 1))

torch.set_num_threads(1)
torch.manual_seed(0)
torch.use_deterministic_algorithms(True)
if world > 1:
    dist.init_process_group("gloo")
raw = open(a.text, "rb").read()
alphabet = sorted(set(raw))
place = {c: i for i, c in enumerate(alphabet)}
data = torch.tensor([place[c] for c in raw])
T = B = 32


class Model(nn.Module):
    def __init__(self, n=32):
        super().__init__()
        self.e = nn.Embedding(len(alphabet), n)
        self.r = nn.GRU(n, n, batch_first=True)
        self.o = nn.Linear(n, len(alphabet))

    def forward(self, x):
        return self.o(self.r(self.e(x))[0])


core = Model()
model = DistributedDataParallel(core) if world > 1 else core
opt = torch.optim.Adam(model.parameters(), lr=a.lr)
criterion = nn.CrossEntropyLoss()
checkpoint = os.path.join(a.dir, "checkpoint")
start = 0
if os.path.exists(checkpoint):
    c = torch.load(checkpoint)
    core.load_state_dict(c["model"])
    opt.load_state_dict(c["opt"])
    start = c["step"]
    note("resumed", step=start)


def everywhere(tensor, op=dist.ReduceOp.SUM):
    if world > 1:
        dist.all_reduce(tensor, op=op)
    return tensor


def save(step):
    """Atomic: a temporary file, synced, renamed."""
    if rank != 0:
        return
    b = io.BytesIO()
    torch.save({"model": core.state_dict(), "opt": opt.state_dict(), "step": step}, b)
    half = len(b.getvalue()) // 2
    with open(checkpoint + ".tmp", "wb") as f:
        f.write(b.getvalue()[:half])
        f.flush()
        time.sleep(a.slow_save)
        f.write(b.getvalue()[half:])
        f.flush()
        os.fsync(f.fileno())
    os.replace(checkpoint + ".tmp", checkpoint)


log = open(os.path.join(a.dir, "loss"), "a", buffering=1) if rank == 0 else None
for step in range(start, a.steps):
    g = torch.Generator().manual_seed(1000003 * step + rank)
    i = torch.randint(0, len(data) - T - 1, (B,), generator=g)
    x = torch.stack([data[j : j + T] for j in i])
    y = torch.stack([data[j + 1 : j + T + 1] for j in i])
    loss = criterion(model(x).flatten(0, 1), y.flatten())
    opt.zero_grad()
    loss.backward()
    opt.step()
    mean = everywhere(loss.detach().clone()) / world
    if log:
        log.write("%d %.6f %s\n" % (step, mean.item(), mean.numpy().tobytes().hex()))
    note("step", step=step)
    stopping = everywhere(torch.tensor([stop[0]]), dist.ReduceOp.MAX).item()
    if stopping or (step + 1) % a.every == 0:
        save(step + 1)
    if stopping:
        note("saved", step=step)
        sys.exit(75)
digest = hashlib.sha256(b"".join(q.detach().numpy().tobytes() for q in core.parameters())).hexdigest()
note("done", weights=digest, loss=mean.item(), lr=a.lr)
if world > 1:
    dist.barrier()
    dist.destroy_process_group()
