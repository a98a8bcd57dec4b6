"""The `aiida-dpasse` command line interface."""
