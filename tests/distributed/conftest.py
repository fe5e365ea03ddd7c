"""Two processes in one gloo group, started once for all files; a test hands them a function to run.
Where one failed, those of the next test are new."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch.multiprocessing as mp
from serving import SECONDS, WORLD, serve

Part = Callable[[int], None]


class Both:
    """Runs a function of a file in both processes, given the rank; fails as either fails."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._running: list[tuple[Connection, BaseProcess]] = []

    def __call__(self, part: Part) -> None:
        if not self._running:
            self._start()
        for pipe, _ in self._running:
            pipe.send(part)
        failures = [answer(rank, pipe) for rank, (pipe, _) in enumerate(self._running)]
        if any(failures):
            self.stop()
            pytest.fail("\n".join(filter(None, failures)), pytrace=False)

    def _start(self) -> None:
        meeting = self._folder() / "meeting"
        context = mp.get_context("spawn")
        for rank in range(WORLD):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(rank, meeting, theirs), daemon=True)
            process.start()
            self._running.append((ours, process))

    def stop(self) -> None:
        for pipe, process in self._running:
            process.kill()
            process.join()
            pipe.close()
        self._running.clear()


@pytest.fixture(scope="session")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    pair = Both(lambda: tmp_path_factory.mktemp("group"))
    yield pair
    pair.stop()


def answer(rank: int, pipe: Connection) -> str:
    """What went wrong in a process, "" where nothing did."""
    if not pipe.poll(SECONDS):
        return f"process {rank} gave no answer in {SECONDS} s"
    try:
        found: str = pipe.recv()
    except (EOFError, OSError):
        return f"process {rank} is gone"
    return found and f"process {rank}: {found}"
