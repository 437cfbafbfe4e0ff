"""Instructions, their order and their waits."""
