import { SojournError } from "../contract/errors.ts";
import type { AdmissionResult, Awaitable, ReplaceResult, SessionRecord } from "../contract/store.ts";
import { after } from "../contract/time.ts";
import { hashSecret } from "../crypto/token.ts";
import type { Events } from "./events.ts";
import type { Room } from "./policy.ts";
import { tooManyError } from "./refusals.ts";
import { tombstoneOf } from "./rotated-handles.ts";
import type { Rotation } from "./rotation.ts";
import type { SessionState } from "./state.ts";
import type { StoreAccess, Stored } from "./store-access.ts";

/** Is the record that was stored, `null` for none, or why none was. */
export type Written = SessionRecord | null | Exclude<ReplaceResult, "ok" | "unsupported">;

/**
 * Stores a session that is new, or that replaces another one. A login goes by its user's limit,
 * unless it replaces a session of the same user.
 *
 * @param base the stored session to replace; `undefined` if there is none
 * @param record `null` if the new session is empty, so that the old one only ends
 * @throws SojournError TOO_MANY_SESSIONS
 */
export function storeNew(
  access: StoreAccess,
  state: SessionState,
  base: Stored | undefined,
  record: SessionRecord | null,
  { now, events }: { now: number; events: Events },
): Awaitable<Written> {
  const { rotation } = state;
  const replaces = base === undefined ? undefined : replacement(state, rotation, base, now);
  if (record === null) {
    if (replaces === undefined) return null;
    const { handle, expectedVersion, tombstone } = replaces;
    return after(access.end(handle, expectedVersion, tombstone), (result) => (result === "ok" ? null : result));
  }
  state.isUncertain = true;
  const room = rotation?.room;
  if (room !== undefined && base?.record.userId !== record.userId) {
    const session = { handle: state.handle, ...record };
    const admitted = access.admit({ session, ...room, ...(replaces !== undefined && { replaces }) });
    return after(admitted, (result) => outcomeOf(result, record, room, events));
  }
  if (replaces === undefined) {
    return after(access.create(state.handle, record), (created) => (created ? record : "taken"));
  }
  const { handle, expectedVersion, tombstone } = replaces;
  const replaced = access.replace(handle, expectedVersion, state.handle, record, tombstone);
  return after(replaced, (result) => (result === "ok" ? record : result));
}

function replacement(state: SessionState, rotation: Rotation | undefined, { record }: Stored, now: number) {
  if (rotation?.previous === undefined) return undefined;
  const { handle, secret } = rotation.previous;
  const old = { handle, secretHash: hashSecret(secret) };
  const tombstone = tombstoneOf(old, state.handle, rotation.isSame, now);
  return { handle, expectedVersion: record.version, tombstone };
}

/** @throws SojournError TOO_MANY_SESSIONS; NO_USER_INDEX if this store can't keep a limit */
function outcomeOf(admitted: AdmissionResult, record: SessionRecord, room: Room, events: Events): Written {
  switch (admitted.result) {
    case "ok":
      for (const handle of admitted.revoked) {
        events.emit("revoke", { handle, count: 1, ...(record.userId !== null && { userId: record.userId }) });
      }
      return record;
    case "limit":
      throw tooManyError(room.limit);
    case "unsupported":
      throw new SojournError(
        "NO_USER_INDEX",
        "maxSessionsPerUser needs a store that counts and stores in one step, which this configuration of the store can't: use one server or shard for sessions, or remove the option",
      );
    default:
      return admitted.result;
  }
}

/** Reports a login, a regeneration or a confirmation that was stored. */
export function reportRotation(events: Events, { kind, previous }: Rotation, { handle, record }: SessionState): void {
  const replaced = previous?.handle;
  const userId = record.userId ?? "";
  if (kind === "login") events.emit("login", { handle, userId, previous: replaced });
  else if (replaced !== undefined) events.emit("regenerate", { handle, previous: replaced });
  if (kind === "confirm") events.emit("confirm", { handle, userId });
}
