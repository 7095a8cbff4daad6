"""No kernel built on pointers touches a byte beyond its operands: each runs flush against protected pages."""

import signal
import subprocess
import sys

import pytest
from helpers import ROOT

if sys.platform == "win32":
    pytest.skip("protected pages are made with mmap and mprotect", allow_module_level=True)


def test_the_page_is_protected():
    """One element too far ends the process: without this the test below would prove nothing."""
    program = "import numpy as np, ctypes; from guard_pages import guarded; x = guarded(np.zeros(3), True); "
    program += "print(ctypes.c_char.from_address(x.ctypes.data + x.nbytes))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT / "tests", capture_output=True)
    assert done.returncode in (-signal.SIGSEGV, -signal.SIGBUS)


@pytest.mark.process(program="tests/guard_pages.py")
def test_kernels_stay_inside_their_operands(process):
    assert "finished" in process()
