"""Evaluation: models are scored on rows that they were not trained on, and compared with honest intervals."""
