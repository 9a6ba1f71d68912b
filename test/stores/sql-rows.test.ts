import { deepEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { mysql } from "../../src/stores/mysql/dialect.ts";
import { postgres } from "../../src/stores/postgres/dialect.ts";
import { recordOf } from "../../src/stores/sql/records.ts";
import { recordAt } from "../support/sql-records.ts";

const record = recordAt(Date.UTC(2050, 0, 1));
const { version, createdAt, touchedAt, expiresAt, secretHash, userId, payload } = record;
const numbers = [version, createdAt, touchedAt, expiresAt];
const texts = [secretHash, userId, payload];

const databases = {
  PostgreSQL: { dialect: postgres(true), row: (of: readonly unknown[]) => [...of.map(String), ...texts, null] },
  MySQL: {
    dialect: mysql,
    row: (of: readonly unknown[]) => [...of, ...texts.map((text) => Buffer.from(text ?? "")), null],
  },
};

for (const [name, { dialect, row }] of Object.entries(databases)) {
  test(`a row of ${name} is a record, or an error where a number was damaged on its way`, () => {
    deepEqual(recordOf(dialect, row(numbers)), record);
    for (const at of numbers.keys()) {
      for (const damaged of ["25246q8000000", "2524608000000.5", "NaN", "Infinity", "9".repeat(30), undefined]) {
        throws(() => recordOf(dialect, row(numbers.map((number, i) => (i === at ? damaged : number)))), {
          name: "SojournError",
          code: "STORE_CORRUPT",
        });
      }
    }
  });
}
