import { once } from "node:events";
import { createServer } from "node:http";
import express from "express";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { WebSocketServer } from "ws";
import { backchannelLogout } from "../../src/identity/oidc.ts";
import { session } from "../../src/index.ts";
import { openStore } from "../../src/stores/open.ts";

/**
 * One of several processes of an application whose users log in at a provider. Its arguments: the provider, the client's ID, and the
 * store that the processes share.
 */
const [issuer = "", clientId = "", storeUrl = "", prefix = ""] = process.argv.slice(2);
const CLIENT_SECRET = "a secret that only this test's provider knows";
/** Of a public client it would have to be random. */
const VERIFIER = "a-code-verifier-of-a-test-that-is-at-least-43-characters-long";

const store = await openStore(storeUrl, { redis: { prefix } });
const sessions = session({ store });
const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`));
const refusals: string[] = [];
sessions.on("logout-refused", ({ reason }) => refusals.push(reason));

const app = express();
const server = createServer(app);
app.post("/backchannel-logout", backchannelLogout({ sessions, issuer, clientId }));
app.use(sessions);
app.get("/login", async (_req, res) => {
  const digest = await crypto.subtle.digest("SHA-256", Buffer.from(VERIFIER));
  const query = new URLSearchParams({
    client_id: clientId,
    response_type: "code",
    scope: "openid",
    redirect_uri: callback(),
    code_challenge_method: "S256",
    code_challenge: Buffer.from(digest).toString("base64url"),
  });
  res.redirect(`${issuer}/auth?${query}`);
});
app.get("/callback", async (req, res) => {
  const answer = await fetch(`${issuer}/token`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa(`${clientId}:${encodeURIComponent(CLIENT_SECRET)}`)}` },
    body: new URLSearchParams({
      grant_type: "authorization_code",
      code: String(req.query.code),
      redirect_uri: callback(),
      code_verifier: VERIFIER,
    }),
  });
  const { id_token: token } = Object(await answer.json());
  const { payload } = await jwtVerify(String(token), keys, { issuer, audience: clientId });
  const { sub = "", sid } = payload;
  await req.session.login(sub, typeof sid === "string" ? { link: sid } : {});
  res.redirect("/");
});
app.get("/", (req, res) => {
  res.json({ user: req.session.userId, refusals });
});

const sockets = new WebSocketServer({ noServer: true });
server.on("upgrade", async (req, socket, head) => {
  const found = await sessions.authenticateUpgrade(req);
  if (found === undefined) {
    socket.end("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
    return;
  }
  sockets.handleUpgrade(req, socket, head, (ws) => {
    ws.on(
      "close",
      found.onEnd(() => ws.close(4_401)),
    );
    ws.on("message", () => ws.send(String(found.userId)));
  });
});

server.listen(0, "127.0.0.1");
await once(server, "listening");
process.send?.({ url: origin() });
process.on("disconnect", () => process.exit());

function origin(): string {
  const address = server.address();
  return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : ""}`;
}

function callback(): string {
  return `${origin()}/callback`;
}
