"""``python -m covenant.bench``: speeds side by side as ratios, cycle figures, and the workloads behind them."""
