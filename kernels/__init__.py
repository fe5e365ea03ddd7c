"""Triton kernels as plain tensor functions: they import torch, triton and each other alone."""
