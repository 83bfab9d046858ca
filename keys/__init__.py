"""Who says it: identities, signatures, sealing, the keystore, the directory and its trust root.

May import `schemas`, `cryptography`, PyNaCl, `http-message-signatures`, `tuf` and the standard
library; the clock and every transport are passed in. Hub, node, auditor and command line call it,
so that each rule of the protocol about keys stands once.
"""
