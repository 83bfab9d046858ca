"""Alarms: what a person at the node should look at, until somebody acknowledged it or its cause is gone.

`book` keeps them, `kinds` and `words` name them, `conditions` and `deadlines` look for causes, `notices`
tells people through `channels`, and `rounds` does all of it every half minute.
"""
