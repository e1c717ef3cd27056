"""The other banks, asked over HTTP."""
