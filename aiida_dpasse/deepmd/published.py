"""DeePMD-kit's registry of pretrained models: names and SHA-256 of the published files. Nothing is downloaded."""

from __future__ import annotations


def _registry() -> dict[str, str]:
    from deepmd.pretrained.registry import MODEL_REGISTRY

    return {name: str(entry['sha256']) for name, entry in MODEL_REGISTRY.items()}


def published_name(sha256: str) -> str | None:
    """Return the name under which a file was published, or None.

    :param sha256: hash of the file.
    """
    return next((name for name, known in _registry().items() if known == sha256), None)


def published_sha256(name: str) -> str | None:
    """Return the SHA-256 of the file that was published under a name, None if the registry has no such name.

    :param name: name as the registry writes it.
    """
    return _registry().get(name)


def check_published(name: str, sha256: str) -> str:
    """Check that a file is the one published under a name.

    :param name: name in the registry, in upper or lower case.
    :param sha256: hash of the file.
    :return: the name as the registry writes it.
    :raises ValueError: in one sentence, if there is no such name, or if the file is another one.
    """
    registry = _registry()
    found = next((known for known in registry if known.lower() == name.lower()), None)
    if found is None:
        raise ValueError(
            f"there is no `{name}` in DeePMD-kit's registry of pretrained models: choose one of {', '.join(registry)}."
        )
    if registry[found] != sha256:
        raise ValueError(
            f'it is not the published {found}: its SHA-256 is {sha256}, that of the registry {registry[found]}; '
            f'download it again (`dp pretrained download {found}`), or leave out the name.'
        )
    return found
