"What cells show, as the site has it: tables with a caption, panels that stand below each other on a phone"
import re
from collections.abc import Iterator
from html import escape
from xml.etree import ElementTree

SVG = "http://www.w3.org/2000/svg"

def titled(source:str, numbers:Iterator[int], caption:str="")->str:
    "A text whose table has its caption: the one given, or the line with a colon beneath it, as Quarto has it"
    def directive(found:re.Match)->str:
        said = found[2] or caption
        return f":::{{table}} Table {next(numbers)}. {said}\n{found[1]}:::\n" if said else found[0]
    return re.sub(r"((?:^\|.*(?:\n|\Z))+)(?:\n: (.*))?", directive, source, flags=re.M)

def captioned(outputs:list[dict], numbers:Iterator[int], caption:str)->list[dict]:
    "Outputs whose tables have the caption"
    if not caption: return outputs
    said = re.sub(r"`(.*?)`", r"<code>\1</code>", escape(caption, quote=False))
    def with_caption(kind:str, shown:str|list[str])->str|list[str]:
        if kind == "text/markdown": return titled("".join(shown), numbers, caption)
        if kind != "text/html": return shown
        return re.sub(r"<table[^>]*>", lambda table: f"{table[0]}<caption>Table {next(numbers)}. {said}</caption>",
                      "".join(shown))
    return [output | dict(data={kind: with_caption(kind, shown) for kind, shown in output["data"].items()})
            if "data" in output else output for output in outputs]

def panels(drawing:ElementTree.Element)->list[tuple[float,float]]:
    "Left and right edge of every panel of a row that Matplotlib drew; a bar of colours belongs to the panel before it"
    figure = drawing.find(f"{{{SVG}}}g[@id='figure_1']")
    axes = [group for group in figure if group.get("id").startswith("axes_")]
    corners = [re.findall(r"[ML] (\S+) \S+", group.find(f".//{{{SVG}}}path").get("d")) for group in axes]
    edges = [(min(map(float, xs)), max(map(float, xs))) for xs in corners]
    widest = max((right - left for left, right in edges), default=0)
    return [(left, right) for left, right in edges if right - left > widest/4]

def one_a_row(svg:str)->str|None:
    "The panels of a row below each other; nothing for another figure"
    drawing = ElementTree.fromstring(svg.encode())
    edges = panels(drawing)
    if len(edges) < 2 or any(right > left for (_, right), (left, _) in zip(edges, edges[1:])): return None
    _, _, width, height = map(float, drawing.get("viewBox").split())
    # What belongs to a panel reaches a little over its right edge, and begins left of its own
    cuts = [0., *(right + min(8, (left - right)/2) for (_, right), (left, _) in zip(edges, edges[1:])), width]
    widths = [right - left for left, right in zip(cuts, cuts[1:])]
    rows = [f'<svg y="{i*height}" width="{w}" height="{height}" viewBox="{x} 0 {w} {height}"><use href="#figure_1"/></svg>'
            for i, (x, w) in enumerate(zip(cuts, widths))]
    content = re.search(r"<svg[^>]*>(.*)</svg>", svg, flags=re.S)[1]
    return (f'<svg xmlns="{SVG}" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 {max(widths)} {len(rows)*height}" '
            f'width="{max(widths)}pt" height="{len(rows)*height}pt"><defs>{content}</defs>{"".join(rows)}</svg>')

def drawings_of(outputs:list[dict])->tuple[str,str]|None:
    "What a row of panels looks like, and one a row for phones; nothing where outputs are no such figure"
    drawings = ["".join(output["data"]["image/svg+xml"]) for output in outputs if "image/svg+xml" in output.get("data", ())]
    stacked = one_a_row(drawings[0]) if len(drawings) == 1 else None
    return stacked and (drawings[0], stacked)

def picture(address:str, alt:str)->list[dict]:
    "Outputs that show one drawing or the other, as wide as the window is"
    html = (f'<picture><source media="(max-width: 640px)" srcset="{address}-phone.svg">'
            f'<img src="{address}.svg" alt="{escape(alt)}"></picture>')
    return [dict(output_type="display_data", metadata={}, data={"text/html": html})]
