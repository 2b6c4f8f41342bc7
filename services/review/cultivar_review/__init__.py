"""Review: queues of tasks that people lease, read and review."""
