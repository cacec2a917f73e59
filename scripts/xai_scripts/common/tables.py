"""Markdown tables, of which rows can be printed one by one."""


def row(cells):
    """A line of a table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def head(columns):
    """The names of the columns and the line below them."""
    return row(columns) + "\n|" + " --- |" * len(columns)


def clean(text):
    """Text for a cell: one line, no bars."""
    printable = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return " ".join(printable.replace("|", "/").split())
