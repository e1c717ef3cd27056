"""The report of a bench: tables for a terminal, one value for JSON, and a picture that needs nothing but itself."""

from collections.abc import Sequence
from html import escape

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ciranda.bench.conditions import Conditions
from ciranda.bench.figures import TIMELINE_S, Figures


class Report(msgspec.Struct, frozen=True, kw_only=True):
    conditions: Conditions
    runs: int
    """Each figure is the median of so many."""
    accounts: dict[str, int]
    """In each bank, by workload."""
    workers: int
    seconds: float
    workloads: list[Figures]


# For a terminal.


def tables(report: Report) -> RenderableType:
    parts: list[RenderableType] = [_conditions(report), Text(), _rates(report.workloads), Text()]
    parts += [_costs(report.workloads), Text(), _outcomes(report.workloads)]
    for figures in report.workloads:
        if figures.more:
            parts += [Text(), _more(figures)]
    return Group(*parts)


def _table(title: str, *columns: str, left: int = 1) -> Table:
    table = Table(
        title=title, title_justify="left", box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0)
    )
    for place, column in enumerate(columns):
        table.add_column(column, justify="left" if place < left else "right", overflow="fold")
    return table


def _conditions(report: Report) -> Table:
    table = _table("Conditions", "what", "", left=2)
    for name, value in _spelled_conditions(report):
        table.add_row(name, value)
    return table


def _spelled_conditions(report: Report) -> list[tuple[str, str]]:
    told = msgspec.to_builtins(report.conditions)
    told["load_average"] = ", ".join(map(str, report.conditions.load_average))
    runs = f"median of {report.runs} runs" if report.runs > 1 else "one run"
    told["measured"] = f"{runs} of {report.seconds:g} s each, {report.workers} worker(s) for each bank"
    return [(name.replace("_", " "), str(value)) for name, value in told.items()]


def _rates(workloads: Sequence[Figures]) -> Table:
    table = _table(
        "Rates and latencies",
        "workload",
        "loop",
        *["payments/s", "p50", "p95", "p99", "p100", "generator"],
        left=2,
    )
    for one in workloads:
        table.add_row(
            one.workload,
            one.loop,
            f"{one.payments_per_s:,.0f}",
            *(f"{ms:,.1f} ms" for ms in (one.p50_ms, one.p95_ms, one.p99_ms, one.p100_ms)),
            f"{one.generator_us_per_request:.0f} µs",
        )
    return table


def _costs(workloads: Sequence[Figures]) -> Table:
    columns = ("process", "CPU µs", "bytes written", "durable writes", "inputs a batch", "RSS MiB")
    table = _table("Cost of one payment", "workload", *columns, left=2)
    for one in workloads:
        cost = one.cost
        for place, process in enumerate(cost.cpu_us_per_payment):
            table.add_row(
                one.workload if place == 0 else "",
                process,
                f"{cost.cpu_us_per_payment[process]:,.0f}",
                _figure(cost.written_bytes_per_payment, process, ",.0f"),
                _figure(cost.durable_writes_per_payment, process, ".3f"),
                _figure(cost.inputs_per_batch, process, ".1f"),
                f"{cost.rss_mib[process]:,.0f}",
            )
        table.add_row("", "databases grew", "", f"{cost.stored_bytes_per_payment:,.0f}")
    return table


def _figure(figures: dict[str, float], process: str, form: str) -> str:
    return format(figures[process], form) if process in figures else ""


def _outcomes(workloads: Sequence[Figures]) -> Table:
    table = _table("Answers", "workload", "how many of each", left=2)
    for one in workloads:
        table.add_row(
            one.workload, ", ".join(f"{count:,} × {name}" for name, count in sorted(one.outcomes.items()))
        )
    return table


def _more(figures: Figures) -> Table:
    table = _table(f"More of {figures.workload}", "figure", "value")
    for name, value in figures.more.items():
        table.add_row(name.replace("_", " "), f"{value:,.2f}")
    return table


# A picture: bars for rates, a line from p50 to p100 for latencies, and what changed over time. No script, no network.

_WIDTH, _LABEL, _ROW, _CHART = 900, 150, 26, 180
_COLOURS = ("#2a6f97", "#e07a5f", "#6a994e")
_STYLE = "font-family:system-ui,sans-serif;font-size:13px;background:#fff"


def svg(report: Report) -> str:
    parts, y = [], 30
    for draw in (_draw_rates, _draw_latencies):
        drawn, y = draw(report.workloads, y)
        parts += drawn
    for figures in report.workloads:
        if figures.timeline:
            drawn, y = _draw_timeline(figures, y)
            parts += drawn
    title = f"Ciranda {report.conditions.ciranda}, {report.conditions.database}, {report.conditions.cpu}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y}" style="{_STYLE}">'
    return "\n".join([head, f"<title>{escape(title)}</title>", *parts, "</svg>"]) + "\n"


def html(report: Report) -> str:
    rows = "".join(
        f"<tr><th align=left>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in _spelled_conditions(report)
    )
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>ciranda bench</title>\n'
        f'<body style="{_STYLE};max-width:{_WIDTH}px;margin:2em auto"><h1>ciranda bench</h1>\n'
        f"<table>{rows}</table>\n{svg(report)}</body></html>\n"
    )


def _draw_rates(workloads: Sequence[Figures], y: int) -> tuple[list[str], int]:
    most = max((one.payments_per_s for one in workloads), default=0.0) or 1.0
    parts = [_words(0, y, "Payments per second", bold=True)]
    for one in workloads:
        y += _ROW
        width = one.payments_per_s / most * (_WIDTH - _LABEL - 90)
        parts += [
            _words(0, y, one.workload),
            f'<rect x="{_LABEL}" y="{y - 13}" width="{width:.1f}" height="16" fill="{_COLOURS[0]}"/>',
            _words(_LABEL + width + 6, y, f"{one.payments_per_s:,.0f}"),
        ]
    return parts, y + 2 * _ROW


def _draw_latencies(workloads: Sequence[Figures], y: int) -> tuple[list[str], int]:
    most = max((one.p100_ms for one in workloads), default=0.0) or 1.0
    parts = [_words(0, y, "Latency in ms: p50, p99 and p100", bold=True)]
    for one in workloads:
        y += _ROW
        places = [
            _LABEL + ms / most * (_WIDTH - _LABEL - 240) for ms in (one.p50_ms, one.p99_ms, one.p100_ms)
        ]
        parts += [
            _words(0, y, one.workload),
            f'<line x1="{places[0]:.1f}" x2="{places[2]:.1f}" y1="{y - 5}" y2="{y - 5}" stroke="{_COLOURS[0]}"/>',
            *(
                f'<circle cx="{place:.1f}" cy="{y - 5}" r="4" fill="{colour}"/>'
                for place, colour in zip(places, reversed(_COLOURS), strict=True)
            ),
            _words(places[2] + 10, y, f"{one.p50_ms:,.1f} · {one.p99_ms:,.1f} · {one.p100_ms:,.1f}"),
        ]
    return parts, y + 2 * _ROW


def _draw_timeline(figures: Figures, y: int) -> tuple[list[str], int]:
    """One line for each kind of answer, each against its own maximum, which stands beside its name."""
    parts = [_words(0, y, f"{figures.workload}: answers per second over time", bold=True)]
    for (name, rates), colour in zip(figures.timeline.items(), _COLOURS, strict=False):
        y += _ROW
        parts.append(_words(0, y, f"{name}, up to {max(rates, default=0):,.0f}", colour=colour))
    bottom = y + _CHART
    for rates, colour in zip(figures.timeline.values(), _COLOURS, strict=False):
        most = max(rates, default=0.0) or 1.0
        step = (_WIDTH - 20) / max(1, len(rates) - 1)
        points = " ".join(
            f"{place * step:.1f},{bottom - rate / most * (_CHART - 20):.1f}"
            for place, rate in enumerate(rates)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
    seconds = max(map(len, figures.timeline.values())) * TIMELINE_S
    parts.append(_words(0, bottom + 18, "0 s"))
    parts.append(_words(_WIDTH - 60, bottom + 18, f"{seconds:g} s"))
    return parts, bottom + 2 * _ROW


def _words(x: float, y: float, text: str, *, bold: bool = False, colour: str = "#222") -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y}" fill="{colour}"{weight}>{escape(text)}</text>'
