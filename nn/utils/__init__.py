"""Helpers over parameters, by torch.nn.utils' names."""

from .vectors import parameters_to_vector, vector_to_parameters

__all__ = ["parameters_to_vector", "vector_to_parameters"]
