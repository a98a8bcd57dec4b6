"""`DeepPotentialData`: a model file of DeePMD-kit and its metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.common.exceptions import ValidationError

from aiida_dpasse.deepmd.checkpoint import ModelFile, read_model_file
from aiida_dpasse.deepmd.compatibility import (
    objection_to_lammps,
    objection_to_python,
    objection_to_version,
    read_version,
)
from aiida_dpasse.deepmd.engine import is_checkpoint, model_file
from aiida_dpasse.deepmd.model_kind import check_potential, lora_of
from aiida_dpasse.deepmd.multitask import single_heads
from aiida_dpasse.deepmd.published import check_published


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
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        published = None if published_as is None else check_published(published_as, sha256)
        node._describe(content, sha256, deepmd_version, published)
        return node

    def _describe(self, content: ModelFile, sha256: str, deepmd_version: str | None, published: str | None) -> None:
        self.base.attributes.set_many(
            {
                self.KEY_BACKEND: content.backend,
                self.KEY_FORM: content.form,
                self.KEY_DESCRIPTOR: content.descriptor,
                self.KEY_TYPE_MAP: content.type_map,
                self.KEY_CUTOFF: content.cutoff,
                self.KEY_PARAMETERS: content.parameters,
                self.KEY_HEADS: content.heads,
                self.KEY_OTHER_HEADS: content.other_heads,
                self.KEY_VERSION: deepmd_version,
                self.KEY_SHA256: sha256,
                self.KEY_INPUT: content.training_input,
                self.KEY_STEP: content.step,
                self.KEY_MIGRATION: content.needs_migration,
                self.KEY_PYTHON: content.python_before,
                self.KEY_PUBLISHED: published,
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
        """Names of the heads of a multi-task checkpoint that are potentials."""
        return list(self._get(self.KEY_HEADS))

    @property
    def other_heads(self) -> dict[str, str]:
        """The other heads of a multi-task checkpoint, with the reason why each is no potential."""
        return dict(self._get(self.KEY_OTHER_HEADS) or {})

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
        """Check that the model is a potential; nodes that were stored before other kinds were refused may not be.

        :returns: one sentence that states the problem, or None.
        """
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
