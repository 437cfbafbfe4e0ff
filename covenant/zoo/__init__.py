"""Networks of the MLPerf Tiny and ImageNet classes, built from their published topologies with seeded weights."""
