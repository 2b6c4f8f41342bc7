"""Training: datasets become adapters, by a program that runs inside Ray and that this service follows."""
