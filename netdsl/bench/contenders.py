"""Who is measured: one table, and how each contender is made in its own process.

A maker prepares what is no work of the contender (the eager twin), and gives the function that does
the rest, with a remark: `start()`, timed together with the first call, returns the call, a function
without arguments that runs the net once and returns its result. What a maker needs is imported
there, so that a contender's memory and threads are its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from netdsl.bench.job import Job, Variant, inputs_of

Call: TypeAlias = Callable[[], Any]
Made: TypeAlias = tuple[Callable[[], Call], str]  # start, remark
Maker: TypeAlias = Callable[[Job, Variant], Made]

OURS = "netdsl"
KEEPS = (Variant(mallopt=True),)  # as every process with a net of ours does
BOTH_LAYOUTS = (Variant(), Variant(channels_last=True))
KEPT = (Variant(mallopt=True), Variant(channels_last=True, mallopt=True))
EITHER_MALLOC = (Variant(), Variant(mallopt=True))


@dataclass(frozen=True)
class Contender:
    """A row of the table of results.

    family    what `--against` calls it
    packages  what must be installed, imported before the first call is timed
    variants  settings that are tried; the fastest one is measured
    trains    whether it can run a training step
    low       whether it can run in bfloat16
    exported  whether it reads the net as an ONNX file
    """

    family: str
    make: Maker
    packages: tuple[str, ...] = ("torch",)
    variants: tuple[Variant, ...] = (Variant(),)
    trains: bool = False
    low: bool = True
    exported: bool = False

    def declines(self, job: Job) -> str:
        """Why it has nothing to do with a job ("": it has)."""
        from importlib.util import find_spec

        lacking = [name for name in self.packages if find_spec(name) is None]
        if lacking:
            return f"not installed (pip install {' '.join(lacking)})"
        if job.train and not self.trains:
            return "runs inference only"
        if job.dtype != "float32" and not self.low:
            return f"has no {job.dtype} on CPU"
        return ""


def live(job: Job, variant: Variant) -> Made:
    """Our module as it is loaded."""
    from netdsl.bench.torch_calls import call_of, ours

    return lambda: call_of(ours(job), job, variant), ""


def frozen(job: Job, variant: Variant) -> Made:
    """Our module after `freeze()`."""
    from netdsl.bench.torch_calls import call_of, ours

    return lambda: call_of(ours(job), job, variant, lambda model: model.freeze()), ""


def eager(job: Job, variant: Variant) -> Made:
    from netdsl.bench.torch_calls import call_of, twin

    model, remark = twin(job)
    return lambda: call_of(model, job, variant), remark


def compiled(job: Job, variant: Variant) -> Made:
    import torch

    from netdsl.bench.torch_calls import call_of, twin

    model, remark = twin(job)
    return lambda: call_of(model, job, variant, torch.compile), remark


def freezing(job: Job, variant: Variant) -> Made:
    """torch.compile with the weights as constants: the global flag, since `options=` does not."""
    import torch._inductor.config

    torch._inductor.config.freezing = True
    return compiled(job, variant)


def onnxruntime(job: Job, variant: Variant) -> Made:
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = job.threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    inputs = inputs_of(job)

    def start() -> Call:
        session = ort.InferenceSession(exported(job), settings, providers=["CPUExecutionProvider"])
        names = [argument.name for argument in session.get_inputs()]
        given = dict(zip(names, inputs, strict=True))
        return lambda: session.run(None, given)

    return start, job.source


def openvino(job: Job, variant: Variant) -> Made:
    import openvino as ov

    properties = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[job.dtype],
        "INFERENCE_NUM_THREADS": job.threads,
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    inputs = inputs_of(job)

    def start() -> Call:
        model = ov.Core().compile_model(exported(job), "CPU", properties)
        request = model.create_infer_request()
        return lambda: list(request.infer(inputs, share_inputs=True, share_outputs=True).values())

    return start, job.source


def jax(job: Job, variant: Variant) -> Made:
    """The net as a function of JAX under jax.jit, its weights as arguments."""
    import jax as jax_

    from netdsl.bench.jax_calls import function_of

    function, state = function_of(job)
    inputs = [jax_.numpy.asarray(x) for x in inputs_of(job)]

    def start() -> Call:
        call = jax_.jit(function)
        return lambda: jax_.block_until_ready(call(state, *inputs))

    return start, "traced into lax"


def export(job: Job, variant: Variant) -> Made:
    """Write the eager twin as ONNX, for the contenders that read it."""
    import torch

    from netdsl.bench.torch_calls import tensors_of, twin

    model, remark = twin(job)
    torch.onnx.export(model, tuple(tensors_of(job)), exported(job), dynamo=True, verbose=False)
    return lambda: lambda: None, remark


def exported(job: Job) -> Path:
    """Where the net is as ONNX."""
    return Path(job.folder, "model.onnx")


CHANNELS, SIDE = 256, 56  # of the convolution that is the roof
PEAK_FLOPS = 2 * 3 * 3 * CHANNELS**2 * SIDE**2


def peak(job: Job, variant: Variant) -> Made:
    """A large 3x3 convolution in channels_last, which oneDNN runs as a matrix product without the
    copy of the weights that one of 1x1 spends a tenth of its time with."""
    import torch
    from torch.nn.functional import conv2d

    torch.set_num_threads(job.threads)
    dtype, layout = getattr(torch, job.dtype), torch.channels_last
    x = torch.randn(1, CHANNELS, SIDE + 2, SIDE + 2).to(dtype, memory_format=layout)
    weight = torch.randn(CHANNELS, CHANNELS, 3, 3).to(dtype, memory_format=layout)

    def call() -> Any:
        with torch.no_grad():
            return conv2d(x, weight)

    return lambda: call, ""


CONTENDERS: Mapping[str, Contender] = {
    OURS: Contender(OURS, live, variants=KEEPS, trains=True),
    "netdsl, frozen": Contender(OURS, frozen, variants=KEEPS),
    "eager": Contender("eager", eager, variants=BOTH_LAYOUTS, trains=True),
    "eager, mallopt": Contender("eager", eager, variants=KEPT, trains=True),
    "torch.compile": Contender("compile", compiled, variants=KEPT, trains=True),
    "torch.compile, freezing": Contender("freezing", freezing, variants=KEPT),
    "ONNX Runtime": Contender(
        "onnxruntime",
        onnxruntime,
        ("onnxruntime", "onnxscript"),
        variants=EITHER_MALLOC,
        low=False,
        exported=True,
    ),
    "OpenVINO": Contender(
        "openvino", openvino, ("openvino", "onnxscript"), variants=EITHER_MALLOC, exported=True
    ),
    "JAX": Contender("jax", jax, ("torch", "jax"), low=False),
}
FAMILIES = tuple(dict.fromkeys(c.family for c in CONTENDERS.values() if c.family != OURS))

# What runs in a process of its own, too, but is no row: the export, and the roof.
SERVICES: Mapping[str, Contender] = {
    "export": Contender("", export, ("torch", "onnxscript")),
    "peak": Contender("", peak, variants=KEEPS),
}


def environment(job: Job, variant: Variant, folder: str) -> dict[str, str]:
    """What must be said before the libraries are imported: threads, malloc, and an empty folder for
    what is compiled, so that the first call is one."""
    threads = str(job.threads)
    return {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false" if job.threads == 1 else "",
        "JAX_PLATFORMS": "cpu",
        "NETDSL_MALLOPT": "1" if variant.mallopt else "0",
        "TORCHINDUCTOR_CACHE_DIR": folder,
    }


def find(name: str) -> Contender:
    return CONTENDERS[name] if name in CONTENDERS else SERVICES[name]
