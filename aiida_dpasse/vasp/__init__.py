"""VASP: INCAR tags of labelling jobs and parsing of the output."""
