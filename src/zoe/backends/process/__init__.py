"""Runs instances as local process groups, without a container engine and without isolation.

:mod:`zoe.backends.process.backend` is the master's side; :mod:`zoe.backends.process.agent` is the
one process per deployment that owns the instances. The agent's modules import little, on purpose.
"""
