"""Base class of the calculations that run a driver script with the Python of the compute machine."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any, ClassVar

from aiida import orm
from aiida.common.datastructures import CalcInfo, CodeInfo
from aiida.common.folders import Folder
from aiida.engine import CalcJob, CalcJobProcessSpec

from aiida_dpasse.calculations.one_worker import OneWorker
from aiida_dpasse.calculations.options import run_as_one_process
from aiida_dpasse.drivers.job import FRAMES, JOB, MANIFEST, OUTPUT, RESULT
from aiida_dpasse.drivers.package import driver_version, pack_driver
from aiida_dpasse.exit_codes import exit_code, job_exit_codes

__all__ = ('FRAMES', 'JOB', 'OUTPUT', 'RESULT', 'DriverCalculation', 'check_manifest')


def check_manifest(retrieved: orm.FolderData) -> str | None:
    """Check the retrieved output of a driver against its manifest.

    :param retrieved: retrieved folder, which contains the result of the driver.
    :return: a clause that describes the first missing or damaged file, or None.
    :raises ValueError: if the result cannot be read.
    """
    repository = retrieved.base.repository
    result = json.loads(repository.get_object_content(RESULT))
    for name, written in result[MANIFEST].items():
        try:
            content = repository.get_object_content(f'{OUTPUT}/{name}', mode='rb')
        except FileNotFoundError:
            return f'{name} is missing'
        if len(content) != written['size']:
            return f'{name} has {len(content)} bytes, the driver wrote {written["size"]}'
        if hashlib.sha256(content).hexdigest() != written['sha256']:
            return f'{name} is not what the driver wrote'
    return None


class DriverCalculation(OneWorker, CalcJob):
    """Calculation job that runs ``python dpasse_<driver>.zip job.json``.

    A subclass sets the driver (`DRIVER`) and the content of the job file (:meth:`driver_job`).
    """

    DRIVER: ClassVar[str]
    #: Modules that are packed together with the driver, relative to the package.
    MODULES: ClassVar[tuple[str, ...]] = ()
    STDOUT: ClassVar[str] = 'driver.out'
    #: Further files to retrieve if they exist.
    RETRIEVE: ClassVar[tuple[Any, ...]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if 'DRIVER' in cls.__dict__:
            cls.MODULES = tuple(sorted({'drivers.job', *cls.MODULES}))
            # The sources of the driver are not part of the hash of the inputs; without this, a modified driver would
            # hit old caches.
            cls.CACHE_VERSION = driver_version(cls.DRIVER, cls.MODULES)

    @classmethod
    def define(cls, spec: CalcJobProcessSpec) -> None:
        """Define the ports and exit codes common to all drivers."""
        super().define(spec)
        run_as_one_process(spec)
        spec.inputs['code'].help = 'Python of the compute machine, with DeePMD-kit and the ASE calculators in use.'
        job_exit_codes(spec)
        exit_code(
            spec,
            'ERROR_NO_RESULT',
            message='The driver left no readable result: {reason}',
            invalidates_cache=True,
        )
        exit_code(
            spec,
            'ERROR_DAMAGED_OUTPUT',
            message='A retrieved file is damaged ({reason}): run the job again.',
            invalidates_cache=True,
        )

    def driver_job(self, folder: Folder) -> tuple[dict[str, Any], list[tuple[str, str, str]]]:
        """Return the content of ``job.json`` and the local files to copy, as (uuid, name, target) triples."""
        raise NotImplementedError

    def remote_links(self) -> list[tuple[str, str, str]]:
        """Return the remote files to link, as (computer uuid, path, target) triples."""
        return []

    def prepare_for_submission(self, folder: Folder) -> CalcInfo:
        """Write the zip file of the driver and its job file."""
        job, copies = self.driver_job(folder)
        archive = f'dpasse_{self.DRIVER}.zip'
        folder.create_file_from_filelike(io.BytesIO(pack_driver(self.DRIVER, self.MODULES)), archive, mode='wb')
        folder.create_file_from_filelike(io.StringIO(json.dumps(job, indent=1)), JOB, mode='w')

        code = CodeInfo()
        code.code_uuid = self.inputs.code.uuid
        code.cmdline_params = [archive, JOB]
        code.stdout_name = self.STDOUT

        info = CalcInfo()
        info.codes_info = [code]
        info.local_copy_list = copies
        # The frames are an input node already; a second copy in the repository of the job would be redundant.
        info.provenance_exclude_list = [FRAMES]
        info.remote_symlink_list = self.remote_links()
        info.retrieve_list = [RESULT, self.STDOUT, OUTPUT, *self.RETRIEVE]
        return info
