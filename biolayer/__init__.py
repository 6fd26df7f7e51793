"""What both sides of BioLayer's wire share: the law, the contract, signatures, errors, a client.

Nothing here knows a framework, so a product backend can install it beside anything.
"""
