"""What users bring (modules, Hugging Face folders, GGUF files) becomes a Model."""

from lamella.frontend.load import load_model

__all__ = ["load_model"]
