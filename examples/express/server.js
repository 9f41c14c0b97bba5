// A token endpoint with Express 5; with Express 4 it is the same. `npm start` runs it.
import express from 'express'
import { createTokenHandler } from '@video-io/videokit-nodejs/handlers'

/**
 * Stands in for your own authentication: a session cookie, a bearer token, passport.
 *
 * Whoever it is, you know it, and the request does not get to choose.
 */
function signIn(req, res, next) {
  req.user = { id: 'END_USER_ID' }
  next()
}

export function createApp(vkit) {
  const app = express()
  app.disable('x-powered-by')
  app.use(signIn)

  app.get('/', (req, res) => {
    res.send('Session Service')
  })

  app.all('/token', createTokenHandler(vkit, { authenticate: req => req.user?.id }))

  return app
}

export function listen(vkit, port) {
  return createApp(vkit).listen(port)
}
