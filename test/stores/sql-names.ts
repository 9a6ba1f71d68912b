/** Names that must never get into a statement: quotes of every kind, patterns, control characters, homoglyphs, length. */
export const refusedNames: readonly string[] = [
  "",
  " ",
  'sessions"; DROP TABLE victims;--',
  'a"b',
  "a`b",
  "a'b",
  "a\\",
  "a;b",
  "a b",
  "a.b",
  "a-b",
  "a%",
  "a*",
  "[a]",
  "a$1",
  "a?b",
  "a:b",
  "a/*",
  "--a",
  "1a",
  "a\0b",
  "a\nb",
  "sessions\u00a0",
  "sessi\u043ens",
  "\uff53essions",
  "a\u202eb",
  "x".repeat(64),
];

/** Names that look dangerous and are not, once they are quoted. */
export const acceptedNames: readonly string[] = ["select", "TABLE", "Order", "_", "x".repeat(63)];

/** Values that would break a statement that they were pasted into. */
export const hostileValues: readonly string[] = [
  "'; DROP TABLE victims; --",
  '"; DROP TABLE victims; --',
  "`; DROP TABLE victims; --",
  "\\'; DROP TABLE victims; --",
  "\\",
  "' OR '1'='1",
  "%",
  "_",
  "$1",
  "?",
  ":name",
  "\u02bc; DROP TABLE victims; --",
];
