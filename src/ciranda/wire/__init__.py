"""Bytes to values and back, and who signed them: nothing from another bank goes further in without passing here."""
