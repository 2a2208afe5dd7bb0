"""The ``zoe`` command."""
