"""Checks answers of a PayPal stub against PayPal's own API descriptions.

Usage: check_answers.py FOLDER < answers.json; answers are [{"document", "schema", "body"}].
Exits with 1 when one does not fit, with 77 when jsonschema is not installed.
"""

import json
import pathlib
import sys
import warnings

try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from jsonschema import Draft4Validator, RefResolver
except ImportError:
    sys.exit(77)

warnings.simplefilter("ignore")
folder = pathlib.Path(sys.argv[1])
wrong = 0
for answer in json.load(sys.stdin):
    description = json.loads((folder / answer["document"]).read_text())
    schema = {"$ref": "#/components/schemas/" + answer["schema"]}
    validator = Draft4Validator(schema, resolver=RefResolver("", description))
    for error in validator.iter_errors(answer["body"]):
        wrong += 1
        print(answer["schema"], list(error.absolute_path), error.message[:200])
sys.exit(1 if wrong else 0)
