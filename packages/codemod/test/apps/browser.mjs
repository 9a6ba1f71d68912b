import { once } from "node:events";

/** A browser that keeps cookies, for the tests of these applications. */
export async function browse(app) {
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = `http://127.0.0.1:${server.address().port}`;
  const jar = new Map();
  const send = async (path, method, form) => {
    const response = await fetch(address + path, {
      method,
      redirect: "manual",
      headers: { cookie: [...jar].map(([name, value]) => `${name}=${value}`).join("; ") },
      body: form === undefined ? undefined : new URLSearchParams(form),
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (value === "" || /expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(name);
      else jar.set(name, value);
    }
    return { status: response.status, location: response.headers.get("location"), text: await response.text() };
  };
  return {
    jar,
    get: (path) => send(path, "GET"),
    post: (path, form = {}) => send(path, "POST", form),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
