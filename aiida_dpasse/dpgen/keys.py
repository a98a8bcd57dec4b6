"""Reading of DP-GEN's files such that no key is lost: each is mapped to a parameter or recorded with a reason."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

#: Target of a key whose value corresponds to the behaviour here.
AS_HERE = 'nothing: it is so here'
UNKNOWN = 'DP-GEN does not document this key: it was ignored'
#: Shown instead of a value that may be a password.
HIDDEN = '(not shown)'
_SECRET = re.compile('password|passwd|secret|token|credential|passphrase|remote_profile', re.IGNORECASE)


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

    def leave(self, key: str, value: Any, why: str) -> None:
        """Record that ``key`` has no counterpart; repeated entries are stored once."""
        entry = Unmatched(key, without_secrets(value, key), why)
        if entry not in self.unmatched:
            self.unmatched.append(entry)


class Keys:
    """The keys of one mapping.

    Names that start with ``_`` are comments, as in DP-GEN.

    :param content: the mapping.
    :param ledger: record of all keys.
    :param where: prefix of the names in the ledger.
    :raises ValueError: if ``content`` is not a mapping.
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

        :raises ValueError: if it is missing.
        """
        if name not in self.content:
            raise ValueError(f'`{self.where}{name}` is missing: give it, DP-GEN needs it too.')
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
    :raises ValueError: if the file cannot be read, is neither JSON nor YAML, or has a number that is not finite.
    """
    file = Path(path)
    kind = 'YAML' if file.suffix.lower() in ('.yaml', '.yml') else 'JSON'
    try:
        text = file.read_text(encoding='utf8')
        content = yaml.safe_load(text) if kind == 'YAML' else json.loads(text)
        # YAML has dates, and names that are no text: as in JSON, they are text here.
        return json.loads(json.dumps(content, allow_nan=False, default=str))
    except OSError as error:
        raise ValueError(f'`{file}` cannot be read ({error.strerror}): give a file of DP-GEN.') from None
    except RecursionError:
        raise ValueError(f'`{file}` is nested too deeply: give a file of DP-GEN.') from None
    except (ValueError, TypeError, yaml.YAMLError) as error:
        why = ' '.join(str(error).split())
        raise ValueError(f'`{file}` is no {kind} ({why}): correct it.') from None


def without_secrets(value: Any, name: str = '') -> Any:
    """Return ``value`` without passwords, recognised by the names that hold them.

    :param value: value of the file.
    :param name: its key.
    """
    if _SECRET.search(name.rpartition('.')[2]):
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: without_secrets(item, str(key)) for key, item in value.items()}
    return [without_secrets(item) for item in value] if isinstance(value, list) else value


def number(value: Any, name: str, above: float | None = None, least: float | None = None) -> float:
    """Return ``value`` unchanged if it is a number.

    :param value: value of the file.
    :param name: key, for messages.
    :param above: exclusive lower bound.
    :param least: inclusive lower bound.
    :raises ValueError: if it is not a number, not greater than ``above``, or below ``least``.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f'`{name}` should be a number, got {shortened(value)}.')
    if above is not None and not value > above:
        raise ValueError(f'`{name}` should be greater than {above:g}, got {value}.')
    if least is not None and value < least:
        raise ValueError(f'`{name}` should be at least {least:g}, got {value}.')
    return value


def whole(value: Any, name: str, least: int = 1) -> int:
    """Return ``value`` as an integer.

    :param value: value of the file.
    :param name: key, for messages.
    :param least: smallest allowed value.
    :raises ValueError: if it is not a whole number, or smaller than ``least``.
    """
    if number(value, name, least - 1) != int(value):
        raise ValueError(f'`{name}` should be a whole number, got {value}.')
    return int(value)


def listed(value: Any, name: str) -> list[Any]:
    """Return ``value`` if it is a list.

    :param value: value of the file.
    :param name: key, for messages.
    :raises ValueError: if it is not a list.
    """
    if not isinstance(value, list):
        raise ValueError(f'`{name}` should be a list, got {shortened(value)}.')
    return value


def mapping(value: Any, name: str) -> dict[str, Any]:
    """Return a copy of ``value`` if it is a mapping.

    :param value: value of the file.
    :param name: key, for messages.
    :raises ValueError: if it is not a mapping.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f'`{name}` should be a mapping of names to values, got {shortened(value)}.')
    return dict(value)


def shortened(value: Any, length: int = 60) -> str:
    """Return ``value`` as JSON, truncated to ``length`` characters."""
    text = json.dumps(value, default=str)
    return text if len(text) <= length else text[: length - 4] + ' ...'
