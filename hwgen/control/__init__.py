"""Registers, fetch, dispatch, queues, issue and retire counters."""
