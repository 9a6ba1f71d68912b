/** Words for people: used by the views. */

const DATE = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short", timeZone: "UTC" });

/** `3 Mar 2027, 14:05 UTC` */
export function moment(date: Date): string {
  return `${DATE.format(date)} UTC`;
}

/** How far away a moment is: `29 min 58 s`, `11 h 59 min`, `29 days`. */
export function distance(date: Date, now = new Date()): string {
  const seconds = Math.round(Math.abs(date.getTime() - now.getTime()) / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${Math.floor(hours / 24)} days`;
}

/** `just now`, or `5 min 2 s ago` */
export function ago(date: Date, now = new Date()): string {
  return now.getTime() - date.getTime() < 5000 ? "just now" : `${distance(date, now)} ago`;
}

/** A length of time in words, from milliseconds: `1 minute`, `90 seconds`. */
export function span(ms: number): string {
  const [count, unit] = ms % 60_000 === 0 ? [ms / 60_000, "minute"] : [Math.round(ms / 1000), "second"];
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}
