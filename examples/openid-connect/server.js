// A site whose visitors log in at an OpenID Connect provider: the usual way, by code and PKCE.
import { once } from "node:events";
import { createServer } from "node:http";
import express from "express";
import * as oidc from "openid-client";
import { session } from "sojourn";
import { startProvider } from "./provider.js";

const app = express();
const server = createServer(app).listen(Number(process.env.PORT ?? 3000), "127.0.0.1");
await once(server, "listening");
const site = `http://localhost:${server.address().port}`;

const client = { id: "shop", secret: "only for this example", callback: `${site}/callback` };
// Elsewhere: the address of your provider, and what it gave you.
const issuer = await startProvider(client);
const provider = await oidc.discovery(new URL(issuer), client.id, client.secret, undefined, {
  execute: [oidc.allowInsecureRequests], // the provider of this example has no HTTPS
});

const sessions = session({ secret: process.env.SESSION_SECRET ?? "only for this example: 32 bytes or more" });
app.use(sessions);

app.get("/", (req, res) => {
  const { userId, views = 0 } = req.session;
  req.session.views = views + 1;
  const form = '<form action="/logout" method="post"><button>Log out</button></form>';
  res.send(`Hello ${userId ?? "stranger"}, view ${views + 1}. ${userId ? form : '<a href="/login">Log in</a>'}`);
});

app.get("/login", async (req, res) => {
  const verifier = oidc.randomPKCECodeVerifier();
  const state = oidc.randomState();
  req.session.signIn = { verifier, state }; // for /callback, in this browser alone
  const address = oidc.buildAuthorizationUrl(provider, {
    redirect_uri: client.callback,
    scope: "openid",
    state,
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  });
  res.redirect(303, address.href);
});

app.get("/callback", async (req, res) => {
  const { signIn } = req.session;
  if (signIn === undefined) return res.status(400).send("This browser did not ask to log in.");
  delete req.session.signIn;
  const tokens = await oidc.authorizationCodeGrant(provider, new URL(req.originalUrl, site), {
    pkceCodeVerifier: signIn.verifier,
    expectedState: signIn.state,
  });
  await req.session.login(tokens.claims().sub);
  res.redirect(303, "/");
});

app.post("/logout", async (req, res) => {
  await req.session.logout(); // of this site; the provider still knows the visitor
  res.redirect(303, "/");
});

console.log(`The site is at ${site}, its provider at ${issuer}`);
