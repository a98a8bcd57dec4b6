"""Passwords and tokens in DP-GEN's files, which are neither shown nor written to a script.

They are recognised by the names that hold them, at any depth, and by the shell line that assigns or gives them.
Options of a job are stored in AiiDA's database in clear, and exported with every archive of the job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Shown instead of a value that may be a password.
HIDDEN = '(not shown)'
#: Names, or their parts, of which no value is shown.
_SECRET = re.compile(
    r'passw|passphrase|passcode|pgpass|(?<![a-z])pass(?![a-z])|\bpwd\b|_pwd|pwd_|secret|token|credential|totp|(?<![a-z])otp|ticket|cookie|bearer'
    r'|(?<![a-z])o?auth(?!ors?(?![a-z]))|remote_profile',
    re.IGNORECASE,
)
#: Names of keys, such as `access_key`; a number of that name is no secret.
_KEY = re.compile(r'(?<![A-Za-z])(?i:key)s?(?![A-Za-z])|[a-z]Keys?(?![a-z])|apikey|accesskey|privatekey|secretkey')
_ASSIGNED = re.compile(r'([A-Za-z_][\w-]*)["\']?\s*[=:]')
_OPTION = re.compile(r'(?:^|\s)--?([A-Za-z][\w-]*)')
_ADDRESS = re.compile(r'://[^/\s:@]*:[^/\s@]+@')


def names_secret(name: str) -> bool:
    """Whether a key or a variable of this name may hold a password, a token or a key.

    :param name: name of the key or of the variable.

    >>> [names_secret(name) for name in ('password', 'MP_API_KEY', 'accessKey', 'KEYWORD', 'author')]
    [True, True, True, False, False]
    """
    return bool(_SECRET.search(name) or _KEY.search(name))


def holds_secret(text: str) -> bool:
    """Whether a text assigns a variable, or gives an option, of such a name, or is an address with a password.

    :param text: a shell line or any other text.

    >>> [holds_secret(text) for text in ('export MP_API_KEY=abc', 'get --token abc', 'module load cuda')]
    [True, True, False]
    """
    found = [match[1] for pattern in (_ASSIGNED, _OPTION) for match in pattern.finditer(text)]
    return any(map(names_secret, found)) or bool(_ADDRESS.search(text))


def without_secrets(value: Any, name: str = '') -> Any:
    """Return ``value`` without passwords.

    :param value: value of the file.
    :param name: its key.
    """
    if _SECRET.search(name) or (_KEY.search(name) and not isinstance(value, (bool, int, float, type(None)))):
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: without_secrets(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return HIDDEN if isinstance(value, str) and holds_secret(value) else value
