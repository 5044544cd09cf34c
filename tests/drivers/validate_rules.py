"""Says of each rules file what a validator of JSON Schema finds wrong with it.

The schema is the argument; standard input has the files as a JSON list of texts.
"""

import datetime
import json
import sys
import tomllib

import jsonschema


def plain(value):
    """A value as the validators of TOML have it: a date is a string there."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    return value


with open(sys.argv[1]) as file:
    schema = json.load(file)
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
found = []
for text in json.load(sys.stdin):
    errors = validator.iter_errors(plain(tomllib.loads(text)))
    found.append("; ".join(error.message for error in errors))
json.dump(found, sys.stdout)
