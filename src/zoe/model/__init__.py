"""The nouns of Zoe as immutable values: no clock, no randomness, no input or output."""
