import { NOTE } from "../../contract/store.ts";
import { HEAD_BYTES } from "./value.ts";

/** A piece of Lua that the server runs as one atomic step. Every key is declared, and all of them share a slot, but for REPLACE. */
export interface Script {
  readonly text: string;
}

// Offsets are Lua's, from 1. `head` returns nothing for a key that isn't there, and refuses what isn't a session.
const COMMON = `
local function head(key)
  local text = redis.call('GETRANGE', key, 0, ${HEAD_BYTES - 1})
  if text == '' then return nil end
  if #text < ${HEAD_BYTES} or not string.find(text, '^[12]') then
    error(redis.error_reply('SOJOURNFORMAT not a session'))
  end
  return text
end
-- Notes are in no index.
local function isNote(handle) return string.sub(handle, 1, 1) == '${NOTE}' end
local function expiresAt(text) return tonumber(string.sub(text, 13, 23), 36) end
local function ownerOf(key, text)
  local length = tonumber(string.sub(text, 61, 64), 36)
  if length == 0 then return '0000' end
  return string.sub(text, 61, 64) .. redis.call('GETRANGE', key, ${HEAD_BYTES}, ${HEAD_BYTES - 1} + length)
end
`;

/**
 * Stores a new session unless an unexpired one is there.
 * KEYS: session, newest, ends. ARGV: now, value, lifetime in ms, minus touchedAt, expiresAt, handle, owner.
 * Returns 1; 0 if the handle is taken. A value that is there already, to the last byte and the mark, is this call's
 * own, whose reply was lost.
 */
export const CREATE: Script = {
  text: `${COMMON}
local old = head(KEYS[1])
if old and expiresAt(old) > tonumber(ARGV[1]) then
  if redis.call('GET', KEYS[1]) == ARGV[2] then return 1 end
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if isNote(ARGV[6]) then return 1 end
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[6])
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[7] .. ARGV[6])
return 1`,
};

/**
 * Replaces a session if its version is the expected one; one that ends now or ended before is removed.
 * KEYS and ARGV as for CREATE, lifetime 0 for one that ends; then the expected version.
 * Returns 1 if done, 0 if there is none, 2 for another version.
 */
export const UPDATE: Script = {
  text: `${COMMON}
local old = head(KEYS[1])
if not old or expiresAt(old) <= tonumber(ARGV[1]) then return 0 end
if string.sub(old, 2, 12) ~= ARGV[8] then
  if redis.call('GET', KEYS[1]) == ARGV[2] then return 1 end
  return 2
end
if ARGV[3] == '0' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], ARGV[6])
  return 1
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if isNote(ARGV[6]) then return 1 end
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[6])
if tonumber(ARGV[5]) < expiresAt(old) then redis.call('ZADD', KEYS[3], 'LT', ARGV[5], ARGV[7] .. ARGV[6]) end
return 1`,
};

/**
 * Ends a session if its version is the expected one, and stores a new one in its place. Keys of three slots: not for a Cluster.
 * KEYS: session, newest, and ends of the new one; session and newest of the old one; the tombstone, or the old one again; then the index of
 * the new one's user, if it has one. ARGV as for CREATE; the expected version, the old one's handle; the tombstone's value and lifetime in ms,
 * if there is one.
 * Returns 1 if done, 0 if there is no old one, 2 for another version, 3 if the new handle is taken.
 */
export const REPLACE: Script = {
  text: `${COMMON}
local now, old, new = tonumber(ARGV[1]), head(KEYS[4]), head(KEYS[1])
local taken = new and expiresAt(new) > now
if not old or expiresAt(old) <= now then
  if taken and redis.call('GET', KEYS[1]) == ARGV[2] then return 1 end
  return 0
end
if string.sub(old, 2, 12) ~= ARGV[8] then return 2 end
if taken then return 3 end
redis.call('DEL', KEYS[4])
redis.call('ZREM', KEYS[5], ARGV[9])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if ARGV[10] then redis.call('SET', KEYS[6], ARGV[10], 'PX', ARGV[11]) end
if isNote(ARGV[6]) then return 1 end
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[6])
redis.call('ZADD', KEYS[3], ARGV[5], ARGV[7] .. ARGV[6])
if KEYS[7] then redis.call('ZADD', KEYS[7], ARGV[1], ARGV[6]) end
return 1`,
};

/**
 * Moves the times of an unexpired session forward, each for itself.
 * KEYS: session, newest. ARGV: now, expiresAt and touchedAt as a value holds them, lifetime in ms, minus touchedAt, handle.
 * Returns 1; 0 if there is none.
 */
export const TOUCH: Script = {
  text: `${COMMON}
local old = head(KEYS[1])
if not old or expiresAt(old) <= tonumber(ARGV[1]) then return 0 end
if tonumber(ARGV[2], 36) > expiresAt(old) then
  redis.call('SETRANGE', KEYS[1], 12, ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
if tonumber(ARGV[3], 36) > tonumber(string.sub(old, 24, 34), 36) then
  redis.call('SETRANGE', KEYS[1], 23, ARGV[3])
  if not isNote(ARGV[6]) then redis.call('ZADD', KEYS[2], ARGV[5], ARGV[6]) end
end
return 1`,
};

/**
 * Removes a session, of that owner only where one is given.
 * KEYS: session, newest. ARGV: now, handle, owner. Returns 1 if an unexpired one was there.
 */
export const DELETE: Script = {
  text: `${COMMON}
local old = head(KEYS[1])
if old and ARGV[3] and ownerOf(KEYS[1], old) ~= ARGV[3] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
if old and expiresAt(old) > tonumber(ARGV[1]) then return 1 end
return 0`,
};

/**
 * The sessions of one shard that come after a place in a list.
 * KEYS: newest. ARGV: lowest score, the handle that it was left at, how many. Returns scores and handles in turn.
 */
export const PAGE: Script = {
  text: `
-- Bytes, as the index is ordered: Lua's own comparison follows the server's locale.
local function isAfter(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return #a > #b
end
local found, skip, limit = {}, 0, tonumber(ARGV[3])
repeat
  local part = redis.call('ZRANGE', KEYS[1], ARGV[1], '+inf', 'BYSCORE', 'LIMIT', skip, limit, 'WITHSCORES')
  for i = 1, #part, 2 do
    if part[i + 1] ~= ARGV[1] or isAfter(part[i], ARGV[2]) then
      found[#found + 1] = part[i + 1]
      found[#found + 1] = part[i]
    end
  end
  skip = skip + limit
until #part < 2 * limit or #found >= 2 * limit
return found`,
};

/**
 * Takes a session that isn't there any more out of the list of its shard: Redis removed it by itself.
 * KEYS: newest, session. ARGV: handle.
 */
export const FORGET: Script = {
  text: `
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])`,
};

/**
 * Sweeps sessions whose first end has come, as "ends" has it. KEYS: ends, newest, session... ARGV: now, then owner and handle in turn.
 * Removes what has expired; gives what has not its present end. Of a user's session that is gone the entry in "ends"
 * stays, until the caller has seen to the user's own index. Returns how many records it removed, then for each one
 * whether it is gone.
 */
export const SWEEP: Script = {
  text: `${COMMON}
local now, removed, gone = tonumber(ARGV[1]), 0, {}
for i = 3, #KEYS do
  local owner, handle = ARGV[2 * i - 4], ARGV[2 * i - 3]
  -- Somebody else's data are not ours to judge, and must not stop the sweep.
  local isSession, text = pcall(head, KEYS[i])
  if not isSession then text = nil end
  local mine = text and ownerOf(KEYS[i], text) == owner
  if mine and expiresAt(text) > now then
    redis.call('ZADD', KEYS[1], expiresAt(text), owner .. handle)
    gone[i - 2] = 0
  else
    if mine then
      redis.call('DEL', KEYS[i])
      removed = removed + 1
    end
    if mine or not text then redis.call('ZREM', KEYS[2], handle) end
    if owner == '0000' then redis.call('ZREM', KEYS[1], owner .. handle) end
    gone[i - 2] = 1
  end
end
return {removed, unpack(gone)}`,
};
