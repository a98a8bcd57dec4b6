"""Labels with CP2K, through aiida-cp2k."""
