// node start.mjs IMEI SECONDS ORDER    (Node 18 or later, without a package)
const [imei, seconds, order] = process.argv.slice(2);

async function start(imei, seconds, order) {
  try {
    const url = `${process.env.DEVGATE_URL}/api/devices/${encodeURIComponent(imei)}/start`;
    const reply = await fetch(url, {
      method: "POST",
      headers: {
        Authorization: `Bearer ${process.env.DEVGATE_TOKEN}`,
        "Content-Type": "application/json",
        "Idempotency-Key": order,
      },
      body: JSON.stringify({ long: seconds }),
      signal: AbortSignal.timeout(60_000), // longer than queue_timeout and ack_timeout together
    });
    return await reply.json(); // a 409 or 504 has a body, too
  } catch {
    return { outcome: "unknown", detail: "no answer" };
  }
}

const reply = await start(imei, Number(seconds), order);
switch (reply.outcome) {
  case "done":
    console.log("running");
    break;
  case "pending": // accepted, and not waited for
    console.log("under way: ask again with the same order");
    break;
  case "failed": // the machine said no
  case "refused": // nothing was sent
    console.log(`refund: ${reply.detail}`);
    break;
  case "conflict": // the order was used for another start, which may run
    console.log(`look at command ${reply.earlier}`);
    break;
  default: // unknown, or no answer: the machine may run
    console.log("unknown: ask again with the same order");
}
