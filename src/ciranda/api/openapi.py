"""`/openapi.json` and `/docs`: what the routes say of themselves, in OpenAPI 3.1.

The schemas come from the very structs that bodies are parsed into and answers are made of.
"""

import html
import re
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.handlers import HTTPRouteHandler

from ciranda import __version__
from ciranda.api import shape
from ciranda.api.code import HEADER
from ciranda.wire.problem import STATUS, Problem

_REF = "#/components/schemas/{name}"
_ALWAYS = (400, 404, 405, 408, 413, 503)

_IN_PATHS = {"address": shape.ADDRESS, "ispb": shape.ISPB}
"""Any other is text."""


def document(app: Litestar) -> dict[str, Any]:
    handlers = [
        (path, method, handler)
        for route in app.routes
        for handler in getattr(route, "route_handlers", [])
        if isinstance(handler, HTTPRouteHandler) and "answers" in handler.opt
        for path in [route.path_format]
        for method in handler.http_methods
        if method in ("GET", "POST", "PUT", "DELETE")
    ]
    types: list[type] = [Problem]
    for _, _, handler in handlers:
        types += [
            kind for kind in handler.opt["answers"].values() if isinstance(kind, type) and kind is not str
        ]
        if handler.opt["body"] is not None:
            types.append(handler.opt["body"])
    unique = list({id(kind): kind for kind in types}.values())
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REF)
    by_type = {id(kind): schema for kind, schema in zip(unique, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for path, method, handler in sorted(handlers, key=lambda one: (one[0], one[1])):
        paths.setdefault(path, {})[method.lower()] = _operation(path, handler, by_type)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ciranda",
            "version": __version__,
            "description": "A bank of a consortium whose members pay each other instantly, with nobody in the middle.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(path: str, handler: HTTPRouteHandler, schemas: dict[int, Any]) -> dict[str, Any]:
    opt = handler.opt
    text = handler.fn.__doc__ or ""
    operation: dict[str, Any] = {
        "operationId": handler.name or handler.fn.__name__,
        "summary": text.strip().split("\n")[0],
        "responses": {},
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _IN_PATHS.get(name, shape.TEXT)}
        for name in re.findall(r"{(\w+)}", path)
    ] + [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": parameter.meaning,
            "schema": parameter.schema,
        }
        for name, parameter in opt["query"].items()
    ]
    if opt["key"]:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": opt["key"] == "required",
                "schema": shape.KEY,
            }
        )
    if opt["code"]:
        parameters.append(
            {
                "name": HEADER,
                "in": "header",
                "required": False,
                "schema": shape.CODE,
            }
        )
    if parameters:
        operation["parameters"] = parameters
    if opt["body"] is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schemas[id(opt["body"])]}},
        }
    for status, kind in opt["answers"].items():
        response: dict[str, Any] = {"description": "Done." if status < 202 else "Taken in; not decided yet."}
        if status == 204:
            response = {"description": "Done; nothing to say."}
        elif kind is str:
            response["content"] = {"text/plain": {"schema": {"type": "string"}}}
        else:
            response["content"] = {"application/json": {"schema": schemas[id(kind)]}}
        operation["responses"][str(status)] = response
    problems = {*_ALWAYS, *opt["problems"]} | (set() if opt["public"] else {401, 403})
    for status in sorted(problems):
        codes = sorted(code for code, its_status in STATUS.items() if its_status == status)
        operation["responses"][str(status)] = {
            "description": "One of: " + ", ".join(f"`{code}`" for code in codes),
            "content": {"application/problem+json": {"schema": {"$ref": _REF.format(name="Problem")}}},
        }
    if not opt["public"]:
        operation["security"] = [{"token": []}]
    return operation


@get("/openapi.json")
async def openapi_json(request: Request[Any, Any, Any]) -> Response[bytes]:
    """This document."""
    return Response(msgspec.json.encode(document(request.app)), media_type="application/json")


@get("/docs")
async def docs(request: Request[Any, Any, Any]) -> Response[str]:
    """The document, for people; it needs nothing from elsewhere."""
    described = document(request.app)
    rows = "".join(
        f"<details><summary><code>{method.upper()} {html.escape(path)}</code> {html.escape(operation['summary'])}"
        f"</summary><pre>{html.escape(msgspec.json.format(msgspec.json.encode(operation)).decode())}</pre></details>"
        for path, operations in described["paths"].items()
        for method, operation in operations.items()
    )
    schemas = "".join(
        f"<details><summary><code>{html.escape(name)}</code></summary>"
        f"<pre>{html.escape(msgspec.json.format(msgspec.json.encode(schema)).decode())}</pre></details>"
        for name, schema in described["components"]["schemas"].items()
    )
    return Response(
        _PAGE.format(rows=rows, schemas=schemas),
        media_type="text/html",
        headers={"Content-Security-Policy": _POLICY},
    )


_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Ciranda API</title>
<style>body{{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}}
details{{border-bottom:1px solid #ddd;padding:.4rem 0}}summary{{cursor:pointer}}
pre{{background:#f6f6f4;padding:1rem;overflow:auto}}</style>
<h1>Ciranda</h1><p>The machine-readable document is <a href="/openapi.json">/openapi.json</a>.</p>
<h2>Calls</h2>{rows}<h2>Shapes</h2>{schemas}</html>"""
