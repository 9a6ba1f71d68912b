// With `exactOptionalPropertyTypes`, an option that is not set may be undefined: `name: process.env.NAME`.
import type {
  ConfirmOptions,
  CookieAttributes,
  ImpersonateOptions,
  LoginOptions,
  LogoutOptions,
  MemoryStoreOptions,
  OpenStoreOptions,
  RegenerateOptions,
  RequireFreshOptions,
  ResilientOptions,
  SessionLimit,
  SessionOptions,
} from "sojourn";
import type { CookieSessionOptions } from "sojourn/cookie-session";
import type { SessionOptions as DropInOptions, ToExpressStoreOptions } from "sojourn/express-session";
import type { FileStoreOptions } from "sojourn/file";
import type { MysqlStoreOptions } from "sojourn/mysql";
import type { PostgresStoreOptions } from "sojourn/postgres";
import type { RedisStoreOptions } from "sojourn/redis";
import type { SealedStoreOptions } from "sojourn/sealed";
import type { SqliteStoreOptions } from "sojourn/sqlite";

type MayBeUndefined<T> = { [Name in keyof T]-?: undefined extends T[Name] ? never : Name }[keyof T];
type Mistakes =
  | MayBeUndefined<SessionOptions>
  | MayBeUndefined<CookieAttributes>
  | MayBeUndefined<LoginOptions>
  | MayBeUndefined<ConfirmOptions>
  | MayBeUndefined<Omit<ImpersonateOptions, "reason">>
  | MayBeUndefined<Omit<RequireFreshOptions, "within">>
  | MayBeUndefined<Omit<SessionLimit, "limit">>
  | MayBeUndefined<LogoutOptions>
  | MayBeUndefined<RegenerateOptions>
  | MayBeUndefined<MemoryStoreOptions>
  | MayBeUndefined<OpenStoreOptions>
  | MayBeUndefined<ResilientOptions>
  | MayBeUndefined<CookieSessionOptions>
  | MayBeUndefined<DropInOptions>
  | MayBeUndefined<ToExpressStoreOptions>
  | MayBeUndefined<FileStoreOptions>
  | MayBeUndefined<MysqlStoreOptions>
  | MayBeUndefined<PostgresStoreOptions>
  | MayBeUndefined<RedisStoreOptions>
  | MayBeUndefined<SealedStoreOptions>
  | MayBeUndefined<SqliteStoreOptions>;
export const none: [Mistakes] extends [never] ? true : Mistakes = true;
