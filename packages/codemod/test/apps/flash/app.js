var express = require('express')
  , session = require('express-session')
  , flash = require('connect-flash')
  , contacts = require('./contacts')

var app = express()

app.use(express.urlencoded({ extended: true }))
app.use(session({ secret: 'woot, and more than that to be long enough', resave: false, saveUninitialized: true }))
app.use(flash())
app.use('/contacts', contacts)

app.get('/', (req, res) => {
  res.send(req.flash('info').concat(req.flash('error')).join(', '))
})

module.exports = app
