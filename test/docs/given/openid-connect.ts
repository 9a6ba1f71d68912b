// The check of docs/guides/openid-connect.md: the whole way to the provider, and back.
import assert from "node:assert/strict";

export async function check(port: number): Promise<void> {
  const jars = new Map<string, Map<string, string>>();
  const ask = async (address: URL, form?: Record<string, string>) => {
    const jar = jars.get(address.host) ?? new Map<string, string>();
    jars.set(address.host, jar);
    const response = await fetch(address, {
      redirect: "manual",
      headers: { cookie: [...jar].map((pair) => pair.join("=")).join("; ") },
      ...(form && { method: "POST", body: new URLSearchParams(form) }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (value === "") jar.delete(name);
      else jar.set(name, value);
    }
    return { status: response.status, location: response.headers.get("location"), text: await response.text() };
  };

  /** Follows redirects; fills in the provider's forms. */
  let at = new URL(`http://127.0.0.1:${port}/login`);
  for (let steps = 0; at.pathname !== "/" && steps < 20; steps++) {
    let answer = await ask(at);
    const [, action] = /action="([^"]+)"/.exec(answer.text) ?? [];
    const [, prompt = ""] = /name="prompt" value="(\w+)"/.exec(answer.text) ?? [];
    if (action !== undefined) answer = await ask(new URL(action, at), { prompt, login: "ada", password: "any" });
    assert.ok(answer.location, `${at.pathname}: ${answer.status} ${answer.text}`);
    at = new URL(answer.location.replace("localhost:3000", `127.0.0.1:${port}`), at);
  }
  assert.equal((await ask(at)).text, "Hello ada\n");
}
