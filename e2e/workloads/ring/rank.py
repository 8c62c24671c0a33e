"""One rank of a training job in miniature: every step adds up a number of each rank.

It does what a real one does and needs nothing but Python: it finds the others by its
environment, agrees with them on every step, writes a checkpoint that is never torn, and on
SIGTERM lets all ranks save the same step and end with 75 (EX_TEMPFAIL).
"""

import json
import os
import signal
import socket
import sys
import threading
import time

directory, steps, pace = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
epoch = int(os.environ["CARAVAN_EPOCH"])
stop = [0]
signal.signal(signal.SIGTERM, lambda *_: stop.__setitem__(0, 1))
with open("pid", "w") as f:
    f.write(str(os.getpid()))


def note(kind, **what):
    """Append one line, in one write, to what the test reads."""
    line = json.dumps({"kind": kind, "rank": rank, "epoch": epoch, "ns": time.time_ns(), **what}) + "\n"
    fd = os.open(os.path.join(directory, "events"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, line.encode())
    os.close(fd)


def live():
    """Show that this process lives, also while it waits for others."""
    while True:
        note("alive")
        time.sleep(0.05)


note("start", env=dict(os.environ))
threading.Thread(target=live, daemon=True).start()


def meet():
    """Rank 0 gathers the others; each of them looks for rank 0."""
    at = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    if rank == 0:
        server = socket.create_server(at, reuse_port=False)
        peers = [server.accept()[0].makefile("rwb") for _ in range(world - 1)]
        return peers
    while True:
        try:
            return [socket.create_connection(at, timeout=30).makefile("rwb")]
        except OSError:
            time.sleep(0.02)


peers = meet()


def write(f, message):
    f.write(json.dumps(message).encode() + b"\n")
    f.flush()


def read(f):
    line = f.readline()
    if not line:
        note("peer-lost")
        sys.exit(1)
    m = json.loads(line)
    if m["epoch"] != epoch:
        note("foreign-epoch", other=m["epoch"])
        sys.exit(3)
    return m


def reduce(step, value):
    """The sum over all ranks, and whether any of them is to stop."""
    mine = {"epoch": epoch, "step": step, "value": value, "stop": stop[0]}
    if rank != 0:
        write(peers[0], mine)
        m = read(peers[0])
        return m["value"], m["stop"]
    all_of = [mine] + [read(p) for p in peers]
    if {m["step"] for m in all_of} != {step}:
        note("out-of-step")
        sys.exit(4)
    total = {"epoch": epoch, "step": step, "value": sum(m["value"] for m in all_of), "stop": max(m["stop"] for m in all_of)}
    for p in peers:
        write(p, total)
    return total["value"], total["stop"]


checkpoint = os.path.join(directory, "checkpoint")


def save(step, weight):
    if rank == 0:
        with open(checkpoint + ".tmp", "w") as f:
            json.dump({"step": step, "weight": weight}, f)
            f.flush()
            os.fsync(f.fileno())
        os.replace(checkpoint + ".tmp", checkpoint)
    reduce(step, 0)  # nobody goes on before it is there


start, weight = 0, 1
if os.path.exists(checkpoint):
    with open(checkpoint) as f:
        c = json.load(f)
    start, weight = c["step"], c["weight"]

for step in range(start, steps):
    total, stopping = reduce(step, (weight * (rank + 3) + step) % 1000003)
    weight = (weight * 31 + total) % 1000003
    if rank == 0:
        with open(os.path.join(directory, "loss"), "a") as f:
            f.write("%d %d\n" % (step, weight))
    note("step", step=step)
    if stopping or (step + 1) % 10 == 0:
        save(step + 1, weight)
    if stopping:
        note("saved", step=step)
        sys.exit(75)
    time.sleep(pace)
note("done", weight=weight)
