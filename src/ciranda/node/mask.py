"""Masking: what a stranger may see of a name or a document.

The first half of each word of a name stays: `Jo** Ning***`. Of a CPF the middle: `***.456.789-**`, as Pix shows it. A
company's document is public, and stays as it is.
"""

from ciranda.identity import Document, kind_of


def masked(name: str) -> str:
    return " ".join(word[: -(-len(word) // 2)] + "*" * (len(word) // 2) for word in name.split())


def masked_document(document: Document) -> str:
    if kind_of(document) == "company":
        return document
    return f"***.{document[3:6]}.{document[6:9]}-**"
