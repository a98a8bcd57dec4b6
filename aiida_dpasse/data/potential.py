"""`DeepPotentialData`: a model file of DeePMD-kit and its metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_dpasse.deepmd.checkpoint import ModelFile, read_model_file
from aiida_dpasse.deepmd.compatibility import objection_to_version, read_version
from aiida_dpasse.deepmd.engine import is_checkpoint, model_file


class DeepPotentialData(orm.SinglefileData):
    """A DeePMD-kit potential: a checkpoint (``.pt``), or a frozen or compressed model (``.pth``, ``.pb``).

    All metadata is read from the file at construction, without executing its content. The training input is complete
    for TensorFlow; PyTorch files contain its model section only.
    """

    KEY_BACKEND = 'backend'
    KEY_FORM = 'form'
    KEY_DESCRIPTOR = 'descriptor'
    KEY_TYPE_MAP = 'type_map'
    KEY_CUTOFF = 'cutoff'
    KEY_PARAMETERS = 'parameters'
    KEY_HEADS = 'heads'
    KEY_VERSION = 'deepmd_version'
    KEY_SHA256 = 'sha256'
    KEY_INPUT = 'training_input'
    KEY_STEP = 'step'
    KEY_MIGRATION = 'needs_migration'

    @classmethod
    def from_file(cls, path: str | Path, deepmd_version: str | None = None) -> DeepPotentialData:
        """Import a model file.

        :param path: a ``.pt``, ``.pth`` or ``.pb`` file.
        :param deepmd_version: version of DeePMD-kit that wrote it, if known; model files do not contain it.
        :raises ValueError: if the file is no model or unsafe to load; the message is one sentence.
        """
        path = Path(path)
        if deepmd_version is not None:
            read_version(deepmd_version)
        content = read_model_file(path)
        node = cls(path.resolve(), filename=model_file(content.backend, content.form))
        node._describe(content, hashlib.sha256(path.read_bytes()).hexdigest(), deepmd_version)
        return node

    def _describe(self, content: ModelFile, sha256: str, deepmd_version: str | None) -> None:
        self.base.attributes.set_many(
            {
                self.KEY_BACKEND: content.backend,
                self.KEY_FORM: content.form,
                self.KEY_DESCRIPTOR: content.descriptor,
                self.KEY_TYPE_MAP: content.type_map,
                self.KEY_CUTOFF: content.cutoff,
                self.KEY_PARAMETERS: content.parameters,
                self.KEY_HEADS: content.heads,
                self.KEY_VERSION: deepmd_version,
                self.KEY_SHA256: sha256,
                self.KEY_INPUT: content.training_input,
                self.KEY_STEP: content.step,
                self.KEY_MIGRATION: content.needs_migration,
            }
        )

    def _validate(self) -> bool:
        """Check, before storing, that the file is a model and matches the attributes."""
        super()._validate()
        with self.as_path() as path:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            try:
                content = read_model_file(path, name=self.filename)
            except ValueError as exception:
                raise ValidationError(str(exception)) from exception
        expected = {self.KEY_SHA256: sha256, self.KEY_TYPE_MAP: content.type_map, self.KEY_FORM: content.form}
        if any(self.base.attributes.get(key, None) != value for key, value in expected.items()):
            raise ValidationError('The attributes do not describe the file: build the node with `from_file`.')
        return True

    # -- metadata ---------------------------------------------------------------------------------------------------

    def _get(self, key: str) -> Any:
        return self.base.attributes.get(key, None)

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
        """Names of the heads of a multi-task checkpoint."""
        return list(self._get(self.KEY_HEADS))

    @property
    def deepmd_version(self) -> str | None:
        """Version of DeePMD-kit that wrote the file, or None if unknown."""
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
    def step(self) -> int | None:
        """Number of completed training steps of a checkpoint, or None."""
        value = self._get(self.KEY_STEP)
        return None if value is None else int(value)

    # -- compatibility ----------------------------------------------------------------------------------------------

    def missing_elements(self, elements: Iterable[str]) -> list[str]:
        """Return the ``elements`` that are not in the type map, sorted."""
        return sorted(set(elements) - set(self.type_map))

    def check_elements(self, elements: Iterable[str], what: str) -> str | None:
        """Check that the type map contains all ``elements``.

        :param elements: symbols of the elements.
        :param what: description of their source, for the message.
        :returns: one sentence that states the problem, or None.
        """
        missing = self.missing_elements(elements)
        if not missing:
            return None
        return f'The potential does not know {", ".join(missing)} of {what}: its type map is {" ".join(self.type_map)}.'

    def check_usable_with(self, version: str | None) -> str | None:
        """Check that DeePMD-kit ``version`` can read the file.

        A checkpoint that `needs_migration` is refused even if the version is unknown.

        :param version: version of DeePMD-kit, or None if unknown.
        :returns: one sentence that states the problem, or None.
        """
        return objection_to_version(version, self.descriptor, self.needs_migration, self.deepmd_version)
