import type { ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import {
  assertChunk,
  assertHead,
  type Call,
  ENDED_LOOK,
  forgetHead,
  http2Stream,
  type Look,
  type Method,
  nothing,
  type Outgoing,
  overlay,
  refuseAsSent,
  sentLook,
  takeHead,
} from "./held-headers.ts";

/**
 * Nothing leaves before the commit. This is the only file that patches a response.
 *
 * Whatever would send something first starts the commit. A commit that is done at once costs a few calls. For one that
 * is not, the calls queue, and are then made in their order on the methods that were there before: so Node, and whoever
 * patched the response, see what they would have seen, only later. Meanwhile the response looks sent to everyone else.
 */
export interface HoldHooks {
  /**
   * The first call that would send anything. `undefined` when the response may go now, or a promise for that. What it
   * throws or rejects with is a failed commit.
   */
  beforeHeaders(): void | Promise<void>;
  /**
   * The commit is done and the headers are about to leave: add to them. Those given to `writeHead` are there already.
   * Called once for each response that leaves.
   */
  writeHeaders(): void;
  /**
   * The response ends, after its headers left: commit what changed while it streamed; the end waits for it. When this
   * fails, the response is cut off (the client sees an incomplete one), as its status can't be changed any more.
   */
  beforeEnd(): void | Promise<void>;
  /**
   * A commit failed. If no headers left, the response is as if nobody had answered yet, so that an error handler can.
   * Never called within the handler's own call.
   */
  failed(error: unknown): void;
}

/**
 * Lets no byte of `res` leave before `hooks` say so. Call it whenever the need arises, in the middle of a handler too;
 * when the headers left already, only the end waits. Several holds of one response wrap each other.
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

/** `new`: nothing tried to leave. `held`: the headers wait. `open`: they left. `ending`: the end waits. `done`: it is made. */
type Phase = "new" | "held" | "open" | "ending" | "done";

class Hold {
  readonly response: Outgoing;
  readonly hooks: HoldHooks;
  // What was there before us.
  readonly writeHead: Method;
  readonly write: Method;
  readonly end: Method;
  readonly flushHeaders: Method;
  /** Calls that come through any other entry belong to an answer that failed. */
  entry: Entry = firstEntry;
  phase: Phase = "new";
  /** The headers leave before the end is asked for. */
  streams = false;
  /** The end has been asked for. */
  ended = false;
  queue: { method: Call; args: readonly unknown[] }[] = [];
  /** Takes off the look that the response has while calls wait. */
  unlock: () => void = nothing;
  impliedStatus: number | undefined = undefined;
  /** Why an answer was taken back, and whether that is just being told. */
  failure: { error: unknown; isNews: boolean } | undefined = undefined;

  constructor(response: Outgoing, hooks: HoldHooks) {
    this.response = response;
    this.hooks = hooks;
    this.writeHead = response.writeHead;
    this.write = response.write;
    this.end = response.end;
    this.flushHeaders = response.flushHeaders ?? nothing;
  }

  /** Whoever inspects a response shall not see a session through its hooks. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Hold <${this.phase}>`;
  }
}

/** The functions put on a response: shared by all, or bound to one hold. */
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
}

function receive(hold: Hold | undefined, entry: Entry, method: Call, args: unknown[]): unknown {
  if (hold === undefined)
    throw new TypeError(`${method} was called on an object that is not the response it belongs to`);
  if (hold.entry !== entry || isFromFailedAnswer(hold, method)) return ignore(hold, method, args);
  switch (hold.phase) {
    case "new":
      return begin(hold, method, args);
    case "open":
      return method === "end" ? finish(hold, args) : pass(hold, method, args);
    case "done":
      return pass(hold, method, args);
    default:
      return enqueue(hold, method, args);
  }
}

function pass(hold: Hold, method: Call, args: readonly unknown[]): unknown {
  return Reflect.apply(hold[method], hold.response, args);
}

function begin(hold: Hold, method: Call, args: unknown[]): unknown {
  const { response } = hold;
  if (response.headersSent) {
    // They left before the hold, or around it.
    hold.phase = "open";
    hold.streams = true;
    return method === "end" ? finish(hold, args) : pass(hold, method, args);
  }
  // What Node refuses it refuses now, not after the commit.
  assertChunk(response, method, args);
  const call = method === "writeHead" ? takeHead(response, args) : args;
  if (method !== "writeHead") assertHead(response, response.statusCode, undefined);
  hold.streams = method !== "end";
  const pending = commit(hold.hooks, "beforeHeaders");
  if (pending === undefined) {
    hold.phase = hold.streams ? "open" : "done";
    return pass(hold, method, call);
  }
  hold.queue.push({ method, args: call });
  hold.ended = method === "end";
  wait(hold, "held", pending);
  return answer(hold, method);
}

function commit(hooks: HoldHooks, when: "beforeHeaders" | "beforeEnd"): void | Promise<void> {
  try {
    const pending = hooks[when]();
    if (pending === undefined && when === "beforeHeaders") hooks.writeHeaders();
    return pending;
  } catch (error) {
    return Promise.reject(error);
  }
}

function finish(hold: Hold, args: readonly unknown[]): unknown {
  const pending = hold.streams ? commit(hold.hooks, "beforeEnd") : undefined;
  if (pending === undefined) {
    hold.phase = "done";
    return pass(hold, "end", args);
  }
  hold.queue.unshift({ method: "end", args });
  hold.ended = true;
  wait(hold, "ending", pending);
  return hold.response;
}

function enqueue(hold: Hold, method: Call, args: unknown[]): unknown {
  const { response } = hold;
  if (method === "writeHead") {
    // A hold beneath this one may only now let the headers go; else Node refuses.
    if (hold.phase === "ending") return pass(hold, method, args);
    if (isImplied(hold, args)) return response;
    return refuseAsSent(response, method, args);
  }
  assertChunk(response, method, args);
  hold.queue.push({ method, args });
  if (method === "end" && !hold.ended) {
    hold.ended = true;
    overlay(response, ENDED_LOOK);
  }
  return answer(hold, method);
}

/** What a call returns that is not made yet. */
function answer(hold: Hold, method: Call): unknown {
  if (method === "write") return false; // wait for "drain"
  return method === "flushHeaders" ? undefined : hold.response;
}

function wait(hold: Hold, phase: "held" | "ending", pending: Promise<void>): void {
  hold.phase = phase;
  lock(hold);
  pending.then(
    () => release(hold),
    (error: unknown) => fail(hold, error),
  );
}

/** While calls wait, the response looks to everyone as if they had been made. */
function lock(hold: Hold): void {
  const { response } = hold;
  if (hold.phase === "ending") {
    const isShown = Object.hasOwn(response, "writableEnded"); // by a hold beneath this one
    if (!isShown) hold.unlock = overlay(response, ENDED_LOOK);
    return;
  }
  // What is set from now on comes too late, as with any response.
  const { statusCode } = response;
  const statusMessage = http2Stream(response) === undefined ? response.statusMessage : undefined;
  const takeOff = overlay(response, sentLook(response));
  if (hold.ended) overlay(response, ENDED_LOOK);
  // Only who patched the response after us comes by with an implied `writeHead`.
  const unwatch = response.write === hold.entry.write ? nothing : overlay(response, statusWatch(hold, statusCode));
  hold.unlock = () => {
    unwatch();
    takeOff();
    if (response.statusCode !== statusCode) response.statusCode = statusCode;
    if (statusMessage !== undefined) response.statusMessage = statusMessage;
    else if (http2Stream(response) === undefined) Reflect.deleteProperty(response, "statusMessage");
  };
}

function unlock(hold: Hold): void {
  hold.unlock();
  hold.unlock = nothing;
}

/**
 * Who looks for the headers in Node's private `_header` (compression before 1.8) finds none while they wait, and makes
 * Node imply them again: it reads the status code and hands it to `writeHead`. That says nothing new. A handler's second
 * `writeHead` is refused.
 */
function statusWatch(hold: Hold, statusCode: number): Look {
  const get = () => {
    hold.impliedStatus = statusCode;
    return statusCode;
  };
  return [["statusCode", { get, set: nothing, configurable: true }]];
}

function isImplied(hold: Hold, args: readonly unknown[]): boolean {
  const implied = args.length === 1 && args[0] === hold.impliedStatus;
  hold.impliedStatus = undefined;
  return implied;
}

function release(hold: Hold): void {
  unlock(hold);
  try {
    if (hold.phase === "held") hold.hooks.writeHeaders();
    hold.phase = hold.phase === "held" && hold.streams ? "open" : "done";
    replay(hold);
  } catch (error) {
    fail(hold, error);
  }
}

function isOpen(hold: Hold): boolean {
  return hold.phase === "open";
}

function replay(hold: Hold): void {
  const { queue } = hold;
  let isWaiting = false;
  for (let call = queue.shift(); call !== undefined; call = queue.shift()) {
    if (call.method === "end" && isOpen(hold)) {
      finish(hold, call.args);
      if (hold.phase === "ending") return;
    } else {
      const result = pass(hold, call.method, call.args);
      // Who was told `false` here gets no "drain" from Node if Node itself could take it all.
      if (call.method === "write") isWaiting = result !== false;
    }
  }
  if (isWaiting) process.nextTick(drain, hold.response);
}

/**
 * Wakes those who wait for "drain". Compression keeps their listeners on a stream of its own, which its `on` returns
 * as any emitter returns itself.
 */
function drain(response: Outgoing): void {
  if (response.writableEnded) return;
  const emitter = response.on("drain", nothing) ?? response;
  emitter.off("drain", nothing);
  emitter.emit("drain");
  if (emitter !== response) response.emit("drain");
}

function fail(hold: Hold, error: unknown): void {
  unlock(hold);
  const { response, hooks, queue } = hold;
  hold.queue = [];
  hold.failure = { error, isNews: true };
  // What still comes from the failed answer must not end up in the error's: whoever patched the response after us and saw
  // it end is cut off, and whoever waits to go on writing is not woken.
  hold.entry = entryOf(hold);
  if (response.headersSent) {
    // The client must see that the response is incomplete: a reset (INTERNAL_ERROR, RFC 9113 §7), or a closed connection.
    const stream = http2Stream(response);
    if (stream === undefined) response.destroy();
    else stream.close(2);
  } else {
    hold.phase = "new";
    forgetHead(response);
    install(hold);
    response.removeAllListeners("drain");
  }
  for (const { args } of queue) tellCallback(args, error);
  try {
    hooks.failed(error);
  } finally {
    hold.failure.isNews = false;
  }
}

/**
 * The handler of an answer that failed need not know, and may go on writing. Before the error handler has said anything,
 * that would be a success that wasn't saved; after the error's answer has ended, Node would bring the process down.
 */
function isFromFailedAnswer(hold: Hold, method: Call): boolean {
  const { failure, phase, response } = hold;
  if (failure === undefined || method === "writeHead") return false;
  if (phase !== "new") return response.writableEnded && method !== "flushHeaders";
  return !failure.isNews && response.statusCode === 200 && !response.hasHeader("content-type");
}

/** A call that belongs to an answer that failed. */
function ignore(hold: Hold, method: Call, args: readonly unknown[]): unknown {
  tellCallback(args, hold.failure?.error);
  return answer(hold, method);
}

function tellCallback(args: readonly unknown[], error: unknown): void {
  const callback = args.findLast((arg) => typeof arg === "function");
  if (typeof callback === "function") process.nextTick(callback, error);
}
