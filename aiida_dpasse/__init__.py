"""aiida-dpasse: from crystal structures to an ionic conductivity, every step a provenance node."""

__version__ = '0.1.0'
