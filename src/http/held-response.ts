import type { ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import { cutOff, type Failure, forgetHead } from "./held-response/failure.ts";
import { assertChunk, assertHead, takeHead } from "./held-response/head.ts";
import type { HoldHooks } from "./held-response/hooks.ts";
import {
  type Call,
  deferredResult,
  dropCall,
  hasChunk,
  type Kind,
  type Method,
  nothing,
  type Outgoing,
  warnOfMissingMethods,
} from "./held-response/outgoing.ts";
import { Waiting, wakeWriters } from "./held-response/waiting.ts";

/**
 * Nothing leaves before the commit. Only this file, with `held-response/`, patches a response.
 *
 * The hold goes on before the handlers run: it is the innermost patch, and a method that a handler
 * looked up early is the hold's. The first call that would send something starts the commit. If
 * that is not done at once, calls wait, and then reach the methods beneath in their order.
 *
 * The session's headers are added in the innermost `writeHead`, which Node calls for most heads.
 * Patches above, such as a response cache, have copied the headers by then: they see no cookie.
 * docs/ARCHITECTURE.md, "The held response", has the whole contract as a table.
 */

/**
 * Whether something is a response that can be held: it has a status, or is a stream that gets one
 * by `writeHead`, as Sails's virtual responses do. Engine.IO's response for a WebSocket handshake
 * has the methods but is no stream, and never ends. An object with fewer methods causes a warning.
 */
export function isResponse(res: Partial<ServerResponse> | null | undefined): boolean {
  const isComplete =
    typeof res?.end === "function" &&
    typeof res.writeHead === "function" &&
    typeof res.setHeader === "function" &&
    typeof res.getHeader === "function";
  // Other makers' streams too: `writable` is older than Node's own classes.
  if (isComplete) return typeof res.statusCode === "number" || typeof res.writable === "boolean";
  if (typeof res?.end === "function" || typeof res?.writeHead === "function") warnOfMissingMethods(res);
  return false;
}

/**
 * Lets no byte of `res` leave before `hooks` allow it. If the headers have left already, only the
 * end waits. Several holds of one response wrap each other.
 */
export function holdResponse(res: ServerResponse | Http2ServerResponse, hooks: HoldHooks): void {
  const response: Patched = res;
  if (response.writableEnded) return;
  const hold = new Hold(response, hooks);
  if (response[HOLD] === undefined) response[HOLD] = hold;
  else hold.entry = entryOf(hold);
  install(hold);
}

type Entry = Record<Call, Method>;

interface Patched extends Outgoing {
  [HOLD]?: Hold;
}

const HOLD = Symbol("sojourn.hold");

/**
 * `new`: nothing tried to leave. `Waiting`: the head or the end waits for a commit. `open`: the
 * body may leave. `done`: the end was passed on.
 */
type Phase = "new" | Waiting | "open" | "done";

class Hold {
  readonly response: Outgoing;
  readonly kind: Kind;
  readonly hooks: HoldHooks;
  readonly writeHead: Method; // this one and the next four are the methods beneath
  readonly write: Method;
  readonly end: Method;
  readonly flushHeaders: Method;
  readonly flush: Method | undefined;
  /** Calls that come through any other entry belong to a response that failed. */
  entry: Entry = firstEntry;
  phase: Phase = "new";
  /** Whether the session's headers are still to be added. */
  owesHeaders = true;
  /** Whether the headers leave before `end` is called. */
  streams = false;
  failure: Failure | undefined = undefined;

  constructor(response: Outgoing, hooks: HoldHooks) {
    this.response = response;
    this.kind = kindOf(response);
    this.hooks = hooks;
    this.writeHead = response.writeHead;
    this.write = response.write;
    this.end = response.end;
    this.flushHeaders = response.flushHeaders ?? nothing;
    this.flush = response.flush; // without compression's, what waited would stay in the compressor
  }

  /** Keeps the session behind the hooks out of `util.inspect(response)`. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "Hold {}";
  }
}

let http: typeof import("node:http") | undefined; // not imported, see `nodeHttp`

function kindOf(response: Outgoing): Kind {
  http ??= process.getBuiltinModule("node:http");
  if (response instanceof http.ServerResponse) return "http1";
  return typeof response.stream?.close === "function" ? "http2" : "foreign";
}

/** Returns the functions put on a response: shared by all, or bound to one hold. */
function entryOf(bound?: Hold): Entry {
  const entry: Entry = {
    writeHead(this: Patched, ...args: unknown[]) {
      return receive(bound ?? this[HOLD], entry, "writeHead", args);
    },
    write(this: Patched, ...args: unknown[]) {
      return receive(bound ?? this[HOLD], entry, "write", args);
    },
    end(this: Patched, ...args: unknown[]) {
      return receive(bound ?? this[HOLD], entry, "end", args);
    },
    flushHeaders(this: Patched, ...args: unknown[]) {
      return receive(bound ?? this[HOLD], entry, "flushHeaders", args);
    },
    flush(this: Patched, ...args: unknown[]) {
      return receive(bound ?? this[HOLD], entry, "flush", args);
    },
  };
  return entry;
}

const firstEntry = entryOf();

function install(hold: Hold): void {
  const { response, entry } = hold;
  response.writeHead = entry.writeHead;
  response.write = entry.write;
  response.end = entry.end;
  response.flushHeaders = entry.flushHeaders;
  if (hold.flush !== undefined) response.flush = entry.flush;
}

function receive(hold: Hold | undefined, entry: Entry, method: Call, args: unknown[]): unknown {
  if (hold === undefined)
    throw new TypeError(`${method} was called on an object that is not the response it belongs to`);
  const { phase, failure, response } = hold;
  if (hold.entry !== entry || failure?.isLate(response, method, args, phase !== "new") === true)
    return dropCall(response, method, args, failure?.error);
  switch (phase) {
    case "new":
      return method === "flush" ? pass(hold, method, args) : begin(hold, method, args);
    case "open":
    case "done":
      if (method === "writeHead") return writeHead(hold, args);
      return method === "end" && phase === "open" ? finish(hold, args) : pass(hold, method, args);
    default:
      // A hold beneath this one may only now let the headers go; else Node refuses.
      if (method === "writeHead") return phase.holdsHead ? phase.refuseHead(args) : writeHead(hold, args);
      assertChunk(hold.kind, method, args[0]);
      return phase.add(method, args);
  }
}

function pass(hold: Hold, method: Call, args: readonly unknown[]): unknown {
  return Reflect.apply(hold[method] ?? nothing, hold.response, args);
}

function begin(hold: Hold, method: Call, args: unknown[]): unknown {
  const { response, kind, hooks } = hold;
  hold.streams = method !== "end";
  if (response.headersSent) {
    // They left before the hold, or around it.
    hold.phase = "open";
    hold.owesHeaders = false;
    return method === "end" ? finish(hold, args) : pass(hold, method, args);
  }
  if (hooks.isUnused === true) {
    hooks.beforeHeaders();
    return leave(hold, method, args);
  }
  // What Node refuses is refused now, not after the commit.
  if (!isPlainChunk(method, args[0])) assertChunk(kind, method, args[0]);
  const call = method === "writeHead" ? takeHead(response, kind, args) : args;
  if (method !== "writeHead" && !(kind === "http1" && isPlainHead(response)))
    assertHead(response, kind, response.statusCode);
  const pending = commit(hooks, "beforeHeaders");
  if (pending === undefined) return leave(hold, method, call);
  const waiting = new Waiting(response, kind, { method, args: call });
  waiting.lock(response.write !== hold.entry.write);
  wait(hold, waiting, pending);
  return deferredResult(response, method);
}

/** The commit is done: makes the first call, and with it the head. */
function leave(hold: Hold, method: Call, args: readonly unknown[]): unknown {
  hold.phase = hold.streams ? "open" : "done";
  if (method === "writeHead") return writeHead(hold, args);
  const { response, kind } = hold;
  // Node makes its head by `writeHead`, except HTTP/2 for an end without a body.
  const impliesHead = kind === "http1" || (kind === "http2" && hasChunk(args));
  if (!impliesHead) {
    if (kind === "foreign" && typeof response._implicitHeader === "function") response._implicitHeader();
    addHeaders(hold);
  }
  return pass(hold, method, args);
}

/** The application, Node or a patch above makes the head. */
function writeHead(hold: Hold, args: readonly unknown[]): unknown {
  const { failure, response } = hold;
  if (!hold.owesHeaders || response.headersSent || hold.hooks.isUnused === true) return pass(hold, "writeHead", args);
  const head = failure === undefined ? args : failure.headFor(response, args);
  // A status alone is what Node implies: it was checked when the commit began.
  const call = head.length === 1 && head[0] === response.statusCode ? head : takeHead(response, hold.kind, head);
  addHeaders(hold);
  return pass(hold, "writeHead", call);
}

function addHeaders(hold: Hold): void {
  if (!hold.owesHeaders) return;
  hold.owesHeaders = false;
  hold.hooks.writeHeaders();
}

function commit(hooks: HoldHooks, when: "beforeHeaders" | "beforeEnd"): void | Promise<void> {
  try {
    return hooks[when]();
  } catch (error) {
    return Promise.reject(error);
  }
}

/** @param earlier the calls of an earlier commit that are still to be made */
function finish(hold: Hold, args: readonly unknown[], earlier?: Waiting): unknown {
  const { response, kind, hooks } = hold;
  const pending = hold.streams ? commit(hooks, "beforeEnd") : undefined;
  if (pending === undefined) {
    hold.phase = "done";
    return pass(hold, "end", args);
  }
  wait(hold, new Waiting(response, kind, { method: "end", args }, earlier), pending);
  return response;
}

function wait(hold: Hold, waiting: Waiting, pending: Promise<void>): void {
  hold.phase = waiting;
  pending.then(
    () => release(hold, waiting),
    (error: unknown) => fail(hold, waiting, error),
  );
}

function release(hold: Hold, waiting: Waiting): void {
  waiting.unlock();
  try {
    hold.phase = waiting.holdsHead && hold.streams ? "open" : "done";
    const owesDrain = waiting.replay((method, args, isHead) => {
      if (isHead) return leave(hold, method, args);
      return method === "end" && hold.phase === "open" ? finish(hold, args, waiting) : pass(hold, method, args);
    });
    if (owesDrain) process.nextTick(wakeWriters, hold.response);
  } catch (error) {
    fail(hold, waiting, error);
  }
}

function fail(hold: Hold, waiting: Waiting, error: unknown): void {
  const { response, kind, hooks } = hold;
  hold.failure = waiting.fail(error);
  // The failed response must not mix with the error handler's: patches above that saw it end are
  // cut off, and writers that wait to go on are not woken.
  hold.entry = entryOf(hold);
  if (response.headersSent) cutOff(response, kind);
  else {
    hold.phase = "new";
    hold.owesHeaders = true;
    forgetHead(response, kind);
    install(hold);
    response.removeAllListeners?.("drain");
  }
  hold.failure.handle(() => hooks.failed(error));
}

/** Whether Node takes a chunk as it is, which needs no further check. */
function isPlainChunk(method: Call, chunk: unknown): boolean {
  return typeof chunk === "string" || chunk instanceof Uint8Array || (chunk === undefined && method !== "write");
}

/** Whether Node takes a status as it is: most responses have no reason phrase of their own. */
function isPlainHead({ statusCode, statusMessage }: Outgoing): boolean {
  return Number.isInteger(statusCode) && statusCode >= 100 && statusCode <= 999 && !statusMessage;
}
