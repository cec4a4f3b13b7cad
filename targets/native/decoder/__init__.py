"""Decoders of the Llama family as programs of the native engine, built from the torch module."""
