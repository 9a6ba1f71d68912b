// The drop-ins in ES modules.
import cookieSession, { type CookieSessionOptions } from "sojourn/cookie-session";
import dropIn, { type SessionOptions, type Store, toExpressStore } from "sojourn/express-session";
import DeepStore from "sojourn/express-session/session/store";
import { SqliteStore } from "sojourn/sqlite";

class MyStore extends DeepStore {
  get(_id: string, callback: (error: unknown) => void): void {
    callback(null);
  }
  set(_id: string, _data: dropIn.SessionData, callback?: () => void): void {
    callback?.();
  }
  destroy(_id: string, callback?: () => void): void {
    callback?.();
  }
}

const options: SessionOptions = { secret: process.env["SECRET"], store: new dropIn.MemoryStore() };
const cookieOptions: CookieSessionOptions = { secret: process.env["SECRET"] };
export const middlewares = [dropIn(options), cookieSession(cookieOptions)];
export const stores: Store[] = [new MyStore(), toExpressStore(new SqliteStore("sessions.db"))];
export const names: "sojourn"[] = [dropIn.implementation, cookieSession.implementation];
