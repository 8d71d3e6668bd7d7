// node start.mjs IMEI LONG ORDER    (Node 18 or later, without a package)
import net from "node:net";

const [imei, long, order] = process.argv.slice(2);

function ask(request) {
  return new Promise((done) => {
    let reply = "";
    let connected = false;
    const socket = net.connect(process.env.DEVGATE_SOCKET ?? "/run/devgate/devgate.sock", () => {
      connected = true;
      socket.write("command" + JSON.stringify(request));
    });
    const end = () => {
      socket.destroy();
      try {
        done(JSON.parse(reply));
      } catch {
        done({ outcome: connected ? "unknown" : "refused", message: "no reply" });
      }
    };
    socket.setEncoding("utf8");
    socket.setTimeout(60_000, end); // longer than queue_timeout and ack_timeout together
    socket.on("data", (text) => {
      reply += text;
      if (reply.endsWith("\n")) end();
    });
    socket.on("error", end);
    socket.on("close", end);
  });
}

const reply = await ask({ type: "start", imei, long, key: order });
switch (reply.outcome) {
  case "done":
    console.log("running");
    break;
  case "pending": // accepted, and not waited for
    console.log("under way: ask again with the same order");
    break;
  case "failed": // the machine said no
  case "refused": // nothing was sent
    console.log(`refund: ${reply.message}`);
    break;
  case "conflict": // the order was used for another start, which may run
    console.log(`look at command ${reply.earlier}`);
    break;
  default: // unknown, or no reply: the machine may run
    console.log("unknown: ask again with the same order");
}
