"""The tables that a shell has shown, as their cells."""


def table_of(output) -> list[list[str]]:
    """The cells of the last table that was shown."""
    lines = output.data[-1]["text/plain"].splitlines()
    return [[cell.strip() for cell in line.split("│")] for line in lines[3:-1]]
