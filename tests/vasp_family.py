"""POTCARs that hold nothing but their names, and the code of the stand-in for VASP, for tests."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from aiida import orm
from aiida.plugins import DataFactory

STAND_IN = Path(__file__).parent / 'stand_ins' / 'vasp.py'
FAMILY = 'stand-ins'
SECRET = 'what only a licence allows to read'

POTCAR = """  PAW_PBE {name} 01Jan2000
   1.00000000000000
 parameters from PSCTR are:
   VRHFIN ={element}: a stand-in
   LEXCH  = PE
   EATOM  =    10.0000 eV,    1.0000 Ry

   TITEL  = PAW_PBE {name} 01Jan2000
   LULTRA =        F    use ultrasoft PP ?
   RCORE  =    1.000    outmost cutoff radius
   POMASS =    1.000; ZVAL   =    1.000    mass and valenz
   ENMAX  =  200.000; ENMIN  =  100.000 eV
 END of PSCTR-controll parameters
 {secret}
"""


def upload_family(folder: Path, names: list[str], family: str = FAMILY) -> None:
    """Make a POTCAR family of stand-ins with these names, as `Li_sv`."""
    for name in names:
        path = folder / family / name / 'POTCAR'
        path.parent.mkdir(parents=True)
        path.write_text(POTCAR.format(name=name, element=name.split('_')[0], secret=SECRET))
    DataFactory('vasp.potcar').upload_potcar_family(folder / family, family, 'Stand-ins', stop_if_existing=False)


def vasp_code(computer: orm.Computer, folder: Path, **settings: Any) -> tuple[orm.InstalledCode, Path]:
    """Return the stand-in as a code, and the file that it logs its runs to."""
    log = folder / 'runs.jsonl'
    text = json.dumps({**settings, 'log': str(log)})
    script = folder / 'vasp_stand_in'
    script.write_text(f"#!/bin/sh\nexport VASP_STAND_IN='{text}'\nexec {sys.executable} {STAND_IN}\n")
    script.chmod(0o755)
    return orm.InstalledCode(computer=computer, filepath_executable=str(script), label='vasp').store(), log


def runs(log: Path) -> list[dict[str, Any]]:
    """Return what the stand-in logged."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
