"""Normalisations and Softmax in the operators that exporters take them apart into: recognised by algebra, and put together again."""
