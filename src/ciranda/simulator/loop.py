"""A virtual event loop: nobody waits, and every process can be stopped between any two steps.

Time leaps to the next thing that is due. Each callback belongs to the process in whose context it was made; the
callbacks of a dead process are never run again, without any clean-up, as after `kill -9`, and those of a paused one
are kept until it goes on, as after SIGSTOP.
"""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from functools import partial
from typing import Any, Protocol

PROCESS: "ContextVar[Process | None]" = ContextVar("process", default=None)

OUTSIDE = Context()
"""Belongs to no process."""

_REMEMBERED_TASKS = 2_000


class Stuck(Exception):
    """Nothing will ever happen again."""


class Process:
    """One operating system process, as far as the simulation needs it."""

    def __init__(self, loop: "VirtualLoop", name: str) -> None:
        self.name = name
        self.alive = True
        self.paused = False
        self.on_death: list[Callable[[], None]] = []
        self._loop = loop
        self._held: list[tuple[asyncio.Handle, Context, Callable[..., object], tuple[Any, ...]]] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._context = copy_context()
        self._context.run(PROCESS.set, self)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self._loop.create_task(work, context=self._context.copy())

    def die(self) -> None:
        if self.alive:
            self.alive = False
            self._held.clear()
            for task in self._tasks:
                work = task.get_coro()
                if inspect.iscoroutine(work) and inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
                    # It has not begun, so to close it runs nothing; Python would warn that it was forgotten.
                    work.close()
            for callback in self.on_death:
                callback()

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        """What was due meanwhile happens now, in its order."""
        self.paused = False
        held, self._held = self._held, []
        for handle, context, callback, arguments in held:
            self._loop.call_soon(_unless_cancelled, handle, callback, arguments, context=context)

    def hold(
        self, handle: asyncio.Handle, callback: Callable[..., object], arguments: tuple[Any, ...]
    ) -> None:
        self._held.append((handle, copy_context(), callback, arguments))

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Tasks of a dead process must not be collected: that would run their `finally` clauses."""
        if len(self._tasks) > _REMEMBERED_TASKS:
            self._tasks = [kept for kept in self._tasks if not kept.done()]
        self._tasks.append(task)


class Executor(Protocol):
    """Where a simulated process has its blocking work done."""

    def begin(self, loop: "VirtualLoop", work: Callable[[], Any]) -> "asyncio.Future[Any]": ...


class VirtualLoop(asyncio.BaseEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        # Finer than any wait here, and coarser than what a float can tell apart after years.
        self._clock_resolution = 1e-7
        self._selector = self
        self.outside: list[asyncio.Task[Any]] = []
        """The tasks that belong to no process."""
        self.mishaps: list[str] = []
        """Errors in callbacks, which nobody else hears of."""
        self.set_task_factory(_make_task)

    def time(self) -> float:
        return self._now

    def select(self, timeout: float | None) -> list[Any]:
        """The base class asks here how long to wait."""
        if timeout is None:
            raise Stuck
        if timeout > 0:
            self._now = self._scheduled[0]._when  # type: ignore[attr-defined]
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        """There are no files to watch."""

    def _write_to_self(self) -> None:
        """Nobody else could wake us: there is one thread."""

    def _check_closed(self) -> None:
        """Tasks of dead processes are collected after the end, and may still call something."""

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *arguments: Any, context: Context | None = None
    ) -> asyncio.Handle:
        context = copy_context() if context is None else context
        process = context.get(PROCESS)
        if process is None:
            return super().call_soon(callback, *arguments, context=context)
        handle = super().call_soon(_never, context=context)
        _make_turn(handle, process, callback, arguments)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *arguments: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = copy_context() if context is None else context
        process = context.get(PROCESS)
        if process is None:
            return super().call_at(when, callback, *arguments, context=context)
        handle = super().call_at(when, _never, context=context)
        _make_turn(handle, process, callback, arguments)
        return handle

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, work: Callable[..., Any], *arguments: Any
    ) -> "asyncio.Future[Any]":
        begun: asyncio.Future[Any] = executor.begin(self, partial(work, *arguments))
        return begun

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if context["message"].startswith("Exception in callback"):
            self.mishaps.append(f"{context['message']}: {context.get('exception')!r}")


def _never() -> None:
    """Stands where `_turn` will, which needs its own handle."""


def _make_turn(
    handle: asyncio.Handle, process: Process, callback: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    handle._callback = _turn  # type: ignore[attr-defined]
    handle._args = (process, handle, callback, arguments)


def _turn(
    process: Process, handle: asyncio.Handle, callback: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    if not process.alive:
        return
    if process.paused:
        process.hold(handle, callback, arguments)
        return
    callback(*arguments)


def _unless_cancelled(
    handle: asyncio.Handle, callback: Callable[..., object], arguments: tuple[Any, ...]
) -> None:
    if not handle.cancelled():
        callback(*arguments)


def _make_task(
    loop: asyncio.AbstractEventLoop, work: Any, context: Context | None = None, **more: Any
) -> "asyncio.Task[Any]":
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context, **more)
    process = (copy_context() if context is None else context).get(PROCESS)
    if process is not None:
        process.keep(task)
    elif isinstance(loop, VirtualLoop):
        loop.outside.append(task)
    return task
