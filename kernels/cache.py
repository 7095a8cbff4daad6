"""Where compiled kernels are kept between processes.

A user-wide folder (or a user's NUMBA_CACHE_DIR), one subfolder for each version and each flag that changes code.
An entry is stale when the kernel's file, its definition in ref, or any file of this package that they import, has
changed: Numba's own cache looks at the kernel's file alone. A folder that cannot be written, that disappears, or that
holds damaged files means no cache, never an error.
"""

import ast
import contextlib
import functools
import hashlib
import os
import pickle
import re
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import llvmlite
import numba
from numba.core import config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.serialize import dumps
from numba.core.types import void
from numba.extending import intrinsic

_ROOT = Path(__file__).resolve().parent


def installed_version():
    try:
        return version("hotloop")
    except PackageNotFoundError:
        return "source"


@functools.cache
def folder():
    """The cache folder of this process, created; None where nothing can be written."""
    if os.environ.get("HOTLOOP_CACHE") == "0":
        return None
    # bounds checking, the debugger and optimisation level change the code but not Numba's key
    level = re.sub("[^0-9a-z]", "", str(config.OPT))
    flags = f"b{int(bool(config.BOUNDSCHECK))}d{int(bool(config.DEBUGINFO_DEFAULT))}o{level}"
    name = f"{installed_version()}-numba{numba.__version__}-llvmlite{llvmlite.__version__}-{flags}"
    homes = [os.environ.get("HOTLOOP_CACHE"), config.CACHE_DIR, _user_cache(), tempfile.gettempdir()]
    for home in filter(None, homes):
        # no name that Python could import: such a folder in the working directory would hide the package
        path = Path(home) / "hotloop-cache" / name
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                return path
        except OSError:
            continue
    return None


def _user_cache():
    if sys.platform == "win32":
        return os.environ.get("LOCALAPPDATA")
    if sys.platform == "darwin":
        return os.path.expanduser("~/Library/Caches")
    return os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")


@functools.cache
def sources(path):
    """A file of the package and every file of it that it imports, directly or not."""
    seen, todo = set(), [Path(path)]
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        todo.extend(imports(file))
    return sorted(seen)


@functools.cache
def digest(path):
    """A hash of all that a file of the package is made of."""
    total = hashlib.sha256()
    for file in sources(path):
        total.update(file.read_bytes())
    return total.hexdigest()


def imports(file):
    """Files of this package that a file imports by relative imports; and the definition of a kernel's checks."""
    twin = file.parent.parent / "ref" / file.name
    if file.parent.name == "cpu" and twin.is_file():
        yield twin
    for node in ast.walk(ast.parse(file.read_bytes())):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = file.parent
        for _ in range(node.level - 1):
            base = base.parent
        base = base.joinpath(*(node.module or "").split(".")) if node.module else base
        for candidate in (base.with_suffix(".py"), base / "__init__.py", *(base / f"{a.name}.py" for a in node.names)):
            if candidate.is_file():
                yield candidate


class _Locator(_CacheLocator):
    def __init__(self, py_func, path):
        self._path, self._line = path, py_func.__code__.co_firstlineno

    def get_cache_path(self):
        return str(folder())

    def get_source_stamp(self):
        return digest(self._path)

    def get_disambiguator(self):
        return hashlib.sha256(str(self._path).encode()).hexdigest()[:10]

    @classmethod
    def from_function(cls, py_func, path):
        return cls(py_func, path)


class _Impl(CompileResultCacheImpl):
    _locator_classes = [_Locator]  # noqa: RUF012  (Numba's own declaration)


class _Entries:
    """The compiled forms of one kernel, a file each.

    Numba numbers its files and keeps an index of them: of two processes that save at once, one may end up behind the
    other's entry of the index. Here a file is named by what it holds, repeats it, and begins with its own checksum.
    """

    def __init__(self, folder, kernel, stamp):
        self.folder, self.kernel, self.stamp = Path(folder), kernel, stamp

    def _path(self, key):
        name = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
        return self.folder / f"{self.kernel}.{self.stamp[:16]}.{name}.nbc"

    def load(self, key):
        content = self._path(key).read_bytes()
        checksum, payload = content[:32], content[32:]
        if hashlib.sha256(payload).digest() != checksum:
            return None
        stamp, saved, data = pickle.loads(payload)
        return data if stamp == self.stamp and saved == key else None

    def save(self, key, data):
        payload = dumps((self.stamp, key, data))
        # written beside and renamed: nobody reads half a file
        handle, beside = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
        try:
            with open(handle, "wb") as file:
                file.write(hashlib.sha256(payload).digest() + payload)
            os.replace(beside, self._path(key))
        except OSError:
            os.unlink(beside)
            raise
        self._forget(lambda stamp: stamp != self.stamp[:16])

    def flush(self):
        self._forget(lambda stamp: True)

    def _forget(self, stale):
        """Remove entries of other states of the source."""
        for file in self.folder.glob(f"{self.kernel}.*.nbc"):
            if stale(file.name.removeprefix(self.kernel).split(".")[1]):
                file.unlink(missing_ok=True)


class KernelCache(FunctionCache):
    _impl_class = _Impl

    def __init__(self, py_func):
        super().__init__(py_func)
        locator = self._impl.locator
        self._cache_file = _Entries(locator.get_cache_path(), self._impl.filename_base, locator.get_source_stamp())

    @contextlib.contextmanager
    def _guard_against_spurious_io_errors(self):
        # around every load and save: what cannot be read is compiled, what cannot be kept is not
        with contextlib.suppress(OSError):
            yield


class _State:
    """What a kernel is made of; read from a file, it is compared with the source as it is now."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return _compare, (self.path.relative_to(_ROOT).as_posix(), digest(self.path))


def _compare(name, stamp):
    # Numba takes this error for a file that has gone, and compiles the function
    if digest(_ROOT / name) != stamp:
        raise OSError(f"{name} has changed since")


def keep_state(path):
    """An intrinsic that makes a user's cached function stale when the kernels in it have changed.

    Numba looks at the user's file alone, and old code that writes to the state of a new package ends the process. But
    with a function Numba keeps the constants of those inside it: what their kernels were made of is one more.
    """
    state = _State(Path(path).resolve())

    @intrinsic
    def keep(typingctx):
        def codegen(context, builder, signature, args):
            context.environment.consts.append(state)
            return context.get_dummy_value()

        return void(), codegen

    return keep
