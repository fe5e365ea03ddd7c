"""The language in editors: highlighting from one table of rules, and a language server."""
