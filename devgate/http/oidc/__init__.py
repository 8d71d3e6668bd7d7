"""Logging in through a provider of OpenID Connect: the authorization code flow with PKCE.

Authlib knows the protocol and the claims, joserfc the signatures, and httpcore moves the bytes.
"""
