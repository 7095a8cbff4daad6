"""No product touches a byte beyond its operands, whatever its size: see tests/guard_products.py."""

import sys

import pytest
from helpers import python

if sys.platform == "win32":
    pytest.skip("protected pages are made with mmap and mprotect", allow_module_level=True)


def test_cpu_products_stay_inside_their_operands(dtype):
    assert "finished" in python("tests/guard_products.py", dtype)
