"""What the importer knows while it walks a network: values, the node at hand, the IR under construction."""
