"""Read a YAML file strictly: one mapping, no key twice, and every problem said with its line and without its content.

What YAML itself says about a broken file may quote a secret that stands in it; so each sentence here is our own.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml


class DocumentError(Exception):
    """The file cannot be read as one YAML mapping; ``problems`` are sentences that start with the line where known."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


#: What a file holds if nothing else is said.
_CONFIGURATION = "a mapping with at least the key targets"


def read(path: Path, *, expected: str = _CONFIGURATION) -> dict[Any, Any]:
    """Return the mapping in the file at ``path``.

    Args:
        path: the YAML file.
        expected: what to say that the file should hold when it holds something else.

    Raises:
        DocumentError: the file is absent, unreadable, not UTF-8, not YAML, not a mapping, or has a key twice.
    """
    return parse(_text(path), expected=expected)


def parse(text: str, *, expected: str = _CONFIGURATION) -> dict[Any, Any]:
    """Return the mapping that ``text`` holds.

    Raises:
        DocumentError: the text is not YAML, not a mapping, or has a key twice.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        problems = _structure_problems(node)
        if problems:
            raise DocumentError(*problems)
        document = loader.construct_document(node) if node is not None else None
    except yaml.MarkedYAMLError as error:
        raise DocumentError(_sentence(error)) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError(
            f"line {line}: a control character that YAML does not allow, expected printable text"
        ) from None
    except RecursionError:
        raise DocumentError("is nested too deeply, expected a mapping of sections") from None
    finally:
        if loader is not None:
            loader.dispose()
    if document is None:
        raise DocumentError(f"is empty, expected {expected}")
    if not isinstance(document, dict):
        raise DocumentError(f"is {kind(document)}, expected {expected}")
    return document


def kind(value: Any) -> str:
    """Return what a value from a YAML document is, in words: "a list", "a number"."""
    names = {
        type(None): "empty",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "text",
        dict: "a mapping",
        list: "a list",
    }
    return names.get(type(value), f"a YAML {type(value).__name__}")


class _Loader(yaml.SafeLoader):
    """The safe loader, with a line number on every value that looks like a number or date and is none."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, OverflowError, KeyError, TypeError, AttributeError):
            message = "a value that looks like a number or a date, but is none, expected it in quotes"
            raise yaml.constructor.ConstructorError(None, None, message, node.start_mark) from None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DocumentError("there is no such file, expected a YAML file") from None
    except IsADirectoryError:
        raise DocumentError("is a folder, expected a YAML file") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DocumentError(f"line {line}: a byte that is not UTF-8, expected a YAML file in UTF-8") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DocumentError(f"cannot be read ({reason}), expected a YAML file") from None


def _structure_problems(root: yaml.Node | None) -> list[str]:
    """Return what is wrong with the form of the document: keys that stand twice, lists as keys, a loop of aliases."""
    problems: list[tuple[int, str]] = []
    open_nodes: set[int] = set()
    checked: set[int] = set()

    def visit(node: yaml.Node) -> None:
        if id(node) in open_nodes:
            problems.append((node.start_mark.line + 1, "an alias that contains itself, expected a value"))
            return
        if id(node) in checked:
            return
        checked.add(id(node))
        open_nodes.add(id(node))
        if isinstance(node, yaml.MappingNode):
            problems.extend(_key_problems(node))
            for _, value in node.value:
                visit(value)
        elif isinstance(node, yaml.SequenceNode):
            for value in node.value:
                visit(value)
        open_nodes.discard(id(node))

    if root is not None:
        visit(root)
    return [f"line {line}: {sentence}" for line, sentence in sorted(problems)]


def _key_problems(node: yaml.MappingNode) -> Iterator[tuple[int, str]]:
    first: dict[Hashable, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            yield line, "a list or mapping as a key, expected text"
        elif (key.tag, key.value) in first:
            earlier = first[key.tag, key.value]
            yield line, f"the key {key.value!r} stands already in line {earlier}, expected it once"
        else:
            first[key.tag, key.value] = line


def _sentence(error: yaml.MarkedYAMLError) -> str:
    """Say what YAML could not read, without quoting the file."""
    problem = f"{error.context}: {error.problem}"
    for part, sentence in _UNCLOSED.items():
        if part in problem:
            return f"{_where(error.context_mark)}{sentence}"
    where = _where(error.problem_mark or error.context_mark)
    for part, sentence in _SENTENCES.items():
        if part in problem:
            return f"{where}{sentence}"
    return f"{where}not YAML, expected a mapping of keys and values"


def _where(mark: yaml.Mark | None) -> str:
    return "" if mark is None else f"line {mark.line + 1}: "


# What YAML reports (a part of its message) → what it means to the person who wrote the file. The place that matters of
# something unclosed is where it was opened.
_UNCLOSED = {
    "found unexpected end of stream": "a quote that is never closed, expected the closing quote",
    "expected ',' or ']'": "a list that is never closed, expected a comma or ]",
    "expected ',' or '}'": "a mapping that is never closed, expected a comma or }",
}
_SENTENCES = {
    "'\\t'": "a tab, expected spaces for indentation",
    "looks like a number or a date": "a value that looks like a number or a date but is none, expected it in quotes",
    "mapping values are not allowed here": "a colon where no key can stand, expected the value in quotes"
    " or the line indented as its neighbours",
    "undefined alias": "a value that starts with * and names no anchor, expected it in quotes",
    "could not determine a constructor": "a value that starts with !, expected it in quotes",
    "while scanning a tag": "a value that starts with !, expected it in quotes",
    "but found another document": "a second document, expected a single one",
    "cannot start any token": "a value that starts with a character that YAML reserves, expected it in quotes",
    "expected <block end>": "a line that is indented unlike its neighbours, expected the same indentation",
    "could not find expected ':'": "a line without a colon, expected KEY: VALUE",
}
