"""Measures PenguiFlow the way `floe bench runtime` measures Floe.

`measure.py` measures everything, each in a process of its own, and prints one JSON object: the name of each measurement with its
figure (microseconds, or bytes), or with what went wrong. `measure.py NAME` measures one and prints its figure.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from penguiflow import Headers, Message, Node, NodePolicy, PenguiFlow, StreamChunk, create, join_k

HOPS = 10
FAN = 100
# As the payload of `floe bench`.
PAYLOAD = {
    "year": 1790,
    "name": "George Washington",
    "text": "Fellow-Citizens of the Senate and House of Representatives",
}
# Seconds for one measurement. Each takes a few; one that takes this long does not end.
PATIENCE = 60
# Seconds from a cancel after which a node counts as not stopped.
STOPPED_WITHIN = 3


def message(payload: object = PAYLOAD) -> Message:
    """A request of its own: the library makes its trace id."""
    return Message(payload=payload, headers=Headers(tenant="bench"))


def node(name: str, function: Callable[..., Awaitable[object]]) -> Node:
    """A node that checks nothing, as Floe's native ones have no schemas."""
    return Node(function, name=name, policy=NodePolicy(validate="none"))


async def identity(incoming: Message, _context: object) -> Message:
    return incoming


def chain(hops: int = HOPS, **options: object) -> PenguiFlow:
    nodes = [node(f"hop-{hop}", identity) for hop in range(hops)]
    edges = [here.to(following) for here, following in zip(nodes, nodes[1:])]
    return create(*edges, nodes[-1].to(), **options)


async def through(flow: PenguiFlow, requests: int, in_flight: int) -> float:
    """Sends requests and fetches as many results; returns the seconds of all."""
    waiting = 0
    started = time.perf_counter()
    for _ in range(requests):
        if waiting == in_flight:
            await flow.fetch()
            waiting -= 1
        await flow.emit(message())
        waiting += 1
    for _ in range(waiting):
        await flow.fetch()
    return time.perf_counter() - started


async def request(flow: PenguiFlow, requests: int) -> float:
    """Microseconds of a request, with one in flight, after some to get warm."""
    flow.run()
    await through(flow, max(requests // 10, 1), 1)
    took = await through(flow, requests, 1)
    await flow.stop()
    return took / requests * 1e6


async def hop(in_flight: int) -> float:
    requests = 1000
    flow = chain()
    flow.run()
    await through(flow, 100, in_flight)
    took = await through(flow, requests, in_flight)
    await flow.stop()
    return took / (requests * HOPS) * 1e6


async def chunk(nodes: int) -> float:
    """Microseconds of a piece, from the node that sends it, through the others, to whoever fetches."""
    pieces = 20_000

    async def stream(incoming: Message, context: object) -> None:
        for number in range(1, pieces + 1):
            await context.emit_chunk(parent=incoming, text="token", done=number == pieces)

    line = [node("stream", stream), *(node(f"next-{number}", identity) for number in range(1, nodes))]
    edges = [here.to(following) for here, following in zip(line, line[1:])]
    flow = create(*edges, line[-1].to())
    flow.run()
    started = time.perf_counter()
    await flow.emit(message())
    came = 0
    while True:
        result = await flow.fetch()
        assert isinstance(result.payload, StreamChunk), result
        came += 1
        if result.payload.done:
            break
    took = time.perf_counter() - started
    assert came == pieces, came
    await flow.stop()
    return took / pieces * 1e6


async def playbook() -> float:
    """Microseconds of a call of a playbook beyond the hops of its nodes."""

    async def call(incoming: Message, context: object) -> object:
        return await context.call_playbook(lambda: (chain(), None), incoming)

    outer = create(node("call", call).to())
    return await request(outer, 500) - await request(chain(), 500)


async def fan() -> float:
    """Microseconds of a request that becomes many messages, which a node handles and a join gathers."""

    async def split(incoming: Message, context: object) -> None:
        for _ in range(FAN):
            await context.emit(incoming.model_copy())

    first, work, gather = node("split", split), node("work", identity), join_k("gather", FAN)
    return await request(create(first.to(work), work.to(gather), gather.to()), 50)


async def cancel() -> float:
    """Microseconds from the cancel of a trace to the end of its node, which waits; the median of many."""
    ends: list[float] = []

    async def wait(_incoming: Message, _context: object) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ends.append(time.perf_counter())

    flow = create(node("wait", wait).to())
    flow.run()
    times = []
    for number in range(200):
        sent = message()
        await flow.emit(sent)
        await asyncio.sleep(0.002)
        started = time.perf_counter()
        assert await flow.cancel(sent.trace_id)
        while len(ends) == number:
            await asyncio.sleep(0)
        times.append(ends[-1] - started)
    await flow.stop()
    return sorted(times)[len(times) // 2] * 1e6


async def cancel_computing() -> float:
    """As `cancel`, of a node that computes. Whoever waits for this process ends it."""
    stopped = asyncio.Event()

    async def spin(_incoming: Message, _context: object) -> None:
        try:
            while True:
                pass
        finally:
            stopped.set()

    flow = create(node("spin", spin).to())
    flow.run()
    sent = message()
    await flow.emit(sent)
    await asyncio.sleep(0.002)
    started = time.perf_counter()
    await flow.cancel(sent.trace_id)
    await stopped.wait()
    return (time.perf_counter() - started) * 1e6


def resident() -> int:
    """Resident bytes of this process, as Linux tells them."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def idle_flow() -> float:
    """Bytes for a flow of ten nodes that runs."""
    count = 1000
    before = resident()
    flows = [chain() for _ in range(count)]
    for flow in flows:
        flow.run()
    await asyncio.sleep(0)
    return (resident() - before) / count


async def busy_flow() -> float:
    """Bytes for a flow of ten nodes whose first one computes."""
    count = 1000

    async def wait(_incoming: Message, _context: object) -> None:
        await asyncio.sleep(3600)

    before = resident()
    flows = []
    for _ in range(count):
        nodes = [node(f"hop-{hop}", wait) for hop in range(HOPS)]
        edges = [here.to(following) for here, following in zip(nodes, nodes[1:])]
        flow = create(*edges, nodes[-1].to())
        flow.run()
        await flow.emit(message(1))
        flows.append(flow)
    await asyncio.sleep(0.1)
    return (resident() - before) / count


async def queued_message() -> float:
    """Bytes for a message of 1 KiB that waits at a node, a request of its own."""
    count = 20_000

    async def wait(_incoming: Message, _context: object) -> None:
        await asyncio.sleep(3600)

    first, following = node("busy", wait), node("next", identity)
    # Without a bound; with one, whoever sends would wait.
    flow = create(first.to(following), following.to(), queue_maxsize=0)
    flow.run()
    before = resident()
    for number in range(count):
        # Each its own text, as it would come from an input.
        await flow.emit(message(f"{number:01022}"))
    return (resident() - before) / count


MEASUREMENTS: dict[str, Callable[[], Awaitable[float]]] = {
    "hop, 1 in flight": lambda: hop(1),
    "hop, 8 in flight": lambda: hop(8),
    "hop, 256 in flight": lambda: hop(256),
    "chunk, one node": lambda: chunk(1),
    "chunk, two nodes": lambda: chunk(2),
    "playbook call": playbook,
    "fan-out and join": fan,
    "cancel, waiting": cancel,
    "cancel, computing": cancel_computing,
    "idle flow": idle_flow,
    "busy flow": busy_flow,
    "queued message": queued_message,
}


def measure(name: str) -> dict[str, object]:
    """One measurement, in a process of its own."""
    patience = STOPPED_WITHIN if name == "cancel, computing" else PATIENCE
    try:
        done = subprocess.run(
            [sys.executable, __file__, name], capture_output=True, text=True, timeout=patience, check=False
        )
    except subprocess.TimeoutExpired:
        return {"failed": f"does not end within {patience} s"}
    if done.returncode != 0:
        return {"failed": (done.stderr.strip().splitlines() or ["no word of why"])[-1]}
    return {"value": float(done.stdout)}


def main() -> None:
    if len(sys.argv) == 2:
        print(asyncio.run(MEASUREMENTS[sys.argv[1]]()))
    else:
        print(json.dumps({name: measure(name) for name in MEASUREMENTS}, indent=2))


if __name__ == "__main__":
    main()
