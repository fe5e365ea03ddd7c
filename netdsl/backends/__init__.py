"""Backends: each answers, for an op and its types, with a kernel or `Decline`."""
