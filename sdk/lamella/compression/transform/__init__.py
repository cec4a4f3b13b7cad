"""Rewrites of a model that keep its function, done before statistics are collected."""
