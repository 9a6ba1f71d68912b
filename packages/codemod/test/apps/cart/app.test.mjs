import assert from 'node:assert/strict'
import { test } from 'node:test'
import { browse } from '../browser.mjs'
import { app } from './app.mjs'

test('a cart is filled and emptied', async (t) => {
  const browser = await browse(app)
  t.after(() => browser.close())
  assert.equal((await browser.get('/cart')).text, '[]')
  await browser.post('/cart', { item: 'book' })
  await browser.post('/cart', { item: 'lamp' })
  assert.equal((await browser.get('/cart')).text, '["book","lamp"]')
  assert.equal((await browser.post('/checkout')).text, 'bought 2')
  assert.equal((await browser.get('/cart')).text, '[]')
  assert.equal(browser.jar.size, 0)
})
