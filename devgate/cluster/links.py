"""The links of this node to all others, opened when something is asked and closed when idle."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Mapping

import trio

from devgate.cluster.dialling import dial
from devgate.cluster.following import RemoteStream
from devgate.cluster.link import NodeLink
from devgate.cluster.wording import token_of
from devgate.control.transport import Transport
from devgate.gateway.completion import Completion
from devgate.gateway.membership import Reply, Unreachable

log = logging.getLogger("devgate.cluster")


class Links:
    """Requests to other nodes, with the control protocol's framing (control.md section 1).

    There is one link to a node for all requests, and a connection for each stream.
    """

    def __init__(
        self,
        node: str,
        secret: Callable[[], str],
        address_of: Callable[[str], str | None],
        tls: Callable[[], ssl.SSLContext | None] | None,
    ) -> None:
        """`node` is this node's name. `secret` gives the cluster's, `address_of` a living one's
        "HOST:PORT"; both may change. Where `tls` gives a context (net.tls.client_context) links
        speak TLS, each by what it gives when the link is opened."""
        self._node = node
        self._secret = secret
        self._address_of = address_of
        self._tls = tls
        self._links: dict[str, NodeLink] = {}
        self._opening: dict[tuple[str, str], Completion[NodeLink | Unreachable]] = {}
        self._away: set[str] = set()  # nodes that could not be reached the last time
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the links until cancelled. Before and after that every node is Unreachable."""
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                await trio.sleep_forever()
        finally:
            self._nursery = None

    async def ask(self, node: str, request: Mapping[str, object]) -> Reply:
        """The answer of that node.

        Raises Unreachable: nothing was done there. Lost: the request went out, and its result is
        unknown. DevgateError: as the node did. If this is cancelled, the node may still carry out
        the request.
        """
        link = await self._link(node)
        return await link.ask(request)

    async def follow(self, node: str, request: Mapping[str, object]) -> RemoteStream:
        """The same for a stream. Whoever has it closes it."""
        address = self._address(node)
        transport = await self._dial(node, address)
        followed = RemoteStream(node, transport, self._token())
        try:
            await followed.begin(request, self._token())
        except BaseException:
            transport.sock.close()
            raise
        return followed

    def _token(self) -> str:
        return token_of(self._node, self._secret())

    def _address(self, node: str) -> str:
        address = self._address_of(node)
        if address is None:
            raise Unreachable(f"no living node is called {node}")
        return address

    async def _link(self, node: str) -> NodeLink:
        address = self._address(node)
        link = self._links.get(node)
        if link is not None and link.address == address and not link.closed:
            return link
        opening = self._opening.get((node, address))
        if opening is None:
            if self._nursery is None:
                raise Unreachable("this node stops")
            opening = self._opening[node, address] = Completion[NodeLink | Unreachable]()
            self._nursery.start_soon(self._carry, node, address, opening)
        found = await opening.wait()
        if isinstance(found, Unreachable):
            raise Unreachable(str(found))
        return found

    async def _carry(
        self, node: str, address: str, opening: Completion[NodeLink | Unreachable]
    ) -> None:
        """One link, from the first byte to the closed socket."""

        def opened(link: NodeLink) -> None:
            # A link to a former address of the node stays until it is idle.
            self._links[node] = link
            self._opening.pop((node, address), None)
            opening.set(link)

        try:
            transport = await self._dial(node, address)
            link = NodeLink(node, address, transport, self._token)
            try:
                await link.run(opened)
            finally:
                transport.sock.close()
                if self._links.get(node) is link:
                    del self._links[node]
            if link.why:
                log.info("link lost node=%s address=%s reason=%s", node, address, link.why)
        except Unreachable as err:
            opening.set(err)
        except Exception:
            log.exception("link crashed node=%s", node)
        finally:
            self._opening.pop((node, address), None)
            opening.set(Unreachable("this node closed the link"))  # unless it was set before

    async def _dial(self, node: str, address: str) -> Transport:
        try:
            transport = await dial(node, address, self._token(), self._tls and self._tls())
        except Unreachable as err:
            if node not in self._away:
                self._away.add(node)
                log.warning("node unreachable node=%s address=%s reason=%s", node, address, err)
            raise
        if node in self._away:
            self._away.discard(node)
            log.info("node reached node=%s address=%s", node, address)
        return transport
