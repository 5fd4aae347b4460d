"""Heavy imports, quicker."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

# A quarter of the CPU time of importing PyTorch: functions that tell the shapes of results of operations on tensors
# without content. None are made where numbers are merged, and nothing else asks for this module.
UNUSED = "torch._meta_registrations"


@contextmanager
def spared_collection() -> Iterator[None]:
    """Import without garbage collection, and keep what was imported out of every later one.

    PyTorch makes half a million objects that live as long as the process. The collector would look through them dozens
    of times on the way, and once more when the process ends: a third of the CPU time of importing it.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()


@contextmanager
def put_off(name: str = UNUSED) -> Iterator[None]:
    """Import, within, the module ``name`` in name only; what it holds is loaded when any of it is first asked for.

    For processes of one purpose: until then, what else the module does when it is loaded has not happened.
    """
    finder = _Finder(name)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    def __init__(self, name: str) -> None:
        self.name = name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target) if fullname == self.name else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Later(spec.loader)
        return spec


class _Later(Loader):
    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = _Unloaded


class _Unloaded(ModuleType):
    # importlib.util.LazyLoader loads already when somebody looks where a module's file is, as inspect does with all.
    def __getattr__(self, name: str) -> object:
        spec = self.__spec__
        if (name.startswith("__") and name.endswith("__")) or spec is None or not isinstance(spec.loader, _Later):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = ModuleType  # pyright: ignore[reportAttributeAccessIssue]
        spec.loader = spec.loader.loader
        spec.loader.exec_module(self)
        return getattr(self, name)
