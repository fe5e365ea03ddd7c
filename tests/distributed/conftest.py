"""Two processes in one gloo group, started once a file; a test hands them a function to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection

import pytest
import torch.multiprocessing as mp
from serving import SECONDS, WORLD, serve

Part = Callable[[int], None]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Part], None]]:
    """Runs a function of the file in both processes, given the rank; fails as either fails."""
    meeting = tmp_path_factory.mktemp("group") / "meeting"
    context = mp.get_context("spawn")
    pipes, processes = [], []
    for rank in range(WORLD):
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(rank, meeting, theirs), daemon=True)
        process.start()
        pipes.append(ours)
        processes.append(process)

    def run(part: Part) -> None:
        for pipe in pipes:
            pipe.send(part)
        failures = [answer(rank, pipe) for rank, pipe in enumerate(pipes)]
        if any(failures):
            pytest.fail("\n".join(filter(None, failures)), pytrace=False)

    yield run
    for pipe in pipes:
        with suppress(OSError):  # of a process that is gone
            pipe.send(None)
    for process in processes:
        process.join(5)
        if process.is_alive():
            process.kill()


def answer(rank: int, pipe: Connection) -> str:
    """What went wrong in a process, "" where nothing did."""
    if not pipe.poll(SECONDS):
        return f"process {rank} gave no answer in {SECONDS} s"
    try:
        found: str = pipe.recv()
    except (EOFError, OSError):
        return f"process {rank} is gone"
    return found and f"process {rank}: {found}"
