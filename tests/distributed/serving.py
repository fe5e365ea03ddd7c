"""What each of the two processes runs: functions that come through a pipe, in one gloo group."""

from __future__ import annotations

import traceback
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

WORLD = 2
SECONDS = 60


def serve(rank: int, meeting: Path, pipe: Connection) -> None:
    """Run what comes through the pipe; an answer each, "" or the traceback."""
    torch.set_num_threads(1)
    limit = timedelta(seconds=SECONDS / 2)
    where: dict[str, Any] = {"init_method": meeting.as_uri(), "timeout": limit}
    dist.init_process_group("gloo", rank=rank, world_size=WORLD, **where)
    while True:
        part = pipe.recv()
        torch.manual_seed(0)
        try:
            part(rank)
            pipe.send("")
        except BaseException:
            pipe.send(traceback.format_exc())
