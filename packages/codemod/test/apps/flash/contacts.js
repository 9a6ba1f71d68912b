var router = require('express').Router()

router.post('/', (req, res) => {
  if (!req.body.name) {
    req.flash('error', 'A name is needed')
    return res.redirect('/')
  }
  req.flash('info', 'Saved ' + req.body.name)
  req.flash('info', 'Thanks')
  res.redirect('/')
})

module.exports = router
