// What a web shop would write with the types that openapi-typescript makes.
import createClient from "openapi-fetch";
import type { components, paths } from "./devgate.js";

const [baseUrl, token, imei] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });

const started = await client.POST("/api/devices/{imei}/start", {
  params: { path: { imei }, header: { "Idempotency-Key": "from-typescript" } },
  body: { long: 60 },
});
if (started.error) throw new Error(`${started.error.code}: ${started.error.detail}`);
const ordered: components["schemas"]["Ordered"] = started.data;
const fleet = await client.GET("/api/fleet");
const hours: number[] = fleet.data?.hours.map((hour) => hour.start) ?? [];
console.log(JSON.stringify({ outcome: ordered.outcome, starts: hours.reduce((a, b) => a + b, 0) }));
