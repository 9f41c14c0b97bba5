// A token endpoint with Express 5; with Express 4 it is the same. `npm start` runs it.
import express from 'express'
import { createTokenHandler } from '@video-io/videokit-nodejs/handlers'

/**
 * Stands in for your own authentication (a session cookie, a bearer token, passport), and lets everyone in.
 *
 * Replace it before other machines can reach this server. The request never chooses the user.
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
  // Only for this machine: without a real login anyone who reaches it gets a token.
  return createApp(vkit).listen(port, '127.0.0.1')
}
