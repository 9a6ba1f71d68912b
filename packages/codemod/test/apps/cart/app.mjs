import cookieSession from 'cookie-session'
import express from 'express'

export const app = express()

app.use(express.urlencoded({ extended: false }))
app.use(
  cookieSession({
    name: 'shop',
    keys: ['a first key of thirty-two characters!', 'an older key of thirty-two characters'],
    maxAge: 24 * 60 * 60 * 1000,
    sameSite: 'lax',
  }),
)

app.get('/cart', (req, res) => {
  res.json(req.session.cart ?? [])
})

app.post('/cart', (req, res) => {
  req.session.cart = [...(req.session.cart ?? []), req.body.item]
  res.redirect('/cart')
})

app.post('/checkout', (req, res) => {
  const count = req.session.cart?.length ?? 0
  req.session = null
  res.send(`bought ${count}`)
})
