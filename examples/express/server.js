// A token endpoint with Express. `npm start` runs it.
import express from 'express'
import { VKitError } from '@video-io/videokit-nodejs'

/**
 * Stands in for your own authentication: a session cookie, a bearer token, passport.
 *
 * Whoever it is, you know it, and the request does not get to choose.
 */
function authenticate(req, res, next) {
  req.user = { id: 'END_USER_ID' }
  next()
}

export function createApp(vkit) {
  const app = express()
  app.disable('x-powered-by')

  app.get('/', (req, res) => {
    res.send('Session Service')
  })

  app.get('/token', authenticate, async (req, res) => {
    const { sessionToken, expiresAt, identity } = await vkit.getSessionToken(req.user.id)
    res.set('Cache-Control', 'no-store').json({ sessionToken, expiresAt, identity })
  })

  // Express tells a handler of errors by its four parameters.
  app.use((error, req, res, next) => {
    if (res.headersSent) return next(error)
    console.error(error)
    const status = VKitError.is(error) && error.retryable ? 503 : 500
    res
      .status(status)
      .set('Cache-Control', 'no-store')
      .json({ error: { code: error.code ?? 'INTERNAL' } })
  })

  return app
}
