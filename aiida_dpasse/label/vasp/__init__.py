"""Labels with VASP, through aiida-vasp."""
