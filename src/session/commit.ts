/** What is known of a session at the end of its request. */
export interface CommitFacts {
  /** `blank`: no store has heard of it. `stored`: loaded from the store or created earlier. `ending`: destroyed, and the store has not confirmed it. */
  standing: "blank" | "stored" | "ending";
  changed: boolean;
  /** Whether the application asked for it to be stored, so that even an empty session begins. */
  asked?: boolean;
  touchDue: boolean;
  /** Whether a token can still reach the client: not after the headers left, not over an insecure channel. */
  deliverable: boolean;
  /** Whether the token that travels is the record: what can't be sent is not stored. */
  carried?: boolean;
}

export type CommitAction = "nothing" | "touch" | "create" | "update" | "delete" | "refuse";

/**
 * The one decision of a commit. A blank session is stored once something is in it or `save()` asks for it, and never when its token could
 * not be sent: `refuse` leaves no record that nobody can reach.
 */
export function decideCommit({
  standing,
  changed,
  asked = false,
  touchDue,
  deliverable,
  carried = false,
}: CommitFacts): CommitAction {
  switch (standing) {
    case "ending":
      return "delete";
    case "blank":
      if (!changed && !asked) return "nothing";
      return deliverable ? "create" : "refuse";
    case "stored":
      if (changed) return deliverable || !carried ? "update" : "refuse";
      return touchDue && (deliverable || !carried) ? "touch" : "nothing";
  }
}
