"""The agency interface over HTTPS: tokens, routes, what they show, and the OpenAPI document.

May import every other room of the node; `broker.node.app` mounts it, the command line makes tokens with it.
"""
