import type { Awaitable } from "../contract/store.ts";
import { after } from "../contract/time.ts";
import { checkedLink, checkedMethods, loginMeta } from "./authentication.ts";
import type { Content } from "./content.ts";
import type { SessionContext } from "./context.ts";
import { impersonatingError, notLoggedInError } from "./refusals.ts";
import { keepOf, keepOption, type Plan, rotate } from "./rotate.ts";
import type { ConfirmOptions, LoginOptions } from "./session-interface.ts";
import type { SessionState } from "./state.ts";
import { parseDuration } from "./timeouts.ts";
import { checkedUserId } from "./user-id.ts";

/** What a user does to prove who they are: login, and confirmation of a login. */

export function login(
  context: SessionContext,
  state: SessionState,
  userId: string,
  options: LoginOptions,
): Awaitable<void> {
  checkedUserId(userId, "login(userId)");
  const { remember = false, device, keep, link } = options;
  const { clock, deviceOf, policy, committer } = context.parts;
  const now = clock.now();
  const endsAt = remember === false ? undefined : now + parseDuration(remember, "remember");
  const wanted = keep === undefined ? undefined : keepOption(keep, "login");
  const facts = loginMeta(options, now);
  if (link !== undefined) {
    checkedLink(link, "login({ link })");
    if (committer.carried !== undefined) throw new TypeError(NO_LINKS);
  }
  const shown = { ...deviceOf(context.request.request), ...(typeof device === "string" ? { label: device } : device) };
  const plan = (): Plan => {
    if (state.content.meta.actor !== undefined) throw impersonatingError("login");
    // Another user's cart must not enter this user's session, unless the application asks for it.
    const isAnother = state.record.userId !== null && state.record.userId !== userId;
    const kept = wanted ?? !isAnother;
    const carry = (content: Content): Content => {
      const { encoded, meta } = keepOf(content, kept);
      const { flash } = meta;
      return {
        encoded,
        meta: {
          ...(Object.keys(shown).length > 0 && { device: shown }),
          ...(flash !== undefined && { flash }),
          ...(endsAt !== undefined && { endsAt }),
          ...facts,
        },
      };
    };
    return { kind: "login", userId, createdAt: now, link, kept, carry };
  };
  const { userLimit } = policy;
  const planned =
    userLimit === undefined ? plan : () => after(userLimit.roomOf(userId), (room) => ({ ...plan(), room }));
  return rotate(context, state, planned);
}

const NO_LINKS =
  "login({ link }): sealed sessions live in their cookies, and can't be found by a link; keep sessions in a store, such as new SqliteStore(file)";

export function confirm(context: SessionContext, state: SessionState, { methods }: ConfirmOptions): Awaitable<void> {
  const names = checkedMethods(methods, "confirm");
  return rotate(context, state, () => {
    const { userId, createdAt, link } = state.record;
    if (userId === null) throw notLoggedInError("confirm");
    if (state.content.meta.actor !== undefined) throw impersonatingError("confirm");
    const authenticatedAt = context.parts.clock.now();
    const carry = ({ encoded, meta: { methods: _, ...meta } }: Content): Content => ({
      encoded,
      meta: { ...meta, authenticatedAt, ...(names.length > 0 && { methods: names }) },
    });
    return { kind: "confirm", userId, createdAt, link, kept: true, carry };
  });
}
