// The page at /demo: two pretend users sign in, and the page keeps a VideoKit session of each. For this machine only.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { createTokenHandler } from '@video-io/videokit-nodejs/handlers'

const WEB = fileURLToPath(new URL('../web/', import.meta.url))
/** By the number of their panel. */
const USERS = { 1: 'anna', 2: 'bob' }
const COOKIE = 'vkit_demo'
const MAX_SESSIONS = 100

/** `script` is the URL of the VideoKit SDK for the web. Without it, the page loads nothing from another origin. */
export function createDemo(vkit, { script = process.env.VIDEOKIT_SCRIPT, clock } = {}) {
  const demo = express.Router()
  const page = createPage(script)
  demo.use(refuseOtherSites, page.setHeaders)
  demo.get('/', (req, res) => res.type('html').send(page.html))
  for (const [panel, user] of Object.entries(USERS)) demo.use(`/${panel}`, createPanel(vkit, { user, clock }))
  demo.use(express.static(WEB, { index: false, redirect: false, etag: false, cacheControl: false }))
  return demo
}

/** The login of one pretend user. The cookie has a path of its own, so that both can be signed in in one browser. */
function createPanel(vkit, { user, clock }) {
  const router = express.Router()
  const sessions = new Map()
  const idOf = req => new RegExp(`(?:^|; )${COOKIE}=([\\w-]+)`).exec(req.headers.cookie)?.[1]
  const authenticate = req => sessions.get(idOf(req))
  const onError = ({ code }) => console.warn(`No session token for ${user}: ${code}`)

  router.all('/token', createTokenHandler(vkit, { authenticate, onError, clock, expiresIn: true }))
  router.get('/session', (req, res) => res.json({ user, isSignedIn: authenticate(req) !== undefined }))
  router.post('/sign-in', (req, res) => {
    const id = randomBytes(32).toString('base64url')
    sessions.set(id, user)
    if (sessions.size > MAX_SESSIONS) sessions.delete(sessions.keys().next().value)
    res.cookie(COOKIE, id, { httpOnly: true, sameSite: 'strict', path: req.baseUrl }).status(204).end()
  })
  router.post('/sign-out', (req, res) => {
    sessions.delete(idOf(req))
    res.clearCookie(COOKIE, { path: req.baseUrl }).status(204).end()
  })
  return router
}

function createPage(script) {
  if (script && !/^https:\/\/(?!.*token=)/i.test(script)) {
    throw new Error('VIDEOKIT_SCRIPT must be an https URL without a token.')
  }
  const url = script ? new URL(script) : undefined
  const tag = url ? `<script id="videokit" src="${url.href.replaceAll('&', '&amp;')}" defer></script>` : ''
  const html = readFileSync(`${WEB}demo.html`, 'utf8').replace('<!-- VIDEOKIT_SCRIPT -->', () => tag)
  const policy = [
    "default-src 'none'",
    `script-src 'self' ${url?.origin ?? ''}`,
    // The SDK connects to servers of its own.
    `connect-src 'self' ${url ? 'https: wss:' : ''}`,
    "style-src 'self'",
    "img-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
  const headers = {
    'Content-Security-Policy': policy,
    'X-Content-Type-Options': 'nosniff',
    'Cache-Control': 'no-store',
  }
  return { html, setHeaders: (req, res, next) => next(void res.set(headers)) }
}

/** Another site can point its DNS name at this machine, or send it a POST. Browsers then name that site in these headers. */
function refuseOtherSites(req, res, next) {
  const { host, origin } = req.headers
  const isHere = /^(127\.0\.0\.1|localhost)(:\d+)?$/.test(host)
  if (isHere && (req.method !== 'POST' || origin === `http://${host}`)) return next()
  res.status(403).type('text').send('Open this page on the machine of the server, at 127.0.0.1 or localhost.')
}
