"""Rewrites of the exported graph before a program is written; one a file, each in place."""
