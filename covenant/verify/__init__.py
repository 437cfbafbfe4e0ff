"""Co-verification campaigns: what ``covenant verify`` runs, how failures shrink and how they are replayed."""
