import { createHash } from "node:crypto";
import { NOTE } from "../../contract/store.ts";
import { HEAD_BYTES } from "./value.ts";

/** A Lua script, which the server runs as one atomic step. */
export interface Script {
  readonly text: string;
  /** The server's name for it, once it has had the text. */
  readonly sha1: string;
}

/**
 * What scripts call, each using only those before it. Offsets are Lua's, from 1. `head` returns
 * nothing for a missing key, and fails for other data. Notes are in no index. `linkAt` says where
 * the link is, or would be; `linkOf` returns it with its length in front, '' if there is none.
 *
 * For the scripts that store a session, with KEYS: session, handles, ends, and ARGV: now, value, TTL
 * in ms, expiresAt, handle, user and link: `store` puts a new one into both indexes, and returns
 * whether it belongs there. `isOwn` is for a retry, which finds its own value, equal to the last
 * byte and the mark.
 */
const FUNCTIONS = {
  head: `(key)
  local text = redis.call('GETRANGE', key, 0, ${HEAD_BYTES - 1})
  if text == '' then return nil end
  if #text < ${HEAD_BYTES} or not string.find(text, '^[1-4]') then
    error(redis.error_reply('SOJOURNFORMAT not a session'))
  end
  return text
end`,
  expiresAt: `(text) return tonumber(string.sub(text, 13, 23), 36) end`,
  isLive: `(text, now) return text and expiresAt(text) > tonumber(now) end`,
  isNote: `(handle) return string.sub(handle, 1, 1) == '${NOTE}' end`,
  ownerOf: `(key, text)
  local length = tonumber(string.sub(text, 61, 64), 36)
  if length == 0 then return '0000' end
  return string.sub(text, 61, 64) .. redis.call('GETRANGE', key, ${HEAD_BYTES}, ${HEAD_BYTES - 1} + length)
end`,
  linkAt: `(text) return ${HEAD_BYTES} + tonumber(string.sub(text, 61, 64), 36) end`,
  linkOf: `(key, text)
  if not string.find(text, '^[34]') then return '' end
  local at = linkAt(text)
  local length = redis.call('GETRANGE', key, at, at + 3)
  return length .. redis.call('GETRANGE', key, at + 4, at + 3 + tonumber(length, 36))
end`,
  store: `()
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  if isNote(ARGV[5]) then return false end
  redis.call('ZADD', KEYS[2], 0, ARGV[5])
  redis.call('ZADD', KEYS[3], ARGV[4], ARGV[6] .. ARGV[5])
  return true
end`,
  isOwn: `() return redis.call('GET', KEYS[1]) == ARGV[2] end`,
};

/** Adds only the functions that a script calls, because the server creates each of them in every run. */
function script(body: string): Script {
  let text = body;
  for (const [name, lua] of Object.entries(FUNCTIONS).reverse()) {
    if (new RegExp(`\\b${name}\\b`).test(text)) text = `local function ${name}${lua}\n${text}`;
  }
  return { text, sha1: createHash("sha1").update(text).digest("hex") };
}

/** Stores a new session, by `store`. Returns 1, or 0 if a live session has the handle. */
export const CREATE = script(`if isLive(head(KEYS[1]), ARGV[1]) then return isOwn() and 1 or 0 end
store()
return 1`);

/**
 * Replaces a session's record if its version is the expected one. TTL 0 ends the session.
 * KEYS and ARGV as for `store`; then the expected version. The indexes change only if it expires sooner.
 * Returns 1 if done, 0 if there is no session, 2 if it has another version.
 */
export const UPDATE = script(`local old = head(KEYS[1])
if not isLive(old, ARGV[1]) then return 0 end
if string.sub(old, 2, 12) ~= ARGV[7] then return isOwn() and 1 or 2 end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[5])
  return 1
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if tonumber(ARGV[4]) < expiresAt(old) and not isNote(ARGV[5]) then
  redis.call('ZADD', KEYS[3], 'LT', ARGV[4], ARGV[6] .. ARGV[5])
end
return 1`);

/**
 * Ends a session if its version is the expected one, and stores another. The keys have three slots,
 * so it does not run on a Cluster.
 * KEYS: as for `store`, of the new session; session and handles of the old one; the tombstone (without
 * one: the old session again); the indexes of the new session's user and link, if any.
 * ARGV: as for `store`; the expected version; the old handle; the entry in these indexes; the
 * tombstone's value and TTL, if any.
 * Returns 1 if done, 0 if there is no old session, 2 if it has another version, 3 if the new handle
 * is taken.
 */
export const REPLACE = script(`local old = head(KEYS[4])
local isTaken = isLive(head(KEYS[1]), ARGV[1])
if not isLive(old, ARGV[1]) then return isTaken and isOwn() and 1 or 0 end
if string.sub(old, 2, 12) ~= ARGV[7] then return 2 end
if isTaken then return 3 end
redis.call('DEL', KEYS[4])
redis.call('ZREM', KEYS[5], ARGV[8])
if ARGV[10] then redis.call('SET', KEYS[6], ARGV[10], 'PX', ARGV[11]) end
if store() then
  for i = 7, #KEYS do redis.call('ZADD', KEYS[i], ARGV[1], ARGV[9]) end
end
return 1`);

/**
 * Stores a user's new session within a limit. It finds the user's other sessions by the entries of
 * the user's index: their keys are not among KEYS, which only a single server allows. It writes
 * nothing before it has read everything.
 * KEYS: as for `store`; session and handles of the session that is replaced, and the tombstone
 * (without them: the new session's keys again); the user's index; the link's, if there is a link.
 * ARGV: as for `store`; the replaced session's version and handle ('' without one); the entry in
 * these indexes; the tombstone's value and TTL ('' without one); the secret hash and its length as
 * values have it; the user as values have it; the limit; 'refuse' or 'revoke-oldest'; how long an
 * entry without a session stays, in ms.
 * Returns 1 and the handles that were revoked, or as REPLACE, or 4 if the user has enough sessions.
 */
export const ADMIT = script(`local now, replaces = tonumber(ARGV[1]), ARGV[7] ~= ''
local there = head(KEYS[1])
if isLive(there, now) then
  local at = linkAt(there) + #linkOf(KEYS[1], there)
  local hash = redis.call('GETRANGE', KEYS[1], at, at + #ARGV[12] - 1)
  if hash == ARGV[12] and string.sub(there, 65, 68) == ARGV[13] then return {1} end
else
  there = nil
end
if replaces then
  local old = head(KEYS[4])
  if not isLive(old, now) then return {0} end
  if string.sub(old, 2, 12) ~= ARGV[7] then return {2} end
end
if there then return {3} end
-- What is in front of the shard: the client may have put more there than the store's own prefix.
local prefix = string.sub(KEYS[1], 1, -1 - #'{00}:' - #ARGV[5])
local others, stale = {}, {}
local entries = redis.call('ZRANGE', KEYS[7], 0, -1, 'WITHSCORES')
for i = 1, #entries, 2 do
  local shard, handle = '{' .. string.sub(entries[i], 1, 2) .. '}', string.sub(entries[i], 3)
  local key = prefix .. shard .. ':' .. handle
  -- A key with other data is no session.
  local isSession, text = pcall(head, key)
  if not isSession or isNote(handle) or (replaces and key == KEYS[4]) then
    -- It doesn't count.
  elseif isLive(text, now) and ownerOf(key, text) == ARGV[14] then
    local touchedAt = tonumber(string.sub(text, 24, 34), 36)
    others[#others + 1] = {touchedAt, entries[i], handle, key, prefix .. 'handles:' .. shard}
  elseif not text and tonumber(entries[i + 1]) < now - tonumber(ARGV[17]) then
    stale[#stale + 1] = entries[i]
  end
end
local surplus = #others + 1 - tonumber(ARGV[15])
if surplus > 0 and ARGV[16] == 'refuse' then return {4} end
for _, entry in ipairs(stale) do redis.call('ZREM', KEYS[7], entry) end
table.sort(others, function(a, b) return a[1] < b[1] end)
local reply = {1}
for i = 1, surplus do
  local touchedAt, entry, handle, key, handles = unpack(others[i])
  redis.call('DEL', key)
  redis.call('ZREM', handles, handle)
  redis.call('ZREM', KEYS[7], entry)
  reply[#reply + 1] = handle
end
if replaces then
  redis.call('DEL', KEYS[4])
  redis.call('ZREM', KEYS[5], ARGV[8])
  if ARGV[10] ~= '' then redis.call('SET', KEYS[6], ARGV[10], 'PX', ARGV[11]) end
end
if store() then
  for i = 7, #KEYS do redis.call('ZADD', KEYS[i], ARGV[1], ARGV[9]) end
end
return reply`);

/**
 * Moves each of a live session's times forward.
 * KEYS: session. ARGV: now, expiresAt and touchedAt as the value has them, TTL in ms. Returns 1, or
 * 0 if there is no session.
 */
export const TOUCH = script(`local old = head(KEYS[1])
if not isLive(old, ARGV[1]) then return 0 end
if tonumber(ARGV[2], 36) > expiresAt(old) then
  redis.call('SETRANGE', KEYS[1], 12, ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
if tonumber(ARGV[3], 36) > tonumber(string.sub(old, 24, 34), 36) then redis.call('SETRANGE', KEYS[1], 23, ARGV[3]) end
return 1`);

/**
 * Deletes a session, only that of this user or link if one is given.
 * KEYS: session, handles. ARGV: now, handle, user or link, 'user' or 'link'. Returns 1 if a live
 * session was there.
 */
export const DELETE = script(`local old = head(KEYS[1])
if old and ARGV[3] and (ARGV[4] == 'link' and linkOf or ownerOf)(KEYS[1], old) ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
return isLive(old, ARGV[1]) and 1 or 0`);

/** Removes a missing session from its shard's handles. KEYS: handles, session. ARGV: handle. */
export const FORGET = script(`
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])`);

/**
 * Sweeps sessions that are due by the index "ends": removes expired ones, and updates the index for
 * the others. The entry of a removed session with a user or link stays until the caller has updated
 * their indexes.
 * KEYS: ends, handles, sessions. ARGV: now; then user and link, and handle, of each session in turn.
 * Returns the number of removed records; then for each session whether it is gone.
 */
export const SWEEP = script(`local function labelsOf(key, text)
  local link = linkOf(key, text)
  return ownerOf(key, text) .. (link == '' and '' or '${NOTE}' .. link)
end
local now, removed, gone = ARGV[1], 0, {}
for i = 3, #KEYS do
  local labels, handle = ARGV[2 * i - 4], ARGV[2 * i - 3]
  -- Other applications' data must not stop the sweep.
  local isSession, text = pcall(head, KEYS[i])
  if not isSession then text = nil end
  local isMine = text and labelsOf(KEYS[i], text) == labels
  if isMine and isLive(text, now) then
    redis.call('ZADD', KEYS[1], expiresAt(text), labels .. handle)
    gone[i - 2] = 0
  else
    if isMine then
      redis.call('DEL', KEYS[i])
      removed = removed + 1
    end
    if isMine or not text then redis.call('ZREM', KEYS[2], handle) end
    if labels == '0000' then redis.call('ZREM', KEYS[1], labels .. handle) end
    gone[i - 2] = 1
  end
end
return {removed, unpack(gone)}`);
