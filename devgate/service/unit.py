"""The unit file: how systemd starts the gateway, watches it, and what it may not do."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from devgate.model import host_port

DESCRIPTORS = 200_000
WATCHDOG_SECONDS = 10
PRIVILEGED_PORTS = 1024
# Files with secrets that a configuration may name, each behind the service's name.
SECRETS = (
    "store.password", "store.key", "http.secret", "http.tls.key", "control.tls.key",
    "device.tls.key", "cluster.tls.key",
)  # fmt: skip

_UNIT = """\
# Written by `devgate service install`; changes belong into `systemctl edit {name}`.
[Unit]
Description=devgate, the gateway of the rented machines
Wants=network-online.target
After=network-online.target postgresql.service
StartLimitIntervalSec=0

[Service]
Type=notify
# It waits for a database that is away, and after an upgrade it changes the tables.
TimeoutStartSec=infinity
TimeoutStopSec=60
# A process that is frozen keeps its connections, and its devices would notice nothing.
WatchdogSec={watchdog}
WatchdogSignal=SIGKILL
Restart=always
RestartSec=1
# The configuration is wrong: another start mends nothing.
RestartPreventExitStatus=2
User={user}
Group={user}
ExecStart={command}
# Not /bin/kill: a small Debian has none.
ExecReload=/bin/sh -c 'kill -HUP $MAINPID'
RuntimeDirectory={name}
StateDirectory={name}
ConfigurationDirectory={name}
# Secrets: files of these names in /etc/credstore, or encrypted by systemd-creds in
# /etc/credstore.encrypted, are "$CREDENTIALS_DIRECTORY/NAME" in the configuration. What is not
# there is passed by.
{credentials}
# The group of the control socket may use it, others may not.
UMask=0027
LimitNOFILE={descriptors}

NoNewPrivileges=yes
CapabilityBoundingSet={capabilities}
AmbientCapabilities={capabilities}
PrivateDevices=yes
PrivateTmp=yes
ProtectSystem=strict
ProtectHome=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def unit(
    command: Iterable[str],
    listen: Iterable[str],
    *,
    name: str,
    user: str,
    credentials: Iterable[str] = (),
) -> str:
    """The unit's text. With a port below 1024 in `listen` it has the capability for that.
    `credentials`: names of credentials besides those that each service has."""
    each = dict.fromkeys([*(f"{name}.{secret}" for secret in SECRETS), *credentials])
    low = any(0 < int(host_port(address)[1]) < PRIVILEGED_PORTS for address in listen)
    return _UNIT.format(
        name=name,
        user=user,
        command=shlex.join(command).replace("%", "%%").replace("$", "$$"),
        watchdog=WATCHDOG_SECONDS,
        credentials="\n".join(f"LoadCredential={one}" for one in each),
        descriptors=DESCRIPTORS,
        capabilities="CAP_NET_BIND_SERVICE" if low else "",
    )
