// Says whether a receiver on Node believes deliveries. Input, as JSON on stdin:
// {"deliveries": [{"headers": {…}, "body": base64}], "secrets": [whsec_…], "jwks": {"keys": […]}}
// Output: for each delivery, which secrets verify it by `v1` and which keys by `v1a`.

import { createPublicKey, verify } from "node:crypto";
import { text } from "node:stream/consumers";
import { Webhook } from "standardwebhooks";

const { deliveries, secrets, jwks } = JSON.parse(await text(process.stdin));

function believesV1(secret, body, headers) {
  try {
    new Webhook(secret).verify(body, headers);
    return true;
  } catch {
    return false;
  }
}

// The npm package knows `v1` only; this is the whole of `v1a` with what Node has.
function believesV1a(jwk, body, headers) {
  const key = createPublicKey({ key: jwk, format: "jwk" });
  const content = Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  return headers["webhook-signature"]
    .split(" ")
    .map((signature) => signature.split(","))
    .filter(([version]) => version === "v1a")
    .some(([, signature]) => verify(null, content, key, Buffer.from(signature, "base64")));
}

const believed = deliveries.map(({ headers, body: encoded }) => {
  const body = Buffer.from(encoded, "base64").toString();
  return {
    v1: secrets.filter((secret) => believesV1(secret, body, headers)),
    v1a: jwks.keys.filter((jwk) => believesV1a(jwk, body, headers)).map((jwk) => jwk.kid),
  };
});
process.stdout.write(JSON.stringify(believed));
