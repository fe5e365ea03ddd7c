"""One contender in a process of its own, told over a pipe what to do: `python -m
netdsl.bench.worker`.

Every line of stdin is a request in JSON, every line of stdout its answer; what the libraries print
goes to stderr. The first request makes the contender and calls it once; each `round` after it calls
it for some time.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from netdsl.bench.contenders import Call, find
from netdsl.bench.job import Job, Variant
from netdsl.memory import keep_freed_memory

SAMPLE = 64  # numbers of a result, to compare the contenders by


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    call: Call = lambda: None  # noqa: E731
    job = Job("")
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "make" in request:
                job = Job(**request["job"])
                call, answer = made(request["make"], job, Variant(**request["variant"]))
            else:
                answer = timed(call, job.seconds)
        except Exception as error:
            answer = {"failed": said(error)}
        print(json.dumps(answer), file=answers, flush=True)


def made(name: str, job: Job, variant: Variant) -> tuple[Call, dict[str, Any]]:
    """A contender's call, and what it took to start and to call it once."""
    if variant.mallopt:
        keep_freed_memory()
    contender = find(name)
    for package in contender.packages:
        import_module(package)
    imported = resident("VmRSS")
    start, remark = contender.make(job, variant)
    begin = time.perf_counter()
    call = start()
    result = call()
    seconds = time.perf_counter() - begin
    numbers = sample(result)
    forget_peak()
    return call, {
        "remark": remark,
        "first_call_s": seconds,
        "imported_bytes": imported,
        "sample": numbers,
    }


def timed(call: Callable[[], Any], seconds: float) -> dict[str, Any]:
    """Wall clock and the process's CPU time of a call, in seconds, over as many as fit."""
    calls, wall, cpu = 0, time.perf_counter(), time.process_time()
    while calls == 0 or time.perf_counter() - wall < seconds:
        call()
        calls += 1
    spent_cpu, spent = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "calls": calls,
        "wall": spent / calls,
        "cpu": spent_cpu / calls,
        "peak_bytes": resident("VmHWM"),
    }


def sample(result: Any) -> list[float]:
    """The first numbers of a result's first tensor or array."""
    first = result[0] if isinstance(result, (list, tuple)) else result
    if first is None:
        return []
    if hasattr(first, "detach"):
        first = first.detach().float().numpy()
    return [float(x) for x in first.reshape(-1)[:SAMPLE]]


def resident(line: str) -> int | None:
    """Bytes of memory, now (VmRSS) or at most since `forget_peak` (VmHWM); None off Linux."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            found = [row for row in file if row.startswith(f"{line}:")]
    except OSError:
        return None
    return int(found[0].split()[1]) * 1024 if found else None


def forget_peak() -> None:
    """VmHWM counts from here: what compiling needed is no memory of a call."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass


def said(error: Exception) -> str:
    """The first line of an error, short enough for a cell."""
    first = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first}"[:200]


if __name__ == "__main__":
    main()
