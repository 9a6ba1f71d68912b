/** A session's metadata, which no store needs to understand. Every time is epoch milliseconds. */
export interface SessionMeta {
  /** See `Lifetime` in timeouts.ts. */
  endsAt?: number;
  absoluteFrom?: number;
  notAfter?: number;
  /** The device, for the user's list of devices. */
  device?: DeviceInfo;
  /** The version of the application's data; absent for 1. */
  dataVersion?: number;
  /** Messages for the next page, by type. */
  flash?: Record<string, unknown[]>;
  /**
   * The session's first transport, the only one that its token works by. Absent for the default. A
   * cookie's name follows if no MAC covers it.
   */
  transport?: string;
  /** When the user authenticated, if that was not when the session began. */
  authenticatedAt?: number;
  /** How the user authenticated then, as RFC 8176 names it. */
  methods?: readonly string[];
  /** A text that the application gave the login. */
  stamp?: string;
  /** Who acts in the place of the session's user. */
  actor?: ActorMeta;
  /**
   * The session waits for the end of an impersonation, in the session of that handle. `endsAt` is its
   * own fixed end, if it has one.
   */
  parked?: { readonly endsAt?: number; readonly session?: string };
}

/** Describes who acts in a session in the place of its user. */
export interface Actor {
  /** Who acts. */
  readonly userId: string;
  /** Why, as it was given. */
  readonly reason: string;
  /** Since when. */
  readonly since: Date;
}

/** Who acts in a session, as its metadata says it. */
export interface ActorMeta {
  readonly userId: string;
  readonly reason: string;
  readonly since: number;
  /** The handle of the actor's own session, which waits for the end. */
  readonly session: string;
}

/** Describes the device that a session began on. */
export interface DeviceInfo {
  /** Such as "Firefox on Linux". */
  label?: string;
  /** Its IP address. */
  ip?: string;
}

const CHECKS: Readonly<Record<keyof SessionMeta, (value: unknown) => boolean>> = {
  endsAt: isNumber,
  absoluteFrom: isNumber,
  notAfter: isNumber,
  device: isDevice,
  dataVersion: isNumber,
  flash: isFlash,
  transport: isText,
  authenticatedAt: isNumber,
  methods: isTexts,
  stamp: isText,
  actor: isActor,
  parked: isParked,
};

/** Returns metadata of the right shape, or `undefined`. Omits what this version doesn't know. */
export function metaOf(value: unknown): SessionMeta | undefined {
  if (!isPlainRecord(value)) return undefined;
  const meta: Record<string, unknown> = {};
  for (const name of Object.keys(value)) {
    if (!isMetaName(name)) continue;
    if (!CHECKS[name](value[name])) return undefined;
    meta[name] = value[name];
  }
  return meta;
}

/** Returns whether metadata says nothing that is worth a session. */
export function isBare(meta: SessionMeta): boolean {
  return Object.keys(meta).every((name) => name === "transport" || name === "dataVersion");
}

function isMetaName(name: string): name is keyof SessionMeta {
  return Object.hasOwn(CHECKS, name);
}

function isPlainRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown): boolean {
  return typeof value === "number";
}

function isText(value: unknown): boolean {
  return typeof value === "string";
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every(isText);
}

function isActor(value: unknown): boolean {
  if (!isPlainRecord(value) || !isNumber(value["since"])) return false;
  return [value["userId"], value["reason"], value["session"]].every(isText);
}

function isParked(value: unknown): boolean {
  if (!isPlainRecord(value)) return false;
  const { endsAt, session } = value;
  return (endsAt === undefined || isNumber(endsAt)) && (session === undefined || isText(session));
}

function isDevice(value: unknown): boolean {
  return isPlainRecord(value) && [value["label"], value["ip"]].every((one) => one === undefined || isText(one));
}

function isFlash(value: unknown): boolean {
  return isPlainRecord(value) && Object.values(value).every(Array.isArray);
}
