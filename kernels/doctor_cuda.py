"""What the doctor finds of CUDA: driver, toolkit, device, and in words why they do not work together."""

import importlib
import os
from importlib import metadata

from . import cuda

# the packages of NVIDIA's toolkit that kernels are compiled with, for CUDA 13 and for CUDA 12
TOOLKIT = {
    "NVVM": ("nvidia-nvvm", "nvidia-cuda-nvcc-cu12"),
    "NVRTC": ("nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12"),
    "nvJitLink": ("nvidia-nvjitlink", "nvidia-nvjitlink-cu12"),
}
# the oldest driver for each major version of CUDA
OLDEST_DRIVER = {12: 525, 13: 580}


def findings() -> list[tuple[str, str]]:
    """(subject, finding); raises nothing."""
    if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
        return [("CUDA", "simulated (NUMBA_ENABLE_CUDASIM): right and very slow")]
    try:
        importlib.import_module(f"{cuda.__name__}.target")
    except ImportError as error:
        return [("CUDA", str(error))]
    driver, toolkit = driver_version(), toolkit_versions()
    named = ", ".join(f"{part} {'.'.join(map(str, version))}" for part, version in toolkit.items())
    return [
        ("CUDA", _device() if cuda.is_available() else "numba-cuda is installed, but finds no driver or device"),
        ("CUDA driver", f"speaks CUDA {driver[0]}.{driver[1]}" if driver else "none found"),
        ("CUDA toolkit", named or "none of pip's; a toolkit of the system may serve"),
        *[("CUDA trouble", trouble) for trouble in troubles(driver, toolkit)],
    ]


def driver_version() -> tuple[int, int] | None:
    """The newest CUDA that the driver speaks; None where there is no driver."""
    try:
        from cuda.bindings import driver

        status, version = driver.cuDriverGetVersion()
    except Exception:
        # no bindings, no libcuda, a library that does not load: there is no driver to speak of
        return None
    return (version // 1000, version % 1000 // 10) if not int(status) and version else None


def toolkit_versions() -> dict[str, tuple[int, int]]:
    """(major, minor) of each part of the toolkit that pip has installed."""
    found = {}
    for part, packages in TOOLKIT.items():
        for package in packages:
            try:
                major, minor = metadata.version(package).split(".")[:2]
            except metadata.PackageNotFoundError:
                continue
            found[part] = int(major), int(minor)
            break
    return found


def troubles(driver: tuple[int, int] | None, toolkit: dict[str, tuple[int, int]]) -> list[str]:
    """Why driver and toolkit do not work together, and what to do, a sentence or two each."""
    out = []
    newest = max(toolkit.values(), default=None)
    if driver is None:
        wanted = OLDEST_DRIVER.get(newest[0]) if newest else None
        needed = f" of version {wanted} or newer" if wanted else ""
        out.append(f"kernels need NVIDIA's driver{needed}; without a GPU, NUMBA_ENABLE_CUDASIM=1 simulates one")
    elif newest and newest > driver:
        major, minor = driver
        linker = "nvidia-nvjitlink" if major > 12 else "nvidia-nvjitlink-cu12"
        fitting = f"pip install 'cuda-toolkit=={major}.{minor}.*' '{linker}=={major}.{minor}.*'"
        if newest[0] > major:
            fitting = f"pip install 'hotloop[cuda{major}]'"
        out.append(
            f"the toolkit ({newest[0]}.{newest[1]}) is newer than the driver, which speaks CUDA {major}.{minor} and "
            f"refuses what it makes (CUDA_ERROR_UNSUPPORTED_PTX_VERSION): {fitting}, or update the driver"
        )
    if len({version[0] for version in toolkit.values()}) > 1:
        out.append("parts of CUDA 12 and of CUDA 13 are installed side by side: keep one of the extras cuda12, cuda13")
    missing = [part for part in TOOLKIT if part not in toolkit]
    if toolkit and missing:
        out.append(f"{' and '.join(missing)} missing beside the rest of the toolkit: pip install 'hotloop[cuda13]'")
    return out


def _device():
    try:
        device = importlib.import_module(f"{cuda.__name__}.target").cuda.get_current_device()
        name = device.name.decode() if isinstance(device.name, bytes) else device.name
        return f"{name}, compute capability {'.'.join(map(str, device.compute_capability))}"
    except Exception as error:
        # whatever a driver throws is what the doctor is there to show
        return f"a device that does not answer: {error}"
