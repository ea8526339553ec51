"The page of all commands, from their `--help`"
import io
import os
from contextlib import redirect_stdout, suppress
from pathlib import Path

# As wide as the site shows, whatever the terminal
os.environ["COLUMNS"] = "92"
from gradlr.cli import COMMANDS, GROUPS, main

PAGE = Path(__file__).with_name("help.md")

def said(command:str)->str:
    "What a command prints when it is asked for help"
    out = io.StringIO()
    with redirect_stdout(out), suppress(SystemExit): main([*command.split(), "--help"])
    return f"## {f'gradlr {command}'.strip()}\n\n```\n{out.getvalue().strip()}\n```"

def help_page()->str:
    "What docs/help.md has to hold"
    sections = [said(command) for command in ("", *GROUPS, *COMMANDS)]
    return "\n\n".join(["# All commands", "What `--help` says of each.", *sections]) + "\n"

if __name__ == "__main__": PAGE.write_text(help_page(), encoding="utf-8")
