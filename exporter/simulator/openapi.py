"""The OpenAPI document of what the simulator serves, written from the same operations that it routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from exporter.simulator.api import VERSION, Operation
from exporter.simulator.dialects import Absent, Dates, Dialect, Envelope, Mode

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_INTEGER: Schema = {"type": "integer", "format": "int32"}
_LONG: Schema = {"type": "integer", "format": "int64"}


def document(operations: Iterable[Operation], dialect: Dialect, *, server: str, title: str) -> dict[str, Any]:
    """Return an OpenAPI 3 document; ``server`` is the base URL below which the operations' paths are."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.0.1",
        "info": {"title": title, "version": VERSION["version"], "description": "Simulated from public facts."},
        "servers": [{"url": server, "description": "Generated server url"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(dialect),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _TEXT}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    if operation.endpoint in {"jobs", "executions"}:
        parameters += [
            {"name": name, "in": "query", "required": False, "schema": {**_INTEGER, "minimum": 0}}
            for name in ("page", "size")
        ]
    result: dict[str, Any] = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "operationId": _operation_id(operation),
        "parameters": parameters,
        "responses": {
            "200": {"description": "OK", **_content(operation)},
            **{status: _error(name) for status, name in _ERRORS.items()},
        },
    }
    if operation.endpoint == "run":
        run = {"$ref": "#/components/schemas/RunRequest"}
        result["requestBody"] = {"required": False, "content": {"application/json": {"schema": run}}}
    return result


_ERRORS = {"400": "Bad Request", "401": "Unauthorized", "404": "Not Found", "409": "Conflict"}


def _operation_id(operation: Operation) -> str:
    words = re.findall(r"\w+", operation.path.removeprefix("/api/rest"))
    return operation.method.lower() + "".join(word[:1].upper() + word[1:] for word in words)


def _content(operation: Operation) -> dict[str, Any]:
    if not operation.schema:
        return {}
    return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{operation.schema}"}}}}


def _error(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _schemas(dialect: Dialect) -> dict[str, Schema]:
    job_wrapper, execution_wrapper = dialect.wrapper
    return {
        "Job": _row(dialect, dialect.job_keys),
        "Execution": _row(dialect, dialect.execution_keys),
        "JobList": _list(dialect, "Job", job_wrapper),
        "ExecutionList": _list(dialect, "Execution", execution_wrapper),
        "ApplicationList": {"type": "array", "items": _application(dialect)},
        "InstanceVersion": _object(
            {"version": _TEXT, "metadataVersion": _TEXT, "releasePhase": _TEXT, "widgetApplicationApiLevel": _INTEGER}
        ),
        "RunRequest": _object({"jobContext": _TEXT, "jobParams": {"type": "object", "additionalProperties": _TEXT}}),
        "Run": _object(
            {
                "exitCode": {**_INTEGER, "nullable": True},
                "exitMessage": _TEXT,
                "executionId": _TEXT,
                "jobInfo": {"type": "object"},
                "output": _TEXT,
            }
        ),
        "Result": _object({"executionId": _TEXT, "status": _TEXT, "result": _TEXT}),
        "Error": _object({"timestamp": _TEXT, "status": _INTEGER, "error": _TEXT, "message": _TEXT, "path": _TEXT}),
    }


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(properties)}


def _row(dialect: Dialect, keys: Mapping[str, str]) -> Schema:
    result = _object({})
    for name, key in keys.items():
        outer, _, inner = key.partition(".")
        properties = result["properties"]
        if inner:
            properties.setdefault(outer, _object({}))["properties"][inner] = _field(dialect, name, keys)
        else:
            properties[outer] = _field(dialect, name, keys)
    return result


def _field(dialect: Dialect, name: str, keys: Mapping[str, str]) -> Schema:
    is_job = "status" in keys
    schema = _TEXT
    match name:
        case "id" | "job_id" if (is_job or name == "job_id") and not dialect.text_ids:
            return _LONG
        case "id" | "job_id" | "application" | "name" | "type" | "status":
            return _TEXT
        case "mode":
            return {"type": "boolean"} if dialect.mode is Mode.PARALLEL_FLAG else _TEXT
        case "last_update" | "started_at":
            schema = _date(dialect.dates)
        case "current_version" | "published_version" if not dialect.text_versions:
            schema = _INTEGER
    return {**schema, "nullable": True} if dialect.absent is not Absent.LEFT_OUT else schema


def _date(dates: Dates) -> Schema:
    match dates:
        case Dates.EPOCH_MILLISECONDS:
            return _LONG
        case Dates.EPOCH_SECONDS:
            return {"type": "number"}
        case Dates.ARRAY:
            return {"type": "array", "items": _INTEGER}
        case Dates.ISO_Z | Dates.ISO_COLON:
            return {"type": "string", "format": "date-time"}
    return _TEXT


def _application(dialect: Dialect) -> Schema:
    return _object({dialect.application_key: _TEXT, "name": _TEXT}) if dialect.application_key else _TEXT


def _list(dialect: Dialect, component: str, wrapper: str) -> Schema:
    item: Schema = {"$ref": f"#/components/schemas/{component}"}
    rows: Schema = {"type": "array", "items": item}
    numbers = _object(dict.fromkeys(("size", "number", "totalElements", "totalPages"), _LONG))
    match dialect.envelope:
        case Envelope.ARRAY:
            return rows
        case Envelope.WRAPPER:
            return _object({wrapper: rows})
        case Envelope.MAP:
            return {"type": "object", "additionalProperties": item}
        case Envelope.PAGE:
            flags = {name: {"type": "boolean"} for name in ("first", "last", "empty")}
            return _object({"content": rows, **numbers["properties"], **flags})
        case Envelope.PAGED_MODEL:
            return _object({"content": rows, "page": numbers})
    return _object({"_embedded": _object({wrapper: rows}), "_links": {"type": "object"}, "page": numbers})
