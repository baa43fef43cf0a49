"""Prints the licences of every package that is compiled into the program, with their texts, for the archives of `.ci/release`.

    cargo metadata --locked --format-version 1 --filter-platform TRIPLE [--features cuda] | python licences.py [TITLE=FILE...]

Further texts, of what is not a package, are named on the command line. Packages that only build the program are left out.
"""

import json
import pathlib
import re
import sys

# What may bear such a name and is no text for people.
SOURCES = {".rs", ".c", ".h", ".py", ".sh"}
TEXTS = re.compile(r"(licen[cs]e|copying|notice|unlicense|copyright|ofl)", re.IGNORECASE)
MIT = """The package has no file with its licence. The text of the MIT licence is:

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""
RULE = "=" * 100


def linked(metadata: dict) -> list[dict]:
    """The packages below the program by normal dependencies, in the order of their names."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    root = metadata["resolve"]["root"]
    found, waiting = set(), [root]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            normal = (d for d in nodes[one]["deps"] if any(kind["kind"] is None for kind in d["dep_kinds"]))
            waiting.extend(dependency["pkg"] for dependency in normal)
    found.discard(root)
    return sorted((packages[one] for one in found), key=lambda package: (package["name"], package["version"]))


def texts_of(package: dict) -> list[str]:
    """The texts of the licence files in the package's folder, or what stands for them."""
    folder = pathlib.Path(package["manifest_path"]).parent
    # Also of what packages bring along: libraries in C, fonts, tables.
    files = {file for file in folder.rglob("*") if TEXTS.match(file.name) and file.suffix not in SOURCES and file.is_file()}
    for inside in (file for file in folder.iterdir() if TEXTS.match(file.name) and file.is_dir()):
        files |= {file for file in inside.iterdir() if file.is_file()}
    if package["license_file"]:
        files.add(folder / package["license_file"])
    if files:
        return [file.read_text(encoding="utf-8", errors="replace").strip() for file in sorted(files)]
    if package["license"] != "MIT":
        raise SystemExit(f"{name(package)} has no text of its licence, {package['license']}: add it to {sys.argv[0]}")
    holders = ", ".join(package["authors"]) or package["repository"] or package["name"]
    return [f"Copyright (c) {holders}\n\n{MIT}"]


def name(package: dict) -> str:
    return f"{package['name']} {package['version']}"


def main() -> None:
    packages = linked(json.load(sys.stdin))
    print("Licences of the packages that are part of this program, and their texts.\n")
    width = max(len(name(package)) for package in packages)
    # Texts that differ in nothing but white space are printed once.
    texts: dict[str, tuple[str, list[str]]] = {}

    def add(text: str, owner: str) -> None:
        texts.setdefault(" ".join(text.split()), (text, []))[1].append(owner)

    for package in packages:
        if not package["license"] and not package["license_file"]:
            raise SystemExit(f"{name(package)} names no licence: find out, and say so in {sys.argv[0]}")
        print(f"{name(package):{width}}  {package['license'] or 'see its text'}")
        for text in texts_of(package):
            add(text, name(package))
    for argument in sys.argv[1:]:
        title, _, file = argument.partition("=")
        print(f"{title:{width}}  see its text")
        add(pathlib.Path(file).read_text(encoding="utf-8").strip(), title)
    for text, owners in texts.values():
        print(f"\n{RULE}\n{', '.join(dict.fromkeys(owners))}\n{RULE}\n\n{text}")


if __name__ == "__main__":
    main()
