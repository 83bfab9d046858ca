"""The sample bulletins that `barid bulletin new` starts from, one a kind, in Arabic, French and English.

Written for this project; every person, place of a sighting and case in them is invented.
"""
