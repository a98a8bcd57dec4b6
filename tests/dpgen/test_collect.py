"""Data as DP-GEN collects them, read by dpdata."""

from __future__ import annotations

import dpdata
import numpy as np
import pytest

from aiida_dpasse.dpgen.collect import collect, formula

FIELDS = {'cells': 'cells', 'coords': 'positions', 'energies': 'energies', 'forces': 'forces', 'virials': 'virials'}


def test_each_formula_is_one_system(make_frames, tmp_path):
    """Sets of one formula are joined; dpdata reads the same numbers, bit by bit."""
    first, other, second = (
        make_frames(names, n, seed=n) for names, n in (('Li Li S', 4), ('Cl Li', 3), ('Li Li S', 2))
    )
    folders = collect([first, other, second], tmp_path, ['Li', 'S', 'Cl'])
    assert sorted(path.name for path in folders) == ['sys.Li1S0Cl1', 'sys.Li2S1Cl0']
    for path, given in ((tmp_path / 'sys.Li2S1Cl0', [first, second]), (tmp_path / 'sys.Li1S0Cl1', [other])):
        assert sorted(item.name for item in path.iterdir()) == ['set.000', 'type.raw', 'type_map.raw']
        assert (path / 'type_map.raw').read_text() == 'Li\nS\nCl\n'
        system = dpdata.LabeledSystem(str(path), fmt='deepmd/npy')
        # DP-GEN's name of a folder is the formula that dpdata gives it.
        assert path.name == f'sys.{system.formula}'
        assert [system['atom_names'][kind] for kind in system['atom_types']] == list(given[0].symbols)
        for name, field in FIELDS.items():
            np.testing.assert_array_equal(system[name], np.concatenate([getattr(item, field) for item in given]))


def test_type_map_is_that_of_all_frames(make_frames, tmp_path):
    folders = collect([make_frames('Li Li S'), make_frames('Cl Li')], tmp_path)
    assert sorted(path.name for path in folders) == ['sys.Cl0Li2S1', 'sys.Cl1Li1S0']


def test_frames_without_virials_have_a_folder_of_their_own(make_frames, tmp_path):
    whole = make_frames('Li S', 2)
    without = make_frames('Li S', 3, seed=2).with_labels(energies=[0.0, 1.0, 2.0], forces=np.zeros((3, 2, 3)))
    folders = collect([whole, without], tmp_path)
    assert sorted(path.name for path in folders) == ['sys.Li1S1', 'sys.Li1S1.1']
    found = {path.name: dpdata.LabeledSystem(str(path), fmt='deepmd/npy') for path in folders}
    assert sorted((len(system), 'virials' in system.data) for system in found.values()) == [(2, True), (3, False)]


def test_formula():
    assert formula(['Li', 'S', 'Li'], ['S', 'P', 'Li']) == 'S1P0Li2'


def test_what_cannot_be_collected_is_refused(make_frames, tmp_path):
    frames = make_frames('Li S')
    with pytest.raises(ValueError, match='no frames to collect'):
        collect([], tmp_path)
    with pytest.raises(ValueError, match='lacks S:'):
        collect([frames], tmp_path, ['Li'])
    with pytest.raises(ValueError, match='Li1S1'):
        collect([make_frames('Li S', labels=False)], tmp_path)
    collect([frames], tmp_path)
    with pytest.raises(ValueError, match=r'`.*sys\.Li1S1`'):
        collect([frames], tmp_path)
