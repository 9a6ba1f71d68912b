/**
 * What an application keeps in its sessions. Declare yours once, in a file that imports or exports something:
 *
 * ```ts
 * declare module "sojourn" {
 *   interface SessionData { cart: string[]; views: number }
 * }
 * ```
 */
export interface SessionData {
  // The members of a session. They are declared here so that the compiler refuses data of the same name.
  createdAt?: NotForData;
  destroy?: NotForData;
  expiresAt?: NotForData;
  flash?: NotForData;
  id?: NotForData;
  isNew?: NotForData;
  login?: NotForData;
  logout?: NotForData;
  persist?: NotForData;
  regenerate?: NotForData;
  reload?: NotForData;
  save?: NotForData;
  touch?: NotForData;
  transport?: NotForData;
  update?: NotForData;
  userId?: NotForData;
}

/** The compiler's message for data that has the name of a session's member. */
type NotForData = "req.session has a member of this name; choose another name for your data";
