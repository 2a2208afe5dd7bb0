"""Runs instances as containers of Docker Engines, one node each.

The engine keeps what runs and what ended, in containers with names and labels that follow from the
ids; the master's side here copies output, asks ready checks and ends what is told to end.
"""
