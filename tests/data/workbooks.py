"""Small workbooks, written by hand."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

WORKBOOK = (
    '<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    ' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{}'
    "</sheets></workbook>"
)
RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
ROWS = [["id", "text", "n", "label"], [1, "a b", 1.5, "x"], [2, "c", 2, "y"], [3, "d", 3, "x"]]


def xlsx(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    """Write the smallest workbook that programs open."""

    def cell(value: Any) -> str:
        if isinstance(value, str) and value.startswith("="):
            return f'<c r="B2"><f>{value[1:]}</f><v></v></c>'
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{value}</t></is></c>'
        return "<c/>" if value is None else f"<c><v>{value}</v></c>"

    with zipfile.ZipFile(path, "w") as archive:
        kinds = f'<Types xmlns="{PACKAGE}/content-types"></Types>'
        archive.writestr("[Content_Types].xml", kinds)
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="r0" '
            f'Type="{RELATION}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        )
        named, related = "", ""
        for number, (name, rows) in enumerate(sheets.items(), 1):
            named += f'<sheet name="{name}" sheetId="{number}" r:id="r{number}"/>'
            related += (
                f'<Relationship Id="r{number}" Type="{RELATION}/worksheet" '
                f'Target="worksheets/sheet{number}.xml"/>'
            )
            inner = "".join(f"<row>{''.join(map(cell, row))}</row>" for row in rows)
            archive.writestr(
                f"xl/worksheets/sheet{number}.xml",
                '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
                f"<sheetData>{inner}</sheetData></worksheet>",
            )
        archive.writestr("xl/workbook.xml", WORKBOOK.format(named))
        archive.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{PACKAGE}/relationships">{related}</Relationships>',
        )
    return path


def ods(path: Path, rows: list[list[Any]]) -> Path:
    names = "urn:oasis:names:tc:opendocument:xmlns"

    def cell(value: Any) -> str:
        if isinstance(value, str):
            text = f"<text:p>{value}</text:p>"
            return f'<table:table-cell office:value-type="string">{text}</table:table-cell>'
        return f'<table:table-cell office:value-type="float" office:value="{value}"/>'

    inner = "".join(f"<table:table-row>{''.join(map(cell, r))}</table:table-row>" for r in rows)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
        archive.writestr(
            "META-INF/manifest.xml", f'<manifest:manifest xmlns:manifest="{names}:manifest:1.0"/>'
        )
        archive.writestr(
            "content.xml",
            f'<office:document-content xmlns:office="{names}:office:1.0" '
            f'xmlns:table="{names}:table:1.0" xmlns:text="{names}:text:1.0"><office:body>'
            f'<office:spreadsheet><table:table table:name="One">{inner}</table:table>'
            "</office:spreadsheet></office:body></office:document-content>",
        )
    return path
