import { SojournError } from "../contract/errors.ts";
import type { SessionRecord } from "../contract/store.ts";
import type { Content } from "./content.ts";

/** Set where the token carries the record. */
export interface CarriedLimits {
  /** Whether sessions can end without the client's help. */
  readonly revocable: boolean;
  /** Says which limit a record exceeds that `maxBytes` alone doesn't tell. */
  readonly tooLarge?: (record: Pick<SessionRecord, "payload" | "userId">) => string | undefined;
  readonly remedy: string;
}

/** @throws SojournError TOO_LARGE, which names the largest properties */
export function requireFits(
  { payload, userId }: Pick<SessionRecord, "payload" | "userId">,
  { encoded }: Content,
  maxBytes: number,
  carried: CarriedLimits | undefined,
): void {
  const user = carried === undefined ? "" : (userId ?? "");
  // A UTF-16 unit is at most three bytes of UTF-8.
  const isSmall =
    (payload.length + user.length) * 3 <= maxBytes || Buffer.byteLength(payload) + Buffer.byteLength(user) <= maxBytes;
  const limit = isSmall ? carried?.tooLarge?.({ payload, userId }) : `maxBytes (${maxBytes})`;
  if (limit === undefined) return;
  const largest = [...encoded].sort((a, b) => b[1].length - a[1].length).slice(0, 3);
  const named = largest.map(([name, text]) => `${JSON.stringify(name)} (${Buffer.byteLength(text)} bytes)`);
  throw new SojournError(
    "TOO_LARGE",
    `the session is larger than ${limit}; its largest properties: ${named.join(", ")}. Keep large data in your database and its ID in the session, or ${carried?.remedy ?? "raise maxBytes"}`,
  );
}
