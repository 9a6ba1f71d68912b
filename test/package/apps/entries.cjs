// Prints what each entry point exports, and checks that `import` and `require` give the very same things.
const assert = require("node:assert/strict");
const names = process.argv.slice(2);

(async () => {
  const exported = {};
  for (const name of names) {
    const required = require(name);
    const imported = await import(name);
    exported[name] = Object.keys(imported).filter((key) => key !== "default" && key !== "module.exports");
    // A drop-in for a CommonJS module gives require() that function itself, which is the default of the import.
    const isDropIn = typeof required === "function";
    if (isDropIn) assert.equal(imported.default, required, `${name} has two copies of itself`);
    else assert.notEqual(exported[name].length, 0, `${name} exports nothing`);
    for (const key of exported[name]) {
      assert.equal(required[key], imported[key], `${name} has two copies of ${key}`);
    }
  }
  console.log(JSON.stringify(exported));
})();
