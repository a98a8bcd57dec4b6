"""Write frames in DeePMD-kit's layout."""

from __future__ import annotations

from tempfile import TemporaryDirectory

from aiida import orm
from aiida.engine import calcfunction

from aiida_dpasse.data.frames import FramesData


@calcfunction
def deepmd_dataset(frames: FramesData) -> orm.FolderData:
    """Return a folder with the frames as DeePMD-kit reads them, for a job that takes any folder.

    :param frames: the frames.
    """
    with TemporaryDirectory() as directory:
        frames.write(directory)
        return orm.FolderData(tree=directory)
