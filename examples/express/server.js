// A token endpoint with Express 5, the same as with Express 4. Run it with `npm start`.
import express from 'express'
import { createTokenHandler } from '@video-io/videokit-nodejs/handlers'
import { createDemo } from './demo.js'

/**
 * Replace this with your own authentication (a session cookie, a bearer token, passport). It accepts every request.
 *
 * Replace it before other machines can reach this server. The request must never choose the user.
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

  app.use('/demo', createDemo(vkit)) // A page to try it in a browser. Your own server does not need it.

  return app
}

export function listen(vkit, port) {
  // Only this machine can connect: without a real login, anyone who reaches the server gets a token.
  return createApp(vkit).listen(port, '127.0.0.1')
}
