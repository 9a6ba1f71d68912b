/** What a hold calls, in the order of a response. */
export interface HoldHooks {
  /** Whether no session was used so far: the response then passes as it is. Default `false`. */
  readonly isUnused?: boolean;
  /**
   * The first call that would send anything. Returns `undefined` if the response may go now, or a
   * promise for that. What it throws or rejects with is a failed commit.
   */
  beforeHeaders(): void | Promise<void>;
  /**
   * The commit is done and the headers are about to leave: adds to them. Those given to `writeHead`
   * are there already. Called once for each response that leaves.
   */
  writeHeaders(): void;
  /**
   * The response ends, after its headers left: commits what changed while it streamed. The end
   * waits for it. If this fails, the response is cut off, because its status can't be changed any
   * more.
   */
  beforeEnd(): void | Promise<void>;
  /**
   * A commit failed. If no headers left, the response is empty again, so that an error handler can
   * use it. Never called within the handler's own call.
   */
  failed(error: unknown): void;
}
