"""Checks whether the login provider answers, and is the one in the configuration."""

from __future__ import annotations

import trio

from devgate.config.settings import Settings
from devgate.doctor.finding import Finding, Findings, error, ok, warning
from devgate.errors import SetupError

CHECK = "logins"


def examine(settings: Settings) -> Findings:
    """Ask it for its configuration and its keys, if there is one."""
    if settings.http.listen and settings.http.oidc.issuer:
        yield trio.run(_look, settings)


async def _look(settings: Settings) -> Finding:
    # Imported here: a gateway without a provider does not need its libraries.
    from devgate.http.oidc.asking import ProviderAway, ProviderRequests
    from devgate.http.oidc.provider import Provider

    oidc = settings.http.oidc
    try:
        oidc.secret()
        asking = ProviderRequests(oidc.issuer, oidc.ca_file)
    except SetupError as err:
        return error(CHECK, str(err), "mend it: the gateway does not start until then")
    try:
        provider = Provider(oidc.issuer, asking)
        keys = sum([len(await provider.keys(None, kind)) for kind in ("RSA", "EC", "OKP")])
    except ProviderAway as err:
        return warning(
            CHECK,
            f"nobody can log in through {oidc.called}: {err}",
            "mend [http.oidc] issuer, the network or the provider; passwords work meanwhile",
        )
    finally:
        await asking.aclose()
    if not keys:
        return warning(
            CHECK,
            f"nobody can log in through {oidc.called}: it has no key that signs",
            "see which keys the provider publishes at its jwks_uri",
        )
    return ok(CHECK, f"{oidc.called} answers")
