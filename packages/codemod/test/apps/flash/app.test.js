const assert = require('node:assert/strict')
const { test } = require('node:test')
const app = require('./app.js')

test('messages are shown once', async (t) => {
  const { browse } = await import('../browser.mjs')
  const browser = await browse(app)
  t.after(() => browser.close())
  await browser.post('/contacts', { name: 'Carol' })
  assert.equal((await browser.get('/')).text, 'Saved Carol, Thanks')
  assert.equal((await browser.get('/')).text, '')
  await browser.post('/contacts')
  assert.equal((await browser.get('/')).text, 'A name is needed')
})
