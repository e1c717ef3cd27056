"""Planting a fault: one function of the product is given other code, while a test looks whether the simulator sees it.

A fault is a change of text, as in a review: what stands in the function, and what a careless hand writes instead. If
the text is not there any more, planting fails, and the fault must be written anew.
"""

import inspect
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import reduce
from importlib import import_module
from types import FunctionType

import msgspec


class Change(msgspec.Struct, frozen=True):
    where: str
    """`module:function` or `module:Class.function`, below `ciranda`."""
    right: str
    wrong: str


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """The careless form, in words; with the protocol's number where it has one."""
    changes: tuple[Change, ...]
    within: int
    """How many seeds it may take at most until a checker sees it."""
    scenario: str = "everything"

    @contextmanager
    def in_the_code(self) -> Iterator[None]:
        with ExitStack() as changed:
            for change in self.changes:
                changed.enter_context(_changed(change))
            yield


@contextmanager
def _changed(change: Change) -> Iterator[None]:
    module_name, path = change.where.split(":")
    module = import_module(f"ciranda.{module_name}")
    function = reduce(getattr, path.split("."), module)
    function = inspect.unwrap(function)  # type: ignore[arg-type]
    assert isinstance(function, FunctionType), f"{change.where} is no function"
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(change.right) == 1, (
        f"{change.where} has {change.right!r} {source.count(change.right)} times"
    )
    names: dict[str, object] = {}
    text = source.replace(change.right, change.wrong)
    exec(compile(text, module.__file__ or "", "exec"), module.__dict__, names)
    made = inspect.unwrap(names[function.__name__])  # type: ignore[arg-type]
    assert isinstance(made, FunctionType), "it stays a function"
    right = function.__code__
    # The same function object, so that whoever imported it by name has the fault too.
    function.__code__ = made.__code__
    try:
        yield
    finally:
        function.__code__ = right
