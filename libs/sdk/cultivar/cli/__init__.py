"""The command line: one file for each noun, composed in main.py."""
