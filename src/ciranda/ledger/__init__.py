"""Pure double entry: the book of one bank, which knows no other bank and no payment's story."""
