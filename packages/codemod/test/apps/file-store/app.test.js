const assert = require('node:assert/strict');
const { rmSync } = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const app = require('./app.js');

test('a session in a file ends with the logout', async (t) => {
  const { browse } = await import('../browser.mjs');
  const browser = await browse(app);
  t.after(() => {
    browser.close();
    rmSync(path.join(__dirname, 'sessions'), { recursive: true, force: true });
    // session-file-store goes on cleaning up for ever.
    setImmediate(() => process.exit());
  });
  assert.equal((await browser.get('/dashboard')).status, 401);
  await browser.post('/login', { name: 'Dora' });
  assert.equal((await browser.get('/dashboard')).text, 'Welcome Dora');
  await browser.get('/rename?name=Eve');
  assert.equal((await browser.get('/dashboard')).text, 'Welcome Eve');
  const [stolen] = browser.jar;
  assert.equal((await browser.get('/logout')).text, 'Bye');
  browser.jar.set(...stolen);
  assert.equal((await browser.get('/dashboard')).status, 401);
});
