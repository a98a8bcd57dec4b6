"""The aiida-dpasse command."""
