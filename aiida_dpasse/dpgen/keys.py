"""Reading of DP-GEN's files such that no key is lost: each is mapped to a parameter or recorded with a reason."""

from __future__ import annotations

import json
import math
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from aiida_dpasse.dpgen.secrets import without_secrets
from aiida_dpasse.quoting import line
from aiida_dpasse.unreadable import UnreadableError

#: Target of a key whose value corresponds to the behaviour here.
AS_HERE = 'nothing: it is so here'
UNKNOWN = 'DP-GEN does not document this key: it was ignored'
#: Largest file, in bytes, and most levels and values that it may have: DP-GEN's own examples need a hundredth.
LARGEST_FILE, DEEPEST, MOST_VALUES = 2**20, 40, 100_000
#: Largest number. A unit is converted by a factor of up to 1e4.
LARGEST_NUMBER = 1e30


class Unmatched(NamedTuple):
    """A key without a counterpart, its value, and the reason or an alternative."""

    key: str
    value: Any
    why: str


class Ledger:
    """Record of all keys: ``mapped`` to the name of a parameter here, or ``unmatched``."""

    def __init__(self) -> None:
        self.mapped: dict[str, str] = {}
        self.unmatched: list[Unmatched] = []
        self._recorded: set[str] = set()

    def leave(self, key: str, value: Any, why: str) -> None:
        """Record that ``key`` has no counterpart; repeated entries are stored once."""
        entry = Unmatched(key, without_secrets(value, key), why)
        if (text := json.dumps(entry, default=str)) not in self._recorded:
            self._recorded.add(text)
            self.unmatched.append(entry)


class Keys:
    """The keys of one mapping.

    Names that start with ``_`` are comments, as in DP-GEN.

    :param content: the mapping.
    :param ledger: record of all keys.
    :param where: prefix of the names in the ledger.
    :raises UnreadableError: if ``content`` is not a mapping.
    """

    def __init__(self, content: Any, ledger: Ledger, where: str = '') -> None:
        given = mapping(content, where.rstrip('.') or 'the file')
        self.content = {name: value for name, value in given.items() if not name.startswith('_')}
        self.ledger, self.where = ledger, where
        self._open = set(self.content)

    def __contains__(self, name: str) -> bool:
        return name in self.content

    def take(self, names: str | tuple[str, ...], to: str, default: Any = None) -> Any:
        """Return the value of the first of ``names`` that exists and record its target.

        :param names: one name or several alternatives.
        :param to: name of the parameter here.
        :param default: value if none of the names exists.
        """
        for name in (names,) if isinstance(names, str) else names:
            if name in self.content:
                self._open.discard(name)
                self.ledger.mapped[self.where + name] = to
                return self.content[name]
        return default

    def need(self, name: str, to: str) -> Any:
        """Return the value of ``name`` and record its target ``to``.

        :raises UnreadableError: if it is missing.
        """
        if name not in self.content:
            raise UnreadableError(f'`{self.where}{name}` is missing: give it, DP-GEN needs it too.')
        return self.take(name, to)

    def leave(self, name: str, why: str, off: tuple[Any, ...] = ()) -> None:
        """Record ``name``, if it exists, as unmatched unless its value has no effect.

        :param name: name of the key.
        :param why: the reason, or an alternative.
        :param off: values that correspond to the behaviour here.
        """
        if name not in self.content:
            return
        self._open.discard(name)
        if self.content[name] in off:
            self.ledger.mapped[self.where + name] = AS_HERE
        else:
            self.ledger.mapped.pop(self.where + name, None)
            self.ledger.leave(self.where + name, self.content[name], why)

    def remaining(self) -> list[str]:
        """Return the keys that were neither taken nor left."""
        return [name for name in self.content if name in self._open]

    def leave_rest(self, why: str = UNKNOWN) -> None:
        """Record all remaining keys as unmatched."""
        for name in self.remaining():
            self.leave(name, why)


def read_content(path: str | Path) -> Any:
    """Return the content of a JSON file, or of a YAML file (`.yaml`, `.yml`).

    :param path: path of the file.
    :raises UnreadableError: if the file cannot be read, is neither JSON nor YAML, is larger or nested more deeply than
        any of DP-GEN, or has a number that is not finite or too large for a program.
    """
    file = Path(path)
    kind = 'YAML' if file.suffix.lower() in ('.yaml', '.yml') else 'JSON'
    name = line(file)
    text = read_text(file, LARGEST_FILE)
    try:
        content = _load_yaml(text, name) if kind == 'YAML' else json.loads(text, parse_int=_whole_number)
    except RecursionError:
        raise _too_deep(name) from None
    except OverflowError:
        raise _no_number(name) from None
    except json.JSONDecodeError as error:
        raise UnreadableError(f'`{name}` is no JSON: line {error.lineno}, column {error.colno}: correct it.') from None
    except yaml.MarkedYAMLError as error:
        place = f': line {mark.line + 1}, column {mark.column + 1}' if (mark := error.problem_mark) else ''
        raise UnreadableError(f'`{name}` is no YAML{place}: correct it.') from None
    except (ValueError, yaml.YAMLError):
        # An invalid date, or a character that YAML forbids.
        raise UnreadableError(f'`{name}` is no {kind}: correct it.') from None
    _check_values(content, name)
    # YAML has dates, and names that are no text: as in JSON, they are text here.
    return json.loads(json.dumps(_named(content), default=str))


def read_text(path: Path, largest: int) -> str:
    """Return the text of a file.

    :param path: path of the file.
    :param largest: largest accepted size in bytes.
    :raises UnreadableError: if it is no regular file, is larger, or is no text.
    """
    name = line(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError(f'`{name}` is no regular file: give a file of DP-GEN.')
        if status.st_size > largest:
            raise UnreadableError(
                f'`{name}` has {status.st_size} bytes, more than any file of DP-GEN ({largest}): give another file.'
            )
        return path.read_bytes().decode('utf8')
    except OSError as error:
        raise UnreadableError(f'`{name}` cannot be read ({error.strerror}): give a file of DP-GEN.') from None
    except UnicodeDecodeError as error:
        raise UnreadableError(f'`{name}` is no UTF-8 text from byte {error.start} on: correct it.') from None


def _load_yaml(text: str, name: str) -> Any:
    """Return the content of a YAML text, of which aliases and merged mappings are counted before they are copied."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise _too_deep(name)
    loader = _Loader(text)
    node = loader.get_single_node()
    if node is None:
        return None
    if _nodes(node, {}) > MOST_VALUES:
        raise UnreadableError(f'`{name}` has more than {MOST_VALUES} values: give a file of DP-GEN.')
    return loader.construct_document(node)


_BROKEN = re.compile(r'[\0\ud800-\udfff]')
_Loader: Any = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)


def _nodes(node: yaml.Node, known: dict[int, float]) -> float:
    """Return the number of values of a node, an alias counted as often as it is used; infinity if it holds itself."""
    if id(node) not in known:
        known[id(node)] = math.inf
        inner = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else []
        inner = node.value if isinstance(node, yaml.SequenceNode) else inner
        known[id(node)] = 1 + sum(_nodes(part, known) for part in inner)
    return known[id(node)]


def _whole_number(text: str) -> int:
    if len(text) > len(str(int(LARGEST_NUMBER))) + 1:
        raise OverflowError
    return int(text)


def _check_values(content: Any, name: str) -> None:
    """Refuse what is nested too deeply, has too many values, numbers that no program takes, or broken text."""
    count, level = 0, [content]
    for _ in range(DEEPEST + 1):
        for value in level:
            if isinstance(value, (int, float)) and not abs(value) <= LARGEST_NUMBER:
                raise _no_number(name)
            if isinstance(value, str) and _BROKEN.search(value):
                raise UnreadableError(f'`{name}` has text with a null character or half a character: correct it.')
        count += len(level)
        if count > MOST_VALUES:
            raise UnreadableError(f'`{name}` has more than {MOST_VALUES} values: give a file of DP-GEN.')
        level = [part for value in level for part in _parts(value)]
        if not level:
            return
    raise _too_deep(name)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value
        yield from value.values()
    elif isinstance(value, (list, tuple, set)):
        yield from value


def _named(value: Any) -> Any:
    """Return ``value`` with names that are text: YAML also has numbers, dates and lists as names."""
    if isinstance(value, Mapping):
        return {name if isinstance(name, str) else str(name): _named(item) for name, item in value.items()}
    return [_named(item) for item in value] if isinstance(value, (list, tuple, set)) else value


def _too_deep(name: str) -> UnreadableError:
    return UnreadableError(f'`{name}` is nested more than {DEEPEST} levels deep: give a file of DP-GEN.')


def _no_number(name: str) -> UnreadableError:
    return UnreadableError(
        f'`{name}` has a number that is not finite, or beyond {LARGEST_NUMBER:g}: correct it (NaN, Infinity, 1e999).'
    )


def number(value: Any, name: str, above: float | None = None, least: float | None = None) -> float:
    """Return ``value`` unchanged if it is a number.

    :param value: value of the file.
    :param name: key, for messages.
    :param above: exclusive lower bound.
    :param least: inclusive lower bound.
    :raises UnreadableError: if it is not a number, not greater than ``above``, or below ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UnreadableError(f'`{name}` should be a number, got {shortened(value)}.')
    if above is not None and not value > above:
        raise UnreadableError(f'`{name}` should be greater than {above:g}, got {value}.')
    if least is not None and value < least:
        raise UnreadableError(f'`{name}` should be at least {least:g}, got {value}.')
    return value


def whole(value: Any, name: str, least: int = 1, most: int = 10**15) -> int:
    """Return ``value`` as an integer.

    :param value: value of the file.
    :param name: key, for messages.
    :param least: smallest allowed value.
    :param most: largest allowed value.
    :raises UnreadableError: if it is not a whole number, smaller than ``least`` or larger than ``most``.
    """
    if number(value, name, least - 1) != int(value):
        raise UnreadableError(f'`{name}` should be a whole number, got {value}.')
    if value > most:
        raise UnreadableError(f'`{name}` should be at most {most}, got {value}.')
    return int(value)


def listed(value: Any, name: str) -> list[Any]:
    """Return ``value`` if it is a list.

    :param value: value of the file.
    :param name: key, for messages.
    :raises UnreadableError: if it is not a list.
    """
    if not isinstance(value, list):
        raise UnreadableError(f'`{name}` should be a list, got {shortened(value)}.')
    return value


def mapping(value: Any, name: str) -> dict[str, Any]:
    """Return a copy of ``value`` if it is a mapping.

    :param value: value of the file.
    :param name: key, for messages.
    :raises UnreadableError: if it is not a mapping.
    """
    if not isinstance(value, Mapping):
        raise UnreadableError(f'`{name}` should be a mapping of names to values, got {shortened(value)}.')
    return dict(value)


def shortened(value: Any, length: int = 60) -> str:
    """Return ``value`` as JSON without passwords, truncated to ``length`` characters."""
    text = json.dumps(without_secrets(value), default=str)
    return text if len(text) <= length else text[: length - 4] + ' ...'
