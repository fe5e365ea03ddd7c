"""Passes, a file each: Graph -> Graph, pure; one that cannot improve a graph gives the same back.

Their order is the table in pipeline.py.
"""
