"""The terminal: one file for each noun, `main.py` for what they share."""
