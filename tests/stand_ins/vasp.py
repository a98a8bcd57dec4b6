#!/usr/bin/env python3
"""A stand-in for VASP, for tests only: it reads VASP's input files and writes VASP's output files, but the energies are
those of an ASE calculator, and the electrons are made up.

It reads POSCAR, INCAR, KPOINTS and POTCAR in the directory that it is started in, and writes vasprun.xml, OUTCAR,
CONTCAR and OSZICAR. The environment variable VASP_STAND_IN holds JSON:

- ``calculator``: `module:Class` of ASE, and ``arguments`` of it;
- ``faults``: the fraction of the frames that meet each fault of `FAULTS`, by name. Which frames these are depends on
  their positions alone;
- ``transient``: faults that a frame meets in its first run only;
- ``log``: a file that gets one line of JSON per run.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.filters import FrechetCellFilter
from ase.io import read
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import FIRE

#: unconverged: the electrons never converge; slow: only in more than SLOW_STEPS; killed: at walltime, in the midst of
#: the last ionic step; truncated: vasprun.xml is cut off, as by a full disk; missing_outcar: there is none;
#: wrong_atoms: the output is that of another structure; hang: it starts and does nothing more.
FAULTS = ('unconverged', 'slow', 'killed', 'truncated', 'missing_outcar', 'wrong_atoms', 'hang')
VERSION = '6.4.2-stand-in'
#: Electronic steps that a frame takes, and one that is slow to converge.
STEPS, SLOW_STEPS = 12, 100
KILOBAR = units.GPa / 10


def read_incar() -> dict[str, str]:
    """Return the tags of INCAR."""
    lines = [line.split('#')[0].split('!')[0] for line in Path('INCAR').read_text().splitlines()]
    tags = [line.split('=', 1) for line in lines if '=' in line]
    return {name.strip().upper(): value.strip() for name, value in tags}


def check_inputs(atoms: Atoms) -> None:
    """End as VASP does if POTCAR does not hold the elements of POSCAR in their order, or KPOINTS is no mesh."""
    titles = [line for line in Path('POTCAR').read_text().splitlines() if 'TITEL' in line]
    elements = [title.split('=')[1].split()[1].split('_')[0] for title in titles]
    if elements != list(dict.fromkeys(atoms.get_chemical_symbols())):
        sys.exit(f'ERROR: the type information on POSCAR and POTCAR are incompatible: {elements}')
    mesh = Path('KPOINTS').read_text().splitlines()[3].split()
    if min(int(number) for number in mesh[:3]) < 1:
        sys.exit('ERROR: KPOINTS')


def choose_fault(atoms: Atoms, settings: dict) -> tuple[str, str]:
    """Return the name of the frame, a hash of its positions, and the fault that it meets, or an empty one."""
    digest = hashlib.sha256(np.round(atoms.get_scaled_positions(), 6).tobytes()).hexdigest()
    draw, name = int(digest[:12], 16) / 16**12, digest[:12]
    for fault, fraction in settings.get('faults', {}).items():
        assert fault in FAULTS, fault
        if draw < fraction:
            again = fault in settings.get('transient', ()) and name in log_of(settings)
            return name, '' if again else fault
        draw -= fraction
    return name, ''


def log_of(settings: dict) -> str:
    """Return what was logged so far."""
    path = Path(settings['log'])
    return path.read_text() if path.exists() else ''


def frames_of(atoms: Atoms, incar: dict[str, str]):
    """Yield the structure of each ionic step."""
    count = max(1, int(incar.get('NSW', 0)))
    if int(incar.get('IBRION', -1)) == 2:
        moving = FrechetCellFilter(atoms) if int(incar['ISIF']) == 3 else atoms
        for at_rest in FIRE(moving, logfile=None).irun(fmax=-float(incar['EDIFFG']), steps=count - 1):
            atoms.info['at_rest'] = at_rest
            yield atoms
        return
    if int(incar.get('IBRION', -1)) != 0:
        yield atoms
        return
    rng = np.random.default_rng(int(incar['RANDOM_SEED'].split()[0]))
    first, last = float(incar['TEBEG']), float(incar['TEEND'])
    MaxwellBoltzmannDistribution(atoms, temperature_K=first, rng=rng)
    friction = float(incar['LANGEVIN_GAMMA'].split()[0]) / 1000 / units.fs
    timestep = float(incar['POTIM']) * units.fs
    dynamics = Langevin(atoms, timestep, temperature_K=first, friction=friction, rng=rng)
    for step in range(count):
        yield atoms
        dynamics.set_temperature(temperature_K=first + (last - first) * step / max(1, count - 1))
        dynamics.run(1)


def vectors(name: str, rows: np.ndarray) -> str:
    """Return a `varray`."""
    lines = ''.join('   <v> ' + ' '.join(f'{number:16.8f}' for number in row) + ' </v>\n' for row in rows)
    return f'  <varray name="{name}" >\n{lines}  </varray>\n'


def structure(atoms: Atoms, name: str = '') -> str:
    """Return a `structure`."""
    cell = np.asarray(atoms.cell)
    title = f' name="{name}"' if name else ''
    volume = f'   <i name="volume"> {atoms.get_volume():.8f} </i>\n'
    crystal = vectors('basis', cell) + volume + vectors('rec_basis', np.linalg.inv(cell).T)
    positions = vectors('positions', atoms.get_scaled_positions())
    return f' <structure{title} >\n  <crystal>\n{crystal}  </crystal>\n{positions} </structure>\n'


def header(atoms: Atoms, incar: dict[str, str], limit: int) -> str:
    """Return vasprun.xml up to the first ionic step."""
    mesh = Path('KPOINTS').read_text().splitlines()[3].split()[:3]
    tags = ''.join(f'  <i type="string" name="{name}">{value}</i>\n' for name, value in incar.items())
    counts = {symbol: atoms.get_chemical_symbols().count(symbol) for symbol in dict.fromkeys(atoms.symbols)}
    kinds = list(counts)
    rows = ''.join(f'    <rc><c>{name:2s}</c><c>{kinds.index(name) + 1:4d}</c></rc>\n' for name in atoms.symbols)
    types = ''.join(
        f'    <rc><c>{count:4d}</c><c>{name:2s}</c><c> 1.0</c><c> 1.0</c><c> PAW_PBE {name} stand-in </c></rc>\n'
        for name, count in counts.items()
    )
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<modeling>
 <generator>
  <i name="program" type="string">vasp </i>
  <i name="version" type="string">{VERSION} </i>
  <i name="subversion" type="string">a stand-in for tests </i>
 </generator>
 <incar>
{tags} </incar>
 <kpoints>
  <generation param="Gamma">
   <v type="int" name="divisions"> {' '.join(mesh)} </v>
   <v name="usershift"> 0.0 0.0 0.0 </v>
   <v name="shift"> 0.0 0.0 0.0 </v>
  </generation>
  <varray name="kpointlist" >
   <v> 0.0 0.0 0.0 </v>
  </varray>
  <varray name="weights" >
   <v> 1.0 </v>
  </varray>
 </kpoints>
 <parameters>
  <separator name="electronic" >
   <i type="int" name="NELM"> {limit} </i>
  </separator>
  <separator name="ionic" >
   <i type="int" name="NSW"> {incar.get('NSW', 0)} </i>
   <i type="int" name="IBRION"> {incar.get('IBRION', -1)} </i>
  </separator>
 </parameters>
 <atominfo>
  <atoms> {len(atoms)} </atoms>
  <types> {len(kinds)} </types>
  <array name="atoms" >
   <dimension dim="1">ion</dimension>
   <field type="string">element</field>
   <field type="int">atomtype</field>
   <set>
{rows}   </set>
  </array>
  <array name="atomtypes" >
   <dimension dim="1">type</dimension>
   <field type="int">atomspertype</field>
   <field type="string">element</field>
   <field>mass</field>
   <field>valence</field>
   <field type="string">pseudopotential</field>
   <set>
{types}   </set>
  </array>
 </atominfo>
{structure(atoms, 'initialpos')}"""


def energies(energy: float, indent: str = '  ') -> str:
    """Return an `energy`."""
    names = ('e_fr_energy', 'e_wo_entrp', 'e_0_energy')
    lines = ''.join(f'{indent} <i name="{name}"> {energy:16.8f} </i>\n' for name in names)
    return f'{indent}<energy>\n{lines}{indent}</energy>\n'


def main() -> None:
    """Run one job."""
    settings = json.loads(os.environ.get('VASP_STAND_IN', '{}'))
    incar, atoms = read_incar(), read('POSCAR', format='vasp')
    check_inputs(atoms)
    name, fault = choose_fault(atoms, settings)
    limit, needed = int(incar.get('NELM', 60)), STEPS
    if fault in ('unconverged', 'slow'):
        needed = SLOW_STEPS if fault == 'slow' else 10**9
    converged = needed <= limit
    if settings.get('log'):
        entry = {'frame': name, 'fault': fault, 'nelm': limit, 'good': not fault or (fault == 'slow' and converged)}
        with Path(settings['log']).open('a') as handle:
            handle.write(json.dumps(entry) + '\n')

    module, _, kind = settings.get('calculator', 'ase.calculators.emt:EMT').partition(':')
    calculator = getattr(importlib.import_module(module), kind)(**settings.get('arguments', {}))
    if fault == 'wrong_atoms':
        atoms = atoms[:-1]
    print(f' running stand-in of vasp.{VERSION} on 1 core', flush=True)
    outcar = [
        f' vasp.{VERSION} a stand-in for tests',
        f'   NELM   = {limit:6d};   NELMIN=  2; NELMDL= -5     # of ELM steps',
        '   EDIFF  = 0.1E-05   stopping-criterion for ELM',
        f'   NSW    = {int(incar.get("NSW", 0)):6d}    number of steps for IOM',
        f'   IBRION = {int(incar.get("IBRION", -1)):6d}    ionic relax: 0-MD 1-quasi-New 2-CG',
        '   number of bands            NBANDS=     16',
    ]
    Path('CONTCAR').touch()  # as VASP opens it at its start
    if fault == 'hang':
        Path('OUTCAR').write_text('\n'.join(outcar) + '\n')
        time.sleep(3600)
    atoms.calc = calculator
    xml, oszicar = [header(atoms, incar, limit)], []
    count = max(1, int(incar.get('NSW', 0)))
    for step, frame in enumerate(frames_of(atoms, incar), start=1):
        energy, forces = frame.get_potential_energy(), frame.get_forces()
        # VASP's stress in kB is positive under compression; ASE's is negative.
        stress = -frame.get_stress(voigt=False) / KILOBAR
        cycles = min(needed, limit)
        for cycle in range(1, cycles + 1):
            outcar.append(f'--------------------------------------- Iteration {step:6d}({cycle:4d})  ---------------')
            change = 1e-9 if converged and cycle == cycles else 10.0**-2
            outcar.append(f' total energy-change (2. order) :{change:15.7E}  ({-change:15.7E})')
            oszicar.append(f'DAV: {cycle:3d}    {energy:.12E}   {10.0**-cycle:.5E}')
        if fault == 'killed' and step == count:
            break
        said = 'because EDIFF is reached' if converged else 'EDIFF was not reached (unconverged)'
        outcar += [
            f'------------------------ aborting loop {said} ----------------------------------------',
            '  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)',
            f'  free  energy   TOTEN  = {energy:18.8f} eV',
        ]
        oszicar.append(f'{step:4d} F= {energy:.8E} E0= {energy:.8E}  d E ={0.0:.6E}')
        cycles_xml = ''.join(f'  <scstep>\n{energies(energy, "   ")}  </scstep>\n' for _ in range(cycles))
        xml.append(
            f' <calculation>\n{cycles_xml}{structure(frame)}{vectors("forces", forces)}{vectors("stress", stress)}'
            f'{energies(energy)} </calculation>\n'
        )
    if fault == 'killed':
        Path('OUTCAR').write_text('\n'.join(outcar) + '\n')
        Path('OSZICAR').write_text('\n'.join(oszicar) + '\n')
        Path('vasprun.xml').write_text(''.join(xml) + ' <calculation>\n  <scstep>\n')
        os.kill(os.getpid(), 9)
    xml.append(structure(atoms, 'finalpos') + '</modeling>\n')
    if atoms.info.pop('at_rest', False):
        outcar.append(' reached required accuracy - stopping structural energy minimisation')
    outcar += [
        ' General timing and accounting informations for this job:',
        ' ========================================================',
        '                  Total CPU time used (sec):        1.000',
        '                         User time (sec):           1.000',
        '                       System time (sec):           0.000',
        '                      Elapsed time (sec):           1.000',
        '                   Maximum memory used (kb):       40000.',
    ]
    text = ''.join(xml)
    if fault == 'truncated':
        text = text[: text.rindex('<calculation>') + 200]
    Path('vasprun.xml').write_text(text)
    if fault != 'missing_outcar':
        Path('OUTCAR').write_text('\n'.join(outcar) + '\n')
    Path('OSZICAR').write_text('\n'.join(oszicar) + '\n')
    atoms.write('CONTCAR', format='vasp', direct=True)


if __name__ == '__main__':
    main()
