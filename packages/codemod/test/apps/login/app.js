const express = require('express');
const session = require('express-session');

const app = express();
const users = { alice: { id: 7, name: 'alice', password: 'wonderland' } };

app.use(express.urlencoded({ extended: false }));

app.use(
  session({
    secret: process.env.SESSION_SECRET || 'keyboard cat',
    resave: false,
    saveUninitialized: false,
    cookie: { httpOnly: true, sameSite: true, maxAge: 1000 * 60 * 60 * 24 }, // 1 day
  }),
);

// Only for those who are logged in.
function isAuthenticated(req, res, next) {
  if (req.session.userId) next();
  else res.redirect('/login');
}

app.get('/', isAuthenticated, (req, res) => {
  req.session.views = (req.session.views || 0) + 1;
  res.send(`user ${req.session.userId}, views ${req.session.views}`);
});

app.get('/login', (req, res) => {
  res.send('<form action="/login" method="post"><input name="user"><input name="pass" type="password"></form>');
});

app.post('/login', (req, res, next) => {
  const user = users[req.body.user];
  if (!user || user.password !== req.body.pass) return res.status(401).send('wrong');

  // a new ID, to guard against session fixation
  req.session.regenerate((err) => {
    if (err) return next(err);
    req.session.userId = user.id;
    if (req.body.remember) req.session.cookie.maxAge = 1000 * 60 * 60 * 24 * 30;
    req.session.save((err) => {
      if (err) return next(err);
      res.redirect('/');
    });
  });
});

app.get('/logout', (req, res, next) => {
  req.session.destroy((err) => {
    if (err) return next(err);
    res.clearCookie('connect.sid');
    res.redirect('/login');
  });
});

module.exports = app;
