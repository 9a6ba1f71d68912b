/**
 * Declares the data of all sessions, and so the type of `req.session`. Add your properties once, in
 * a file that imports or exports something.
 *
 * @example
 * import "sojourn";
 *
 * declare module "sojourn" {
 *   interface SessionData {
 *     cart: string[];
 *     views: number;
 *   }
 * }
 */
export interface SessionData {
  // The members of a session. They are declared here so that the compiler rejects data of the same
  // name.
  actor?: NotForData;
  authenticatedAt?: NotForData;
  authenticationMethods?: NotForData;
  confirm?: NotForData;
  createdAt?: NotForData;
  destroy?: NotForData;
  expiresAt?: NotForData;
  flash?: NotForData;
  id?: NotForData;
  impersonate?: NotForData;
  isNew?: NotForData;
  login?: NotForData;
  logout?: NotForData;
  persist?: NotForData;
  regenerate?: NotForData;
  reload?: NotForData;
  save?: NotForData;
  stopImpersonating?: NotForData;
  touch?: NotForData;
  transport?: NotForData;
  update?: NotForData;
  userId?: NotForData;
}

/** Is the compiler's message for data that has the name of a session's member. */
export type NotForData = "req.session has a member of this name; choose another name for your data";
