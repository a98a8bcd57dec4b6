"""Units of CP2K (CODATA 2018)."""

#: Hartree in eV, bohr in A.
HARTREE, BOHR = 27.211386245988, 0.529177210903
