"""Back ends: each expresses a compressed model for one runtime; `registry.py` lists them."""
