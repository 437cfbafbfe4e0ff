"""Families of inputs, one a file: what is damaged, how, and which commands read it."""

from covenant.fuzz.families.architectures import ARCHITECTURES
from covenant.fuzz.families.arrays import ARRAYS
from covenant.fuzz.families.family import Family
from covenant.fuzz.families.instructions import INSTRUCTIONS, RTL
from covenant.fuzz.families.networks import NETWORKS
from covenant.fuzz.families.plans import PLANS
from covenant.fuzz.families.programs import PROGRAMS

__all__ = ["FAMILIES", "Family"]

FAMILIES: dict[str, Family] = {family.name: family for family in (ARCHITECTURES, NETWORKS, PROGRAMS, INSTRUCTIONS, RTL, ARRAYS, PLANS)}
