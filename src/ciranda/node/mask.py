"""Masking: what a stranger may see of a customer, and all that ever crosses to another bank, as Pix has it."""

from ciranda.identity import Document


def masked(name: str) -> str:
    """The first half of each word stays: `Jo** Ning***`."""
    return " ".join(word[: -(-len(word) // 2)] + "*" * (len(word) // 2) for word in name.split())


def masked_document(document: Document) -> str:
    """The middle of it stays: `***.456.789-**` of a CPF, `**.345.678/0001-**` of a CNPJ."""
    if len(document) == 11:
        return f"***.{document[3:6]}.{document[6:9]}-**"
    return f"**.{document[2:5]}.{document[5:8]}/{document[8:12]}-**"
