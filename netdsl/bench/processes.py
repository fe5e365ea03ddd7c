"""The other end of a worker's pipe: start it, ask it, stop it."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from netdsl.bench.contenders import environment
from netdsl.bench.job import Job, Variant

PATIENCE = 1800.0  # seconds that an answer may take: a large net compiles for minutes


class Unmeasurable(Exception):
    """Why a contender has no figures."""


class Worker:
    """A contender's process. `ready`: what its first call told."""

    def __init__(self, name: str, job: Job, variant: Variant) -> None:
        self.name, self.variant = name, variant
        self._open = ExitStack()
        folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="netdsl-bench-"))
        self._errors = self._open.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "netdsl.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(job, variant, folder),
            text=True,
        )
        request = {"make": name, "job": asdict(job), "variant": asdict(variant)}
        self.ready = self._ask(request)

    def round(self) -> dict[str, Any]:
        """Run one round; raises `Unmeasurable` where the contender fails or its process ends."""
        return self._ask({"round": True})

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._open.close()

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            waiting = select.select([self._process.stdout], [], [], PATIENCE)[0]
            line = self._process.stdout.readline() if waiting else ""
        except BrokenPipeError:
            line, waiting = "", [self._process.stdout]
        if not line:
            why = self._death() if waiting else f"no answer in {PATIENCE:.0f} s"
            self.stop()
            raise Unmeasurable(why)
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            self.stop()
            raise Unmeasurable(answer["failed"])
        return answer

    def _death(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return f"its process ended with {code}" + (f": {lines[-1][:200]}" if lines else "")
