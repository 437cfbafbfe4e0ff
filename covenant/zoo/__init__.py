"""Networks of the MLPerf Tiny and ImageNet classes and a transformer encoder block, built from their published topologies with seeded weights."""
