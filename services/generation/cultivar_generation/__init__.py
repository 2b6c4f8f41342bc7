"""Generation: teachers, prompts and strategies that write candidates out of seeds."""
