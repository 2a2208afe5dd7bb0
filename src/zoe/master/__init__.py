"""The one writer: turns events into committed decisions and decisions into effects."""
