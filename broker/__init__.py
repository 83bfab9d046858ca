"""The broker: hub, node and auditor, floor by floor; each floor imports only those below it."""
