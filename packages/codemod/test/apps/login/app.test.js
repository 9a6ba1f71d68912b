const assert = require('node:assert/strict');
const { test } = require('node:test');
const app = require('./app.js');

test('a user logs in, is counted, and logs out', async (t) => {
  const { browse } = await import('../browser.mjs');
  const browser = await browse(app);
  t.after(() => browser.close());
  assert.equal((await browser.get('/')).location, '/login');
  assert.equal((await browser.post('/login', { user: 'alice', pass: 'x' })).status, 401);
  assert.equal((await browser.post('/login', { user: 'alice', pass: 'wonderland', remember: '1' })).location, '/');
  const [stolen] = browser.jar;
  assert.equal((await browser.get('/')).text, 'user 7, views 1');
  assert.equal((await browser.get('/')).text, 'user 7, views 2');
  assert.equal((await browser.get('/logout')).location, '/login');
  browser.jar.set(...stolen);
  assert.equal((await browser.get('/')).location, '/login');
});
