"""python -m hotloop doctor | warmup"""

import re

from helpers import python


def test_doctor_names_what_matters():
    out = python("-m", "hotloop", "doctor")
    for subject in ("processor", "instruction path", "threads", "thread pool", "cache", "numba", "CUDA"):
        assert subject in out
    assert "none (HOTLOOP_CACHE=0)" in python("-m", "hotloop", "doctor", env={"HOTLOOP_CACHE": "0"})


def test_doctor_reports_the_target_it_is_told():
    out = python("-m", "hotloop", "doctor", env={"NUMBA_CPU_NAME": "generic"})
    assert re.search(r"told to be +generic", out)
    assert "AVX" not in re.search(r"instruction path +(.*)", out)[1]


def test_warmup_compiles_what_calls_need(tmp_path):
    env, names = {"HOTLOOP_CACHE": tmp_path}, ("sgd", "activation.relu_forward")
    assert "3 compiled, 0 from the cache" in python("-m", "hotloop", "warmup", *names, env=env)
    assert "0 compiled, 3 from the cache" in python("-m", "hotloop", "warmup", *names, env=env)
    # with a product come the functions that all products share
    assert "4 compiled, 0 from the cache" in python("-m", "hotloop", "warmup", "gemm.matmul_forward", env=env)
    program = (
        "import numpy as np\n"
        "from hotloop.kernels import jit\n"
        "from hotloop.kernels.cpu.activation import relu_forward\n"
        "from hotloop.kernels.cpu.gemm import matmul_forward\n"
        "relu_forward(np.empty((2, 3), np.float32), np.ones((2, 3), np.float32))\n"
        "matmul_forward(*(np.ones((9, 9), np.float32) for _ in range(3)), False, False, False)\n"
        "print({how for _, _, how in jit.compile_log})\n"
    )
    assert python("-c", program, env=env).strip() == "{'loaded'}"
