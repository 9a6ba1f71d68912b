import { goneError, SojournError } from "../../contract/errors.ts";
import { type Done, once } from "../callbacks.ts";
import type { Life } from "./lives.ts";
import type { Session, SessionStoreLike } from "./session.ts";

interface GuardedSave {
  readonly session: Session;
  readonly store: SessionStoreLike;
  /** `undefined`: the session began in this request under another ID, so no other request can have destroyed it. */
  readonly life: Life | undefined;
  /** Reads the session again first: another process may have destroyed it. */
  readonly recheck: boolean;
  write(done: Done): unknown;
}

/**
 * Saves a session, unless it was destroyed since this request loaded it. If it is destroyed during the save, this destroys it again: the
 * store may have done the two in either order.
 */
export function saveUnlessDestroyed({ session, store, life, recheck, write }: GuardedSave, done: Done): void {
  const save = (): void => {
    if (life?.ended) {
      done(goneError());
      return;
    }
    write((error) => {
      if (error || !life?.ended) done(error);
      else store.destroy(session.id, (failed) => done(failed ?? goneError()));
    });
  };
  if (!recheck) {
    save();
    return;
  }
  store.get(
    session.id,
    once((error, data) => {
      if (error && !isNotFound(error)) done(error);
      else if (error || !data) done(goneError());
      else save();
    }),
  );
}

/** Whether a store's error only says that there is no such session. */
export function isNotFound(error: unknown): boolean {
  return Object(error).code === "ENOENT";
}

/** Whether a save failed because the session was destroyed. */
export function isGone(error: unknown): boolean {
  return error instanceof SojournError && error.code === "SESSION_GONE";
}
