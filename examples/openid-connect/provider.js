// A provider to try with: it takes any name and password. In its place you have Keycloak, Entra ID, Auth0 or the like.
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

export async function startProvider(client) {
  const server = createServer().listen(Number(process.env.PROVIDER_PORT ?? 0), "127.0.0.1");
  await once(server, "listening");
  const issuer = `http://localhost:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{ client_id: client.id, client_secret: client.secret, redirect_uris: [client.callback] }],
    cookies: { keys: [randomBytes(32).toString("base64url")] },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  });
  server.on("request", provider.callback());
  return issuer;
}
