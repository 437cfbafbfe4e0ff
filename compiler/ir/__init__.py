"""The IR of a network: tensors, nodes, and the rules that hold of them."""
