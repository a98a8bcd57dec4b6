"""`DeepPotentialData`: a model file of DeePMD-kit and its metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.exceptions import ValidationError
from aiida.orm.implementation.utils import clean_value

from aiida_dpasse import quoting
from aiida_dpasse.deepmd.checkpoint import ModelFile, hash_of, read_model_file
from aiida_dpasse.deepmd.compatibility import (
    objection_to_lammps,
    objection_to_python,
    objection_to_version,
    read_version,
)
from aiida_dpasse.deepmd.engine import is_checkpoint, model_file
from aiida_dpasse.deepmd.model_kind import check_potential, lora_of
from aiida_dpasse.deepmd.multitask import single_heads
from aiida_dpasse.deepmd.published import check_published, published_sha256
from aiida_dpasse.unreadable import UnreadableError


def validate_potentials(value: Any, port: Any) -> str | None:
    """Check that what the nodes of an input port state about themselves is what their files contain.

    :param value: a potential, potentials by label, or None.
    :param port: the port, whose name begins the message.
    """
    nodes = value if isinstance(value, Mapping) else {None: value}
    for label, node in nodes.items():
        if isinstance(node, DeepPotentialData) and (message := node.check_file()):
            return f'{port.name}{"" if label is None else f".{label}"}: {message}'
    return None


class DeepPotentialData(orm.SinglefileData):
    """A DeePMD-kit potential: a checkpoint (``.pt``), or a frozen or compressed model (``.pth``, ``.pb``).

    All metadata is read from the file at construction, without executing its content. The training input is complete
    for TensorFlow; PyTorch files contain its model section only. The attributes of a stored node may come from an
    archive of somebody else, and AiiDA imports them as they are: the metadata of a stored node is that of its file,
    read again before the first use, and attributes that differ from it are an error.
    """

    KEY_BACKEND = 'backend'
    KEY_FORM = 'form'
    KEY_DESCRIPTOR = 'descriptor'
    KEY_TYPE_MAP = 'type_map'
    KEY_CUTOFF = 'cutoff'
    KEY_PARAMETERS = 'parameters'
    KEY_HEADS = 'heads'
    KEY_OTHER_HEADS = 'other_heads'
    KEY_VERSION = 'deepmd_version'
    KEY_SHA256 = 'sha256'
    KEY_INPUT = 'training_input'
    KEY_STEP = 'step'
    KEY_MIGRATION = 'needs_migration'
    KEY_PYTHON = 'python_before'
    KEY_PUBLISHED = 'published_as'

    @classmethod
    def from_file(
        cls, path: str | Path, deepmd_version: str | None = None, published_as: str | None = None
    ) -> DeepPotentialData:
        """Import a model file.

        :param path: a ``.pt``, ``.pth`` or ``.pb`` file.
        :param deepmd_version: version of DeePMD-kit that wrote it, if known; model files do not contain it.
        :param published_as: name in DeePMD-kit's registry of pretrained models, whose SHA-256 the file must have.
        :raises ValueError: if the file is no model, no potential, not the published one, or unsafe to load; the message
            is one sentence.
        """
        path = Path(path)
        if deepmd_version is not None:
            read_version(deepmd_version)
        content = read_model_file(path)
        node = cls(path.resolve(), filename=model_file(content.backend, content.form))
        sha256 = hash_of(path)
        published = None if published_as is None else check_published(published_as, sha256)
        node._describe(content, sha256, deepmd_version, published)
        return node

    def _describe(self, content: ModelFile, sha256: str, deepmd_version: str | None, published: str | None) -> None:
        known = {self.KEY_VERSION: deepmd_version, self.KEY_PUBLISHED: published}
        self.base.attributes.set_many(self._attributes_of(content, sha256) | known)

    @classmethod
    def _attributes_of(cls, content: ModelFile, sha256: str) -> dict[str, Any]:
        """Return the attributes that a file determines."""
        return {
            cls.KEY_BACKEND: content.backend,
            cls.KEY_FORM: content.form,
            cls.KEY_DESCRIPTOR: content.descriptor,
            cls.KEY_TYPE_MAP: content.type_map,
            cls.KEY_CUTOFF: content.cutoff,
            cls.KEY_PARAMETERS: content.parameters,
            cls.KEY_HEADS: content.heads,
            cls.KEY_OTHER_HEADS: content.other_heads,
            cls.KEY_SHA256: sha256,
            cls.KEY_INPUT: content.training_input,
            cls.KEY_STEP: content.step,
            cls.KEY_MIGRATION: content.needs_migration,
            cls.KEY_PYTHON: content.python_before,
        }

    def _validate(self) -> bool:
        """Check, before storing, that the file is a model and matches the attributes."""
        super()._validate()
        try:
            found = self._read_file()
        except UnreadableError as exception:
            raise ValidationError(str(exception)) from exception
        if any(self.base.attributes.get(key, None) != value for key, value in found.items()):
            raise ValidationError('The attributes do not describe the file: build the node with `from_file`.')
        return True

    # -- metadata ---------------------------------------------------------------------------------------------------

    def _read_file(self) -> dict[str, Any]:
        """Return the attributes that the file of the node determines.

        :raises UnreadableError: if it is no model, or has not the name that `from_file` gives it.
        """
        name = str(self.base.attributes.get('filename', ''))
        try:
            with self.as_path() as path:
                found = self._attributes_of(read_model_file(path, name=name), hash_of(path))
        except OSError as exception:
            raise UnreadableError('its file is missing in the repository.') from exception
        if name != model_file(found[self.KEY_BACKEND], found[self.KEY_FORM]):
            shown = quoting.line(name)[:100]
            raise UnreadableError(f'`{shown}` is not the name of its kind of model: build the node with `from_file`.')
        return found

    def _get(self, key: str) -> Any:
        """Return a property: of the file for a stored node, which was compared with the attributes."""
        if not self.is_stored:
            return self.base.attributes.get(key, None)
        if not hasattr(self, '_checked'):
            self._checked = self._compare(self._read_of_stored())
        return self._checked.get(key)

    def _read_of_stored(self) -> dict[str, Any]:
        try:
            return self._read_file()
        except UnreadableError as exception:
            raise UnreadableError(f'The potential {self.pk} ({self.uuid}) cannot be used: {exception}') from exception

    def _compare(self, found: dict[str, Any]) -> dict[str, Any]:
        """Return the properties of the file and those that only the node states.

        :raises UnreadableError: if the attributes differ from the file.
        """
        stated = self.base.attributes.all
        # Nodes of earlier releases lack some; the reasons why heads are no potentials are sentences of each release.
        keys = [key for key in found if key in stated and key != self.KEY_OTHER_HEADS]
        # AiiDA rounds numbers when it stores them.
        differing = [key for key in keys if stated[key] != clean_value(found[key])]
        published = stated.get(self.KEY_PUBLISHED)
        known = None if published is None else published_sha256(str(published))
        if known not in (None, found[self.KEY_SHA256]):
            differing.append(self.KEY_PUBLISHED)
        version = stated.get(self.KEY_VERSION)
        try:
            version is None or read_version(str(version))
        except ValueError:
            differing.append(self.KEY_VERSION)
        if differing:
            raise UnreadableError(
                f'The potential {self.pk} ({self.uuid}) is not what it states: its attribute `{differing[0]}` is '
                f'{quoting.line(stated.get(differing[0]))[:100]}, and its file has '
                f'{quoting.line(found.get(differing[0], "nothing of it"))[:100]}; do not use it, and ask where the '
                'archive came from.'
            )
        return found | {self.KEY_VERSION: version, self.KEY_PUBLISHED: published if known else None}

    def check_file(self) -> str | None:
        """Check that the file can be read, and that the attributes describe it.

        :returns: one sentence that states the problem, or None.
        """
        try:
            self._get(self.KEY_SHA256)
        except UnreadableError as exception:
            return str(exception)
        return None

    @property
    def framework(self) -> str:
        """Backend of DeePMD-kit: 'pytorch' or 'tensorflow' (`backend` of a node is AiiDA's storage)."""
        return str(self._get(self.KEY_BACKEND))

    @property
    def form(self) -> str:
        """Form of the model: 'checkpoint', 'frozen' or 'compressed'."""
        return str(self._get(self.KEY_FORM))

    @property
    def is_checkpoint(self) -> bool:
        """Whether it can be trained further, and has to be frozen before LAMMPS can run it."""
        return is_checkpoint(self.form)

    @property
    def descriptor(self) -> str:
        """Type of the descriptor, for example 'dpa2'; types of several heads are joined by '+'."""
        return str(self._get(self.KEY_DESCRIPTOR))

    @property
    def type_map(self) -> list[str]:
        """Elements of the potential, in the order of its types."""
        return list(self._get(self.KEY_TYPE_MAP))

    @property
    def cutoff(self) -> float:
        """Cutoff radius in A of one layer."""
        return float(self._get(self.KEY_CUTOFF))

    @property
    def parameters(self) -> int | None:
        """Number of trainable parameters; None if the file does not contain it (frozen PyTorch, compressed)."""
        value = self._get(self.KEY_PARAMETERS)
        return None if value is None else int(value)

    @property
    def heads(self) -> list[str]:
        """Names of the heads of a multi-task checkpoint that are potentials."""
        return list(self._get(self.KEY_HEADS))

    @property
    def other_heads(self) -> dict[str, str]:
        """The other heads of a multi-task checkpoint, with the reason why each is no potential."""
        return dict(self._get(self.KEY_OTHER_HEADS) or {})

    @property
    def deepmd_version(self) -> str | None:
        """Version of DeePMD-kit that wrote the file as stated at its import, or None; the file does not contain it."""
        value = self._get(self.KEY_VERSION)
        return None if value is None else str(value)

    @property
    def sha256(self) -> str:
        """SHA-256 hash of the file."""
        return str(self._get(self.KEY_SHA256))

    @property
    def training_input(self) -> dict[str, Any]:
        """Training input, complete for TensorFlow, the model section only for PyTorch."""
        return dict(self._get(self.KEY_INPUT))

    @property
    def needs_migration(self) -> bool:
        """Whether the file is a DPA-2 checkpoint of DeePMD-kit 3.0, which `dpasse.migrate` updates."""
        return bool(self._get(self.KEY_MIGRATION))

    @property
    def python_before(self) -> str | None:
        """First release whose Python cannot evaluate the frozen model, which LAMMPS still runs, or None."""
        value = self._get(self.KEY_PYTHON)
        return None if value is None else str(value)

    @property
    def published_as(self) -> str | None:
        """Name in DeePMD-kit's registry of pretrained models, whose SHA-256 was compared, or None."""
        value = self._get(self.KEY_PUBLISHED)
        return None if value is None else str(value)

    @property
    def lora(self) -> dict[str, Any] | None:
        """Rank and alpha of the low-rank adaptation (LoRA) with which it was fine-tuned, or None."""
        return lora_of(self.training_input)

    @property
    def step(self) -> int | None:
        """Number of completed training steps of a checkpoint, or None."""
        value = self._get(self.KEY_STEP)
        return None if value is None else int(value)

    # -- compatibility ----------------------------------------------------------------------------------------------

    def missing_elements(self, elements: Iterable[str]) -> list[str]:
        """Return the ``elements`` that are not in the type map, sorted."""
        return sorted(set(elements) - set(self.type_map))

    def check_kind(self) -> str | None:
        """Check that the file is what the node states and a potential, which nodes of earlier releases may not be.

        :returns: one sentence that states the problem, or None.
        """
        if message := self.check_file():
            return message
        heads = single_heads(self.training_input.get('model', {})).values()
        objections = [check_potential(section, self.is_checkpoint) for section in heads]
        return f'It {objections[0]}' if all(objections) else None

    def check_elements(self, elements: Iterable[str], what: str) -> str | None:
        """Check that the model is a potential whose type map contains all ``elements``.

        :param elements: symbols of the elements.
        :param what: description of their source, for the message.
        :returns: one sentence that states the problem, or None.
        """
        if message := self.check_kind():
            return message
        missing = self.missing_elements(elements)
        if not missing:
            return None
        return f'The potential does not know {", ".join(missing)} of {what}: its type map is {" ".join(self.type_map)}.'

    def check_usable_with(self, version: str | None) -> str | None:
        """Check that the model is a potential and that DeePMD-kit ``version`` can read the file.

        A checkpoint that `needs_migration` is refused even if the version is unknown.

        :param version: version of DeePMD-kit, or None if unknown.
        :returns: one sentence that states the problem, or None.
        """
        return self.check_kind() or objection_to_version(
            version, self.descriptor, self.needs_migration, self.deepmd_version
        )

    def check_usable_in_python(self, version: str | None) -> str | None:
        """Check that the Python of DeePMD-kit ``version`` can evaluate the potential: `check_usable_with`, and more.

        :param version: version of DeePMD-kit, or None if unknown.
        :returns: one sentence that states the problem, or None.
        """
        return self.check_usable_with(version) or objection_to_python(version, self.python_before)

    def check_usable_in_lammps(self, version: str | None) -> str | None:
        """Check that LAMMPS with DeePMD-kit ``version`` computes the right forces: `check_usable_with`, and more.

        :param version: version of DeePMD-kit, or None if unknown.
        :returns: one sentence that states the problem, or None.
        """
        return self.check_usable_with(version) or objection_to_lammps(self.descriptor, self.python_before)
