"""Application descriptions of the original Zoe (formats 0 to 3) and its shop, as format 4."""
