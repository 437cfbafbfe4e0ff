"""What a terminal shows and sends: tables, progress, warnings, signals, and the last sentence of a fault."""
