"""What is said of an end that looks the same on every back-end."""


def out_of_memory(limit_bytes: int) -> str:
    """Say which limit an instance had that was killed for memory, and what to try."""
    limit = f"{limit_bytes / 2**20:.0f} MiB of memory"
    return f"it needed more than its {limit}; raise `memory` of its service"
