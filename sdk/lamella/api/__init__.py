"""The public verbs: from a spec to a report."""
