"""What people look at: where the cycles go, as tables, traces and pages; what would help; two programs side by side."""
