import assert from "node:assert/strict";
import type { Answered, Connection } from "./connection.ts";
import type { Contender } from "./contender.ts";
import { Jar } from "./jar.ts";
import type { SessionData } from "./session-data.ts";

/** 4,096 bytes of base64. A cookie that holds more can't be kept, and some libraries say so themselves. */
const COOKIE_BYTES = 3_072;

/**
 * A visitor whose session holds the data.
 *
 * @throws RangeError where the data is too large for the contender's cookies
 */
export async function filled(contender: Contender, connection: Connection, data: SessionData): Promise<Jar> {
  const jar = new Jar();
  const { status, setCookies } = await connection.ask("/fill");
  const { length } = JSON.stringify(data.values);
  if (status === 500 && contender.stateless === true && length > COOKIE_BYTES) {
    throw new RangeError(`${length} bytes, which it refuses`);
  }
  assert.equal(status, 200, "filling a session");
  jar.take(setCookies);
  assert.ok(!jar.isEmpty, "a session that was filled has a cookie");
  return jar;
}

/**
 * Whether a contender does what it is timed for: it remembers, by the cookie alone, and sends one only where it has to.
 *
 * @throws AssertionError with what went wrong; RangeError where the data is too large for its cookies
 */
export async function check(contender: Contender, connection: Connection, data: SessionData): Promise<void> {
  const ask = async (path: string, jar?: Jar): Promise<Answered> => {
    const answer = await connection.ask(path, jar?.header);
    assert.equal(answer.status, 200, `${path}: status`);
    jar?.take(answer.setCookies);
    return answer;
  };
  const anonymous = await ask("/none");
  assert.equal(anonymous.body, "hello");
  assert.deepEqual(anonymous.setCookies, [], "a visitor without a session is given no cookie");
  if (contender.kind === "bare") return;

  const visitor = await filled(contender, connection, data);
  const other = await filled(contender, connection, data);
  const untouched = await ask("/none", visitor);
  assert.deepEqual(untouched.setCookies, [], "a request that leaves the session alone is given no cookie");
  assert.equal((await ask("/read", new Jar())).body, "nothing", "without the session's cookie, nothing is there");
  assert.equal((await ask("/read", visitor)).body, "1", "what was filled in is read");
  assert.equal((await ask("/whole", visitor)).body, String(data.weight), "all of what was filled in is read");
  const before = visitor.header;
  assert.equal((await ask("/write", visitor)).body, "2");
  assert.equal((await ask("/read", visitor)).body, "2", "what was written is read");
  assert.equal(
    visitor.header !== before,
    contender.stateless === true,
    "the cookie is another one only if it is the session",
  );
  assert.equal((await ask("/whole", visitor)).body, String(data.weight + 1), "the rest was kept");
  assert.equal((await ask("/read", other)).body, "1", "another visitor's session is another");

  const user = new Jar();
  const login = await ask("/login", user);
  assert.ok(login.setCookies.length > 0, "a login sends a cookie");
  assert.equal((await ask("/who", user)).body, "alice", "who logged in is known");
  await ask("/login", visitor);
  assert.notEqual(visitor.header, before, "a login changes the token");
  assert.equal((await ask("/who", visitor)).body, "alice", "who logged in over a session is known");
  const loggedIn = user.header;
  await ask("/logout", user);
  assert.equal((await ask("/who", user)).body, "nothing", "who logged out is nobody");
  if (contender.stateless !== true) {
    assert.equal((await connection.ask("/who", loggedIn)).body, "nothing", "nor is a copy of the cookie");
  }
}
