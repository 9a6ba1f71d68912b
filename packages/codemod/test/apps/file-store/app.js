const path = require('path');
const express = require('express');
const session = require('express-session');
const FileStore = require('session-file-store')(session);

const app = express();
app.use(express.json());
app.use(express.urlencoded({ extended: false }));
app.use(
  session({
    key: 'user_sid',
    store: new FileStore({ path: path.join(__dirname, 'sessions'), ttl: 3600, retries: 0, logFn: () => {} }),
    secret: 'secret-key, which is longer than a tutorial has it',
    resave: true,
    saveUninitialized: false,
    unset: 'destroy',
  }),
);

app.post('/login', (req, res) => {
  req.session.user = { name: req.body.name };
  res.redirect('/dashboard');
});

app.get('/dashboard', (req, res) => {
  if (!req.session.user) return res.status(401).send('Log in first');
  res.send(`Welcome ${req.session.user.name}`);
});

app.get('/rename', (req, res) => {
  req.session.user.name = req.query.name;
  res.redirect('/dashboard');
});

app.get('/logout', (req, res) => {
  req.session.destroy((err) => {
    if (err) return res.status(500).send('Could not log out');
    res.clearCookie('user_sid');
    res.send('Bye');
  });
});

module.exports = app;
