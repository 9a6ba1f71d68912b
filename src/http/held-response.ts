import { AsyncLocalStorage } from "node:async_hooks";
import type { ServerResponse } from "node:http";
import type { Http2ServerResponse } from "node:http2";
import {
  assertChunk,
  assertHead,
  type Call,
  forgetHead,
  hasChunk,
  http2Stream,
  impliesHead,
  isForeign,
  type Look,
  type Method,
  nothing,
  type Outgoing,
  overlay,
  refuseAsSent,
  saysNothing,
  sentLook,
  statusOf,
  takeHead,
} from "./held-headers.ts";

/**
 * Nothing leaves before the commit. This is the only file that patches a response.
 *
 * The hold goes on before the handlers run, so it is the innermost patch: a method that a handler looked up belongs to it, whatever
 * the arguments of the call do. The first call that would send something starts the commit. A commit that is done at once costs a few calls.
 * During one that is not, calls queue, and then reach the methods beneath in their order.
 *
 * The session's headers are added in the innermost `writeHead`, which Node calls for every head. Patches above, such as a response
 * cache, have copied the headers by then, and never see the session's cookie.
 *
 * docs/ARCHITECTURE.md, "The held response", has the whole contract as a table.
 */
export interface HoldHooks {
  /** No session was used so far: nothing is to be committed, and the response passes as it is. Default `false`. */
  readonly isUnused?: boolean;
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
 * Lets no byte of `res` leave before `hooks` say so. When the headers left already, only the end waits. Several holds of one
 * response wrap each other.
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

/** `new`: nothing tried to leave. `held`: the head waits. `open`: it may leave. `ending`: the end waits. `done`: the end was passed on. */
type Phase = "new" | "held" | "open" | "ending" | "done";

class Hold {
  readonly response: Outgoing;
  readonly hooks: HoldHooks;
  // What was there before us.
  readonly writeHead: Method;
  readonly write: Method;
  readonly end: Method;
  readonly flushHeaders: Method;
  readonly flush: Method | undefined;
  /** Calls that come through any other entry belong to an answer that failed. */
  entry: Entry = firstEntry;
  phase: Phase = "new";
  /** The session's headers are still to be added. */
  owesHeaders = true;
  /** The headers leave before the end is asked for. */
  streams = false;
  /** The end has been asked for. */
  ended = false;
  queue: { method: Call; args: readonly unknown[] }[] = NONE;
  /** Takes off the look that the response has while calls wait. */
  unlock: () => void = nothing;
  impliedStatus: number | undefined = undefined;
  failure: Failure | undefined = undefined;

  constructor(response: Outgoing, hooks: HoldHooks) {
    this.response = response;
    this.hooks = hooks;
    this.writeHead = response.writeHead;
    this.write = response.write;
    this.end = response.end;
    this.flushHeaders = response.flushHeaders ?? nothing;
    // Compression's: without it, what was written while the head waited would sit in the compressor.
    this.flush = response.flush;
  }

  /** Whoever inspects a response shall not see a session through its hooks. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Hold <${this.phase}>`;
  }
}

/** Why an answer was taken back. */
interface Failure {
  readonly error: unknown;
  /** Whether its handler had ended it. One that had not may go on writing. */
  readonly wasEnded: boolean;
}

/** Tells calls of an error handler from those of the answer that failed. */
const handledFailure = new AsyncLocalStorage<Failure>();

const NONE: never[] = [];

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
  if (hold.entry !== entry || isFromFailedAnswer(hold, method)) return ignore(hold, method, args);
  switch (hold.phase) {
    case "new":
      return method === "flush" ? pass(hold, method, args) : begin(hold, method, args);
    case "open":
    case "done":
      if (method === "writeHead") return writeHead(hold, args);
      return method === "end" && hold.phase === "open" ? finish(hold, args) : pass(hold, method, args);
    default:
      return enqueue(hold, method, args);
  }
}

function pass(hold: Hold, method: Call, args: readonly unknown[]): unknown {
  return Reflect.apply(hold[method] ?? nothing, hold.response, args);
}

function begin(hold: Hold, method: Call, args: unknown[]): unknown {
  const { response, hooks } = hold;
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
  // What Node refuses it refuses now, not after the commit.
  assertChunk(response, method, args);
  const call = method === "writeHead" ? takeHead(response, args) : args;
  if (method !== "writeHead") assertHead(response, response.statusCode, undefined);
  const pending = commit(hooks, "beforeHeaders");
  if (pending === undefined) return leave(hold, method, call);
  hold.queue = [{ method, args: call }];
  hold.ended = method === "end";
  wait(hold, "held", pending);
  return answer(hold, method);
}

/** The commit is done: the first call goes on, and with it the head. */
function leave(hold: Hold, method: Call, args: readonly unknown[]): unknown {
  hold.phase = hold.streams ? "open" : "done";
  if (method === "writeHead") return writeHead(hold, args);
  const { response } = hold;
  // Node makes its head by `writeHead`. HTTP/2 does not for an end without a body, nor do others' responses.
  if (!impliesHead(response, args)) {
    if (isForeign(response) && typeof response._implicitHeader === "function") response._implicitHeader();
    addHeaders(hold);
  }
  return pass(hold, method, args);
}

/** The head is made, by the application, by Node, or by a patch above. */
function writeHead(hold: Hold, args: readonly unknown[]): unknown {
  if (!hold.owesHeaders || hold.response.headersSent) return pass(hold, "writeHead", args);
  if (hold.hooks.isUnused === true) return pass(hold, "writeHead", args);
  const { failure, response } = hold;
  // An answer that says nothing of its status must not claim a success that was not saved.
  const isBare = failure !== undefined && args[0] === 200 && saysNothing(response);
  const head = isBare ? [statusOf(failure.error)] : args;
  // A status alone is what Node implies: it was looked at when the commit began.
  const call = head.length === 1 && head[0] === response.statusCode ? head : takeHead(response, head);
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

function finish(hold: Hold, args: readonly unknown[]): unknown {
  const pending = hold.streams ? commit(hold.hooks, "beforeEnd") : undefined;
  if (pending === undefined) {
    hold.phase = "done";
    return pass(hold, "end", args);
  }
  hold.queue = [{ method: "end", args }, ...hold.queue];
  hold.ended = true;
  wait(hold, "ending", pending);
  return hold.response;
}

function enqueue(hold: Hold, method: Call, args: unknown[]): unknown {
  const { response } = hold;
  if (method === "writeHead") {
    // A hold beneath this one may only now let the headers go; else Node refuses.
    if (hold.phase === "ending") return writeHead(hold, args);
    if (isImplied(hold, args)) return response;
    return refuseAsSent(response, method, args);
  }
  assertChunk(response, method, args);
  if (hold.ended && (method === "write" || (method === "end" && hasChunk(args)))) {
    // `writableEnded` is still false, so whoever looked at it may not be punished by an error that nobody handles.
    tellCallback(args, Object.assign(new Error("write after end"), { code: "ERR_STREAM_WRITE_AFTER_END" }));
    return answer(hold, method);
  }
  hold.queue.push({ method, args });
  if (method === "end") hold.ended = true;
  return answer(hold, method);
}

/** What a call returns that is not made yet. */
function answer(hold: Hold, method: Call): unknown {
  if (method === "write") return false; // wait for "drain"
  return method === "end" || method === "writeHead" ? hold.response : undefined;
}

function wait(hold: Hold, phase: "held" | "ending", pending: Promise<void>): void {
  hold.phase = phase;
  if (phase === "held") lock(hold);
  pending.then(
    () => release(hold),
    (error: unknown) => fail(hold, error),
  );
}

/**
 * While the head waits, the response looks to everyone as if it had left: what is set now comes too late, as with any response.
 * `writableEnded` stays false: who waits for the body must not believe that it is there.
 */
function lock(hold: Hold): void {
  const { response } = hold;
  const { statusCode } = response;
  const statusMessage = http2Stream(response) === undefined ? response.statusMessage : undefined;
  const takeOff = overlay(response, sentLook(response));
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
    const wasHeld = hold.phase === "held";
    hold.phase = wasHeld && hold.streams ? "open" : "done";
    replay(hold, wasHeld);
  } catch (error) {
    fail(hold, error);
  }
}

function isOpen(hold: Hold): boolean {
  return hold.phase === "open";
}

function replay(hold: Hold, wasHeld: boolean): void {
  const { queue } = hold;
  let isFirst = wasHeld;
  let isWaiting = false;
  for (let call = queue.shift(); call !== undefined; call = queue.shift()) {
    if (isFirst) {
      isFirst = false;
      const result = leave(hold, call.method, call.args);
      if (call.method === "write") isWaiting = result !== false;
    } else if (call.method === "end" && isOpen(hold)) {
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
  const failure = { error, wasEnded: hold.ended };
  hold.failure = failure;
  hold.queue = NONE;
  hold.ended = false;
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
    hold.owesHeaders = true;
    forgetHead(response);
    install(hold);
    response.removeAllListeners?.("drain");
  }
  for (const { args } of queue) tellCallback(args, error);
  if (failure.wasEnded) hooks.failed(error);
  else handledFailure.run(failure, () => hooks.failed(error));
}

/**
 * The handler of an answer that failed need not know, and may go on writing. Before the error handler has said anything,
 * that would be a success that wasn't saved; after the error's answer has ended, Node would bring the process down.
 */
function isFromFailedAnswer({ failure, phase, response }: Hold, method: Call): boolean {
  if (failure === undefined || method === "writeHead") return false;
  if (phase !== "new") return response.writableEnded && method !== "flushHeaders";
  return !failure.wasEnded && saysNothing(response) && handledFailure.getStore() !== failure;
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
