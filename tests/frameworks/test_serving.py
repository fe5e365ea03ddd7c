"""A server of each framework answers as the net does, requests in a batch together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from recipes import code, images, saved

SECONDS = 120
ROUTES = {"litserve": "predict", "ray": ""}


@pytest.mark.parametrize("framework", ROUTES)
def test_a_server_answers_as_the_net_does(tmp_path: Path, framework: str) -> None:
    pytest.importorskip(framework)
    net, x = saved(tmp_path), images(6)
    with torch.no_grad():
        expected = net(x)
    with serving(framework, tmp_path) as url, ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda image: post(url, {"x": image.tolist()}), x))
    found = torch.tensor([answer["y"] for answer in answers])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@contextmanager
def serving(framework: str, folder: Path) -> Iterator[str]:
    """The recipe as a program in a folder; its address, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "server.py").write_text(code(framework))
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PORT": str(port), "PYTHONPATH": path}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "server.py"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}/{ROUTES[framework]}"
    try:
        end = time.monotonic() + SECONDS
        while not answers(url):
            said = (folder / "log").read_text()
            assert process.poll() is None and time.monotonic() < end, said
            time.sleep(0.5)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def answers(url: str) -> bool:
    try:
        post(url, {"x": images(1)[0].tolist()})
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


def post(url: str, message: Any) -> Any:
    body = json.dumps(message).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        return json.load(response)
