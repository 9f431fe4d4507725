"""All targets. Importing this imports everything that they decode with."""

from tests.fuzz import configuration, diff_inputs, http_servers, lake, recordings, redis_values, spool, wire
from tests.fuzz.target import Target

FAMILIES = (wire, spool, configuration, recordings, redis_values, diff_inputs, lake, http_servers)
TARGETS: dict[str, Target] = {target.name: target for family in FAMILIES for target in family.TARGETS}
FAMILY_OF: dict[str, str] = {target.name: family.__name__ for family in FAMILIES for target in family.TARGETS}
"""target → module"""
