"""Doped cells: exact numbers, charge, what is refused, and equivalent arrangements against brute force."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from math import comb, prod

import numpy as np
import pytest
from pymatgen.analysis.structure_matcher import StructureMatcher
from pymatgen.core import Composition, Lattice, Structure

from aiida_dpasse.structures.doping import Plan, dope, plan_doping
from aiida_dpasse.structures.prototypes import argyrodite, prototype, rock_salt
from aiida_dpasse.structures.sublattices import bonded_to
from aiida_dpasse.structures.supercell import make_supercell

CHARGES = {
    'Li': 1, 'Na': 1, 'K': 1, 'Mg': 2, 'Y': 3, 'Al': 3, 'Si': 4, 'Ge': 4, 'Sn': 4, 'P': 5, 'Sb': 5, 'W': 6,
    'O': -2, 'S': -2, 'Se': -2, 'Cl': -1, 'Br': -1, 'I': -1,
}  # fmt: skip
#: Host, sublattice, its element, number of its atoms in the unit cell, dopants, and the ion that compensates.
CASES = [
    ('K3SbS4', 'S', 'S', 8, ('Cl', 'Br', 'O', 'Se'), 'K'),
    ('K3SbS4', 'Sb', 'Sb', 2, ('W', 'Sn', 'P'), 'K'),
    ('Na3SbS4', 'S', 'S', 8, ('Cl', 'Br'), 'Na'),
    ('Na3SbS4', 'Sb@2a', 'Sb', 2, ('W', 'P'), 'Na'),
    ('Li6PS5Cl', 'S', 'S', 4, ('Cl', 'Br', 'O', 'Se'), 'Li'),
    ('Li6PS5Br', 'Br', 'Br', 4, ('Cl', 'I', 'S'), 'Li'),
    ('Li6PS5I', 'P', 'P', 4, ('Si', 'Ge', 'Sn', 'Sb'), 'Li'),
    ('Li6PS5Cl', 'S@PS4', 'S', 16, ('O', 'Se'), 'Li'),
    ('Li3PS4', 'P', 'P', 4, ('Sb', 'Si'), 'Li'),
    ('Li2S', 'S', 'S', 4, ('Cl', 'Br', 'O'), 'Li'),
    ('LiCl', 'Li', 'Li', 4, ('Mg', 'Y', 'Na'), 'Li'),
]  # fmt: skip


def counted(structure: Structure) -> dict[str, int]:
    """Number of atoms of each element, from the sites."""
    return dict(Counter(site.specie.symbol for site in structure))


@pytest.fixture(scope='module')
def hosts() -> dict[str, Structure]:
    """The crystals of the random requests."""
    return {name: prototype(name).structure for name, *_ in CASES}


def test_500_random_requests_are_exact_and_neutral(hosts):
    """Each is compared with numbers that are computed here, and some of the small cells are made."""
    generator = np.random.default_rng(18)
    done = refused = 0
    while done < 500:
        name, sublattice, element, atoms, dopants, ion = CASES[generator.integers(len(CASES))]
        dopant = str(generator.choice(dopants))
        cells = int(generator.choice([1, 2, 4, 8, 12]))
        fraction = Fraction(int(generator.integers(1, max(2, atoms * cells // 3))), atoms * cells)
        request = {'substitute': [f'{sublattice}={dopant}:{fraction}'], 'compensate': ion, 'max_atoms': 700}
        plan = planned(hosts[name], request)
        if isinstance(plan, str):
            # What does not fit is said so; nothing is rounded.
            assert any(each in plan for each in ('not a whole number', 'dope less', 'no room')), plan
            refused += 1
            continue
        copies = prod(plan.repeats)
        number = fraction * atoms * copies
        assert number.denominator == 1
        expected = {key: int(n) * copies for key, n in hosts[name].composition.get_el_amt_dict().items()}
        expected[element] -= int(number)
        expected[dopant] = expected.get(dopant, 0) + int(number)
        expected[ion] -= int(number) * (CHARGES[dopant] - CHARGES[element])
        assert plan.composition == {key: n for key, n in expected.items() if n}
        assert plan.charge == 0 == sum(CHARGES[key] * n for key, n in plan.composition.items())
        assert plan.charges == {key: CHARGES[key] for key in plan.composition}
        if done % 10 == 0 and plan.atoms < 200:
            [cell] = dope(hosts[name], 1, done, **request).cells
            assert counted(cell.structure) == plan.composition
        done += 1
    assert refused < 100


def planned(host: Structure, request: dict) -> Plan | str:
    """The plan of a request, or what is said if it is refused."""
    try:
        return plan_doping(host, **request)
    except ValueError as error:
        return str(error)


def test_k3sbs4_with_cl_on_s_and_vacancies_of_k():
    host = prototype('K3SbS4').structure
    doping = dope(host, 20, substitute=['S=Cl:1/32'], compensate='K', composition='K23Sb8S31Cl')
    assert sorted(doping.plan.repeats) == [1, 2, 2]
    assert doping.plan.composition == {'K': 23, 'Sb': 8, 'S': 31, 'Cl': 1}
    assert (doping.plan.charge, doping.selection) == (0, 'enumerated')
    assert doping.arrangements == comb(32, 1) * comb(24, 1)
    assert len(doping.cells) == doping.distinct == 14
    assert sum(cell.degeneracy for cell in doping.cells) == doping.arrangements
    assert sum(cell.weight for cell in doping.cells) == pytest.approx(1)
    for cell in doping.cells:
        assert cell.weight == pytest.approx(cell.degeneracy / 768)
        assert counted(cell.structure) == {'K': 23, 'Sb': 8, 'S': 31, 'Cl': 1}
    # The size of the blog's simulations, without any energy.
    [large] = dope(host, substitute=['S=Cl:2.5%'], compensate='K', repeats=(5, 5, 5), max_atoms=2000).cells
    assert counted(large.structure) == {'K': 725, 'Sb': 250, 'S': 975, 'Cl': 25}
    # Each of the 48 symmetry operations of the cell and 125 translations makes another arrangement of this one.
    assert (large.degeneracy, large.energy) == (6000, None)


def test_the_published_composition_of_lspscl():
    """Its 3.18 Si and P per formula unit are more than the 3 sites of the framework: 9 of 159 are interstitials."""
    plan = plan_doping(
        prototype('Li10SiP2S12').structure,
        substitute=['P@4d=Si:0.74', 'S@PS4=Cl:0.025'],
        insert=['P=9'],
        compensate='Li',
        composition='Li9.54Si1.74P1.44S11.7Cl0.3',
        repeats=(5, 5, 1),
        max_atoms=1500,
    )
    assert plan.composition == {'Li': 477, 'Si': 87, 'P': 72, 'S': 585, 'Cl': 15}
    assert plan.charge == 0
    with pytest.raises(ValueError, match=r'the request leads to Li10\.145 .* not to Li9\.54'):
        plan_doping(
            prototype('Li10SiP2S12').structure,
            substitute=['P@4d=Si:0.74', 'S@PS4=Cl:0.025'],
            compensate='Li',
            composition='Li9.54Si1.74P1.44S11.7Cl0.3',
            repeats=(5, 5, 1),
            max_atoms=1500,
        )


@pytest.mark.parametrize(('tin', 'silicon'), [('1/4', '1/4'), ('1/2', '1/2'), ('1/8', '3/8'), ('0.5', '0.25')])
def test_solid_solutions_of_lgps(tin, silicon):
    """Ge, Sn and Si share the sites of Ge and P, on which the numbers of all are exact."""
    x, y = Fraction(tin), Fraction(silicon)
    doping = dope(
        prototype('Li10GeP2S12').structure,
        2,
        substitute=[f'Ge=Sn:{tin}', f'Ge=Si:{silicon}'],
        composition=f'Li10Ge{float(1 - x - y)}Sn{float(x)}Si{float(y)}P2S12',
    )
    units = 2 * prod(doping.plan.repeats)
    expected = {'Li': 10, 'Ge': 1 - x - y, 'Sn': x, 'Si': y, 'P': 2, 'S': 12}
    assert doping.plan.composition == {key: n * units for key, n in expected.items() if n}
    [mixed] = [each for each in doping.plan.occupancies if each.sublattice == '4d']
    assert mixed.after == {'P': units, **{key: expected[key] * units for key in ('Ge', 'Sn', 'Si') if expected[key]}}
    # Lithium lies on its disordered sites at low energy, no two too close.
    assert doping.plan.mobile == ('Li',)
    assert len({cell.energy for cell in doping.cells}) == 2


@pytest.mark.parametrize('halogen', ['Cl', 'Br', 'I'])
@pytest.mark.parametrize(('exchanged', 'number'), [('0.25', 1), ('1/2', 2), ('75%', 3), ('1.0', 4)])
def test_exchange_of_an_argyrodite(halogen, exchanged, number):
    host = prototype(f'Li6PS5{halogen}').structure
    for request in (f'4a:4c={exchanged}', f'{halogen}:S={exchanged}', f'4a:4c={number}'):
        doping = dope(host, 40, exchange=[request], composition=f'Li6PS5{halogen}')
        assert doping.arrangements == comb(4, number) ** 2
        assert sum(cell.degeneracy for cell in doping.cells) == doping.arrangements
        for cell in doping.cells:
            on = {
                (site.specie.symbol, name)
                for site in cell.structure
                for name, shift in (('4a', 0.0), ('4c', 0.25))
                if np.allclose((site.frac_coords - shift + 0.05) % 0.5, 0.05)
            }
            at = Counter(
                site.specie.symbol for site in cell.structure if np.allclose((site.frac_coords - 0.2) % 0.5, 0.05)
            )
            assert (halogen, '4c') in on
            assert at[halogen] == number
            assert len(bonded_to(cell.structure, 'P', ['S'])) == 16


def test_mixed_halides_are_exchanged_by_their_shares():
    plan = plan_doping(argyrodite('Cl'), substitute=['Cl=Br:1/4', 'Cl=I:1/4'], exchange=['4a:4c=0.5'])
    assert plan.composition == {'Li': 48, 'P': 8, 'S': 40, 'Cl': 4, 'Br': 2, 'I': 2}
    after = {each.sublattice: each.after for each in plan.occupancies}
    assert after['Cl'] == {'Cl': 2, 'Br': 1, 'I': 1, 'S': 4}
    assert after['4c'] == {'S': 4, 'Cl': 2, 'Br': 1, 'I': 1}


def test_the_sulfur_of_ps4_is_not_touched_unasked():
    host = argyrodite('Cl')
    tied = [site.frac_coords for site in (host[index] for index in bonded_to(host, 'P', ['S']))]
    for request in ({'substitute': ['S=O:0.5']}, {'exchange': ['S:Cl=0.5']}):
        for cell in dope(host, 3, **request).cells:
            sulfur = [site.frac_coords for site in cell.structure if site.specie.symbol == 'S']
            assert all(any(np.allclose(place, other) for other in sulfur) for place in tied)
    plan = plan_doping(host, substitute=['S@PS4=O:1/16'])
    [changed] = plan.occupancies
    assert (changed.before, changed.after) == ({'S': 16}, {'S': 15, 'O': 1})
    with pytest.raises(ValueError, match='all S are bonded to P: write S@P if'):
        plan_doping(prototype('Li3PS4').structure, substitute=['S=O:0.25'])


def test_interstitials():
    """Si on P asks for more Li: in the roomiest places, in given ones, or on free sites of a disordered host."""
    request = {'substitute': ['P=Si:1/4'], 'compensate': 'Li:interstitials'}
    doping = dope(argyrodite('Cl'), 2, **request)
    assert doping.plan.composition == {'Li': 25, 'P': 3, 'Si': 1, 'S': 20, 'Cl': 4}
    assert doping.plan.occupancies[-1].sublattice == 'interstitial'
    given = dope(argyrodite('Cl'), places=[[0.5, 0.5, 0.75]], **request).cells[0].structure
    lithium = [site.frac_coords for site in given if site.specie.symbol == 'Li']
    assert sum(np.allclose(sorted(place % 0.5), [0, 0, 0.25]) for place in lithium) == 1
    disordered = plan_doping(prototype('Li10GeP2S12').structure, substitute=['P@4d=Si:1/2'], compensate='Li')
    assert disordered.composition == {'Li': 21, 'Ge': 2, 'Si': 1, 'P': 3, 'S': 24}
    assert 'interstitial' not in {each.sublattice for each in disordered.occupancies}
    with pytest.raises(ValueError, match='no room for an interstitial Cs'):
        plan_doping(rock_salt('Cl'), insert=['Cs=1'], charges={'Li': 1, 'Cl': -1, 'Cs': 1})


@pytest.mark.parametrize(
    ('host', 'request_', 'cell'),
    [
        (rock_salt('Cl'), {'substitute': ['Cl=Br:2']}, (1, 1, 1)),
        (rock_salt('Cl'), {'substitute': ['Cl=Br:1/4', 'Cl=I:1/4']}, (1, 1, 1)),
        (rock_salt('Cl'), {'substitute': ['Cl=Br:2'], 'repeats': (2, 1, 1)}, (2, 1, 1)),
        (rock_salt('Cl', primitive=True), {'substitute': ['Cl=Br:3'], 'repeats': (2, 2, 2)}, (2, 2, 2)),
        (prototype('K3SbS4').structure, {'substitute': ['S=Cl:1'], 'compensate': 'K'}, (1, 1, 1)),
        (rock_salt('Cl'), {'substitute': ['Li=Mg:1'], 'compensate': 'Li', 'repeats': (1, 1, 2)}, (1, 1, 2)),
    ],
)
def test_distinct_cells_agree_with_brute_force(host, request_, cell):
    """All arrangements are written out here, and pymatgen tells which are the same crystal."""
    doping = dope(host, 1000, **request_)
    assert doping.plan.repeats == cell
    supercell = make_supercell(host, cell)
    symbols = [site.specie.symbol for site in supercell]
    every = []
    changes = [each for each in doping.plan.occupancies]

    def write(left: list, chosen: list[str]) -> None:
        if not left:
            kept = [index for index, symbol in enumerate(chosen) if symbol]
            every.append(Structure(supercell.lattice, [chosen[i] for i in kept], supercell.frac_coords[kept]))
            return
        [element] = left[0].before
        places = [index for index, symbol in enumerate(symbols) if symbol == element]
        content = [name for name, n in left[0].after.items() for _ in range(n)]
        content += [''] * (len(places) - len(content))
        for order in set(permutations_of(tuple(sorted(content)))):
            changed = list(chosen)
            for place, name in zip(places, order, strict=True):
                changed[place] = name
            write(left[1:], changed)

    write(changes, symbols)
    assert len(every) == doping.arrangements
    matcher = StructureMatcher(ltol=1e-3, stol=1e-3, angle_tol=0.1, primitive_cell=False, scale=False)
    groups = matcher.group_structures(every)
    assert doping.distinct == len(doping.cells) == len(groups)
    assert sorted(cell.degeneracy for cell in doping.cells) == sorted(len(group) for group in groups)


def permutations_of(content: tuple[str, ...]) -> set[tuple[str, ...]]:
    """Every order of names of which some are equal."""
    if len(content) < 2:
        return {content}
    return {
        (name, *rest)
        for name in set(content)
        for rest in permutations_of(content[: content.index(name)] + content[content.index(name) + 1 :])
    }


def test_random_cells_are_drawn_by_their_number():
    """The cells of two Br among eight Cl are drawn as often as their arrangements are many."""
    request = {'substitute': ['Cl=Br:2'], 'repeats': (2, 1, 1)}
    every = Counter(cell.degeneracy for cell in dope(rock_salt('Cl'), 9, **request).cells)
    assert sum(n * cells for n, cells in every.items()) == comb(8, 2)
    drawn = Counter(dope(rock_salt('Cl'), 1, seed, **request).cells[0].degeneracy for seed in range(40))
    for degeneracy, cells in every.items():
        share = degeneracy * cells / 28
        assert abs(drawn[degeneracy] - 40 * share) < 3.5 * np.sqrt(40 * share * (1 - share))
    one, again, other = (
        dope(prototype('K3SbS4').structure, seed=seed, substitute=['S=Cl:1/8'], compensate='K', repeats=(2, 2, 2))
        for seed in (1, 1, 2)
    )
    assert one.selection == 'sampled'
    assert one.cells[0].structure == again.cells[0].structure != other.cells[0].structure


def test_electrostatics_ranks():
    """The vacancy of K is next to Cl, which lacks one charge."""
    request = {'substitute': ['S=Cl:1/32'], 'compensate': 'K'}
    host = prototype('K3SbS4').structure
    every = dope(host, 20, method='electrostatics', **request).cells
    energies = [cell.energy for cell in every]
    assert energies == sorted(energies)
    assert [cell.energy for cell in dope(host, 3, method='electrostatics', **request).cells] == energies[:3]


@pytest.mark.parametrize(
    ('host', 'request_', 'sentence'),
    [
        ('K3SbS4', {'substitute': ['S=Cl:0.03'], 'compensate': 'K'}, r'25 unit cells \(400 atoms .*1/32 instead'),
        ('K3SbS4', {'substitute': ['S=Cl:1/32']}, r'charge of \+1 in the cell .* for example by K'),
        ('K3SbS4', {'substitute': ['S=Cl:1/32'], 'compensate': 'K:interstitials'}, 'compensate by vacancies'),
        ('K3SbS4', {'substitute': ['Sb=Sn:1/2'], 'compensate': 'K:vacancies'}, 'compensate by interstitials'),
        ('K3SbS4', {'substitute': ['O=Cl:1/32'], 'compensate': 'K'}, 'contains K, S, Sb and no O'),
        ('K3SbS4', {'substitute': ['S@4z=Cl:1/32'], 'compensate': 'K'}, 'no site of S has this name; there are 8c'),
        ('K3SbS4', {'substitute': ['S=Xx:1/32'], 'compensate': 'K'}, "'Xx' of .* is no element"),
        ('K3SbS4', {'substitute': ['S=Cl:some'], 'compensate': 'K'}, 'not a number: write'),
        ('K3SbS4', {'substitute': ['S=Cl'], 'compensate': 'K'}, 'should have the form S=Cl:0.025'),
        ('K3SbS4', {'substitute': ['S=S:0.5']}, 'replaces S by itself'),
        ('K3SbS4', {}, 'give a substitution'),
        ('K3SbS4', {'substitute': ['S=Cl:1'], 'compensate': 'K', 'max_atoms': 8}, 'contains 16 atoms, more than the 8'),
        ('K3SbS4', {'substitute': ['S=Cl:100%'], 'compensate': 'K'}, 'asks for 8 vacancies among 6 K: dope less'),
        ('K3SbS4', {'substitute': ['S=Cl:9'], 'compensate': 'K'}, 'asks for more S than the 8'),
        ('K3SbS4', {'substitute': ['S=Cl:1'], 'compensate': 'K', 'composition': 'K3SbS4'}, 'leads to K.* not to K3'),
        ('K3SbS4', {'substitute': ['S=Ar:1'], 'compensate': 'K'}, 'Ar has no usual charge'),
        ('Li6PS5Cl', {'exchange': ['4a:4a=0.5']}, 'two different sets of sites'),
        ('Li6PS5Cl', {'exchange': ['4a:4c=0.3']}, '5 unit cells .*7/24 instead'),
        ('Li6PS5Cl', {'substitute': ['S@4c=O:0.25', 'S@PS4=O:1', '4c=Se:1', '16e=Se:1', 'S@S=O:1']}, 'no site of S'),
        ('Li6PS5Cl', {'insert': ['Na=1']}, 'give the charge of Na'),
    ],
)  # fmt: skip
def test_refusals(host, request_, sentence):
    with pytest.raises(ValueError, match=sentence):
        plan_doping(prototype(host).structure, **request_)


def test_hosts_that_are_refused():
    with pytest.raises(ValueError, match='fully occupied sites overlap'):
        plan_doping(Structure(Lattice.cubic(5), ['Li', 'Li', 'O'], [[0] * 3, [0.1] * 3, [0.5] * 3]), insert=['Li=1'])
    with pytest.raises(ValueError, match='contains no atoms'):
        plan_doping(Structure(Lattice.cubic(5), [], []), insert=['Li=1'])
    with pytest.raises(ValueError, match='holds no Na: correct'):
        dope(rock_salt('Cl'), substitute=['Cl=Br:1'], mobile=['Na'])
    assert Composition(plan_doping(rock_salt('Cl'), substitute=['Cl=Br:1']).formula) == Composition('Li4BrCl3')
